"""What comes back, read piece by piece and strictly: HTTP/1 answers, HTTP/2 frames, WebSocket frames.

A reader is fed whatever has come and raises Garbled where that is nothing that a server may send. The outcome of each
request is kept in its `Request`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from hpack import Decoder
from hpack.exceptions import HPACKError

from kit.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from stress.marks import belongs

KEPT_OF_A_BODY = 1 << 20


class Garbled(Exception):  # noqa: N818 - what came, not what went wrong here
    """What came is no answer, or another request's."""


class Outcome(Enum):
    OPEN = "open"
    ANSWERED = "answered"
    FAILED = "failed"
    """Its stream was reset, or its answer broken off."""


@dataclass
class Request:
    mark: str
    method: str = "GET"
    websocket: bool = False
    outcome: Outcome = Outcome.OPEN
    begun: bool = False
    """Something of its answer has come."""
    status: int = 0
    answer_mark: str = ""
    body: bytearray = field(default_factory=bytearray)
    checked: bool = True
    """Its body may be looked at: it comes from the application, and not as messages."""

    def take_body(self, data: bytes) -> None:
        if len(self.body) < KEPT_OF_A_BODY:
            self.body += data

    def take_head(self, status: int, mark: str) -> None:
        self.begun = True
        self.status = status
        self.answer_mark = mark
        if mark and mark != self.mark:
            raise Garbled(f"the answer to {self.mark} is that of {mark}")

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if self.answer_mark and self.checked and not self.websocket and not belongs(bytes(self.body), self.mark):
            raise Garbled(f"the answer to {self.mark} holds what is not its own: {bytes(self.body)[:400]!r}")
        self.body.clear()


class HTTP1Reader:
    """Answers in the order of their requests."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.data = bytearray()
        self.at = 0
        self.need: str = "head"
        self.left = 0
        self.messages: WebSocketReader | None = None

    @property
    def current(self) -> Request | None:
        return self.requests[self.at] if self.at < len(self.requests) else None

    def feed(self, data: bytes) -> None:
        if self.messages is not None:
            self.messages.feed(data)
            return
        self.data += data
        while self.data and getattr(self, f"read_{self.need}")():
            pass

    def line(self, most: int) -> bytes | None:
        end = self.data.find(b"\r\n")
        if end < 0:
            if len(self.data) > most:
                raise Garbled(f"a line without an end: {bytes(self.data[:200])!r}")
            return None
        line = bytes(self.data[:end])
        del self.data[: end + 2]
        return line

    def read_head(self) -> bool:
        if not b"HTTP/1.1 ".startswith(self.data[:9]):
            raise Garbled(f"no answer: {bytes(self.data[:200])!r}")
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.data[:end])
        del self.data[: end + 4]
        first, *lines = head.split(b"\r\n")
        status = int(first[9:12])
        fields: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or (name.lower() in fields and name.lower() in (b"content-length", b"transfer-encoding")):
                raise Garbled(f"a head: {head[:400]!r}")
            fields[name.lower()] = value.strip()
        if 100 <= status < 200 and status != 101:
            return True
        self.begin(status, fields)
        return True

    def begin(self, status: int, fields: dict[bytes, bytes]) -> None:
        request = self.current
        if request is None:
            if fields.get(b"x-mark"):
                raise Garbled(f"an answer that nobody has asked for: {status} {fields}")
            request = Request("")  # a refusal of what was no request
            self.requests.append(request)
        request.take_head(status, fields.get(b"x-mark", b"").decode())
        if status == 101:
            request.websocket = True
            self.messages = WebSocketReader(
                request, b"permessage-deflate" in fields.get(b"sec-websocket-extensions", b"")
            )
            rest, self.data = bytes(self.data), bytearray()
            self.messages.feed(rest)
        elif request.method == "HEAD" and not request.answer_mark:
            # Refused before its head was there: nobody could know yet that it was to be one without a body.
            self.over()
            self.left = int(fields.get(b"content-length", b"0"))
            self.need = "doubtful"
        elif request.method == "HEAD" or status in (204, 304):
            self.over()
        elif fields.get(b"transfer-encoding") == b"chunked":
            self.need = "size"
        elif b"content-length" in fields:
            self.left = int(fields[b"content-length"])
            self.need = "length"
            if self.left == 0:
                self.over()
        else:
            self.need = "rest"

    def over(self) -> None:
        self.need = "head"
        request = self.current
        self.at += 1
        assert request is not None
        request.end(Outcome.ANSWERED)

    def take(self, n: int) -> None:
        request = self.current
        assert request is not None
        piece = bytes(self.data[:n])
        del self.data[:n]
        request.take_body(piece)
        self.left -= len(piece)

    def read_length(self) -> bool:
        self.take(self.left)
        if self.left == 0:
            self.over()
        return True

    def read_doubtful(self) -> bool:
        """A body, or none and the next answer."""
        if not b"HTTP/1.1 ".startswith(self.data[:9]):
            del self.data[: self.left]
        self.need = "head"
        return True

    def read_rest(self) -> bool:
        self.left = len(self.data)
        self.take(self.left)
        return True

    def read_size(self) -> bool:
        line = self.line(64)
        if line is None:
            return False
        try:
            self.left = int(line, 16)
        except ValueError:
            raise Garbled(f"a chunk's size: {line[:100]!r}") from None
        self.need = "chunk" if self.left else "trailer"
        return True

    def read_chunk(self) -> bool:
        self.take(self.left)
        if self.left == 0:
            self.need = "chunk_end"
        return True

    def read_chunk_end(self) -> bool:
        line = self.line(64)
        if line is None:
            return False
        if line:
            raise Garbled(f"the end of a chunk: {line[:100]!r}")
        self.need = "size"
        return True

    def read_trailer(self) -> bool:
        line = self.line(65536)
        if line == b"":
            self.over()
        return line is not None

    def ended(self, orderly: bool) -> None:
        """The connection is over; `orderly`: by a FIN."""
        request = self.current
        if request is not None and self.need == "rest" and orderly and self.messages is None:
            self.over()
        elif request is not None and request.begun:
            self.at += 1
            request.end(Outcome.FAILED)

    @property
    def done(self) -> bool:
        return self.at >= len(self.requests)


class WebSocketReader:
    """The server's frames: unmasked, and only what RFC 6455 knows."""

    def __init__(self, request: Request, deflate: bool = False) -> None:
        self.request = request
        self.deflate = deflate
        self.data = bytearray()
        self.closed = False

    def feed(self, data: bytes) -> None:
        self.data += data
        while (size := self.frame_size()) and len(self.data) >= size:
            self.check(bytes(self.data[:2]))
            del self.data[:size]

    def frame_size(self) -> int:
        if len(self.data) < 2:
            return 0
        length = self.data[1] & 0x7F
        extra = {126: 2, 127: 8}.get(length, 0)
        if len(self.data) < 2 + extra:
            return 0
        return 2 + extra + (int.from_bytes(self.data[2 : 2 + extra], "big") if extra else length)

    def check(self, head: bytes) -> None:
        opcode = head[0] & 0x0F
        if head[1] & 0x80 or head[0] & (0x30 if self.deflate else 0x70) or opcode not in (0, 1, 2, 8, 9, 10):
            raise Garbled(f"no frame of a WebSocket: {bytes(self.data[:100])!r}")
        if opcode >= 8 and head[1] > 125:
            raise Garbled(f"a control frame: {bytes(self.data[:100])!r}")
        if opcode == 8:
            self.closed = True
            self.request.end(Outcome.ANSWERED)


class HTTP2Reader:
    """Frames, and what they say of their streams.

    answer: called with what is to be sent at once; windows: keep them open; polite: answer SETTINGS and PING.
    """

    def __init__(
        self, streams: dict[int, Request], answer: Callable[[bytes], None], windows: bool, polite: bool
    ) -> None:
        self.streams = streams
        self.answer = answer
        self.windows = windows
        self.polite = polite
        self.data = bytearray()
        self.decoder = Decoder()
        self.block = b""
        self.block_flags = 0
        self.goaway = False
        self.heard = False

    def feed(self, data: bytes) -> None:
        self.data += data
        while len(self.data) >= 9:
            length = int.from_bytes(self.data[:3], "big")
            if length > 1 << 20 or (not self.heard and self.data[3] != SETTINGS):
                raise Garbled(f"no frame of HTTP/2: {bytes(self.data[:100])!r}")
            if len(self.data) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.data[3:9])
            payload = bytes(self.data[9 : 9 + length])
            del self.data[: 9 + length]
            self.heard = True
            self.take(kind, flags, stream & 0x7FFFFFFF, payload)

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        request = self.streams.get(stream)
        if kind in (HEADERS, CONTINUATION):
            self.take_block(kind, flags, request, payload)
        elif kind == DATA:
            if request is None or flags & PADDED:
                raise Garbled(f"DATA for stream {stream}")
            request.take_body(payload)
            if self.windows and payload:
                self.update(stream, flags, len(payload))
            if flags & END_STREAM:
                request.end(Outcome.ANSWERED)
        elif kind == RST_STREAM and request is not None and request.outcome is Outcome.OPEN:
            request.end(Outcome.FAILED)
        elif kind == SETTINGS and not flags & ACK and self.polite:
            self.answer(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK and self.polite:
            self.answer(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = True

    def update(self, stream: int, flags: int, n: int) -> None:
        increment = struct.pack(">I", n)
        of_stream = b"" if flags & END_STREAM else frame(WINDOW_UPDATE, 0, stream, increment)
        self.answer(frame(WINDOW_UPDATE, 0, 0, increment) + of_stream)

    def take_block(self, kind: int, flags: int, request: Request | None, payload: bytes) -> None:
        if kind == HEADERS:
            self.block_flags = flags
        self.block += payload
        if not flags & END_HEADERS:
            return
        try:
            fields = {str(name): str(value) for name, value in self.decoder.decode(self.block)}
        except HPACKError as error:
            raise Garbled(f"fields: {error}") from error
        self.block = b""
        if request is None:
            raise Garbled(f"HEADERS that nobody has asked for: {fields}")
        status = int(fields.get(":status", "0"))
        if status >= 200:
            request.take_head(status, fields.get("x-mark", ""))
        if self.block_flags & END_STREAM:
            request.end(Outcome.ANSWERED)

    def ended(self, orderly: bool) -> None:
        for request in self.streams.values():
            if request.outcome is Outcome.OPEN and (self.goaway or request.begun or not orderly):
                request.end(Outcome.FAILED)

    @property
    def done(self) -> bool:
        return all(request.outcome is not Outcome.OPEN for request in self.streams.values())
