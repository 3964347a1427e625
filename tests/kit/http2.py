"""A raw HTTP/2 client over `Client`: every frame is the test's, byte by byte (RFC 9113); fields go through `hpack`."""

import socket
import ssl
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from hpack import Decoder, Encoder

from kit.certificates import shared
from kit.client import Client
from kit.process import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
ENABLE_CONNECT_PROTOCOL = 8

Fields = Sequence[tuple[str, str]]


def get(target: str = "/", *fields: tuple[str, str], method: str = "GET") -> list[tuple[str, str]]:
    """The fields of a request."""
    return [(":method", method), (":scheme", "http"), (":path", target), (":authority", "test"), *fields]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        at = 0 if self.kind == RST_STREAM else 4
        return int.from_bytes(self.payload[at : at + 4], "big")

    @property
    def last_stream(self) -> int:
        """Of GOAWAY."""
        return int.from_bytes(self.payload[:4], "big")


@dataclass
class Stream:
    """What a stream has brought."""

    heads: list[list[tuple[str, str]]] = field(default_factory=list)
    """Interim responses, the final one, trailers."""
    ended: bool = False
    reset: int | None = None
    _parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """What has come of it."""
        if len(self._parts) > 1:
            self._parts[:] = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    @body.setter
    def body(self, left: bytes) -> None:
        self._parts = [left]

    def take(self, payload: bytes) -> None:
        """Nothing is joined before somebody looks: a large body would be copied for each of its frames."""
        self._parts.append(payload)

    @property
    def status(self) -> int:
        return int(dict(self.heads[0])[":status"])

    def value(self, name: str) -> str | None:
        return dict(self.heads[0]).get(name)

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Ended(Exception):  # noqa: N818 - what happened, not what went wrong
    """The connection has come to its end."""


class HTTP2:
    """A connection that has sent the preface and `options`, and has the server's SETTINGS.

    acknowledges: answer SETTINGS and PING. window: keep the windows open for what is received.
    """

    def __init__(
        self,
        server: Server,
        *options: tuple[int, int],
        acknowledges: bool = True,
        window: bool = True,
        preface: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        self.client = Client(
            server.address, receive_buffer=receive_buffer, context=shared().context("h2") if server.secure else None
        )
        self.wire: socket.socket = self.client.socket
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.decoder.max_allowed_table_size = 4096
        self.streams: defaultdict[int, Stream] = defaultdict(Stream)
        self.goaways: list[Frame] = []
        self.others: list[Frame] = []
        self.settings: dict[int, int] = {}
        self.huffman = True  # False: Python takes a while for large heads
        self.acknowledges = acknowledges
        self.window = window
        self.closed = False
        self._next = 1
        self._buffer = b""
        self._block = b""
        self._ends = False  # the stream, with the block
        if preface:
            self.send(PREFACE + settings(*options))
            self.wait(lambda: bool(self.settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    # ---- out

    def send(self, data: bytes) -> Self:
        self.wire.sendall(data)
        return self

    def frame(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> Self:
        return self.send(frame(kind, flags, stream, payload))

    def block(self, fields: Iterable[tuple[str, str]]) -> bytes:
        return self.encoder.encode(list(fields), huffman=self.huffman)

    def head(self, fields: Fields, *, end: bool = True, stream: int | None = None) -> tuple[int, bytes]:
        """The number of a new stream, and its HEADERS frame, with CONTINUATION frames where it is too large for one."""
        if stream is None:
            stream, self._next = self._next, self._next + 2
        block, flags = self.block(fields), END_STREAM if end else 0
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        kinds = [(HEADERS, flags), *[(CONTINUATION, 0)] * (len(parts) - 1)]
        frames = [frame(kind, flags, stream, part) for (kind, flags), part in zip(kinds[:-1], parts[:-1], strict=True)]
        kind, flags = kinds[-1]
        return stream, b"".join(frames) + frame(kind, flags | END_HEADERS, stream, parts[-1])

    def open(self, fields: Fields, *, end: bool = True, stream: int | None = None) -> int:
        number, data = self.head(fields, end=end, stream=stream)
        self.send(data)
        return number

    def data(self, stream: int, payload: bytes = b"", *, end: bool = False) -> Self:
        return self.frame(DATA, END_STREAM if end else 0, stream, payload)

    def reset(self, stream: int, code: int = CANCEL) -> Self:
        return self.frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def widen(self, stream: int, increment: int) -> Self:
        return self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))

    # ---- in

    def read_frame(self) -> Frame:
        """Raises Ended."""
        head = self._read(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        found = Frame(kind, flags, stream & 0x7FFFFFFF, self._read(length))
        self._take(found)
        return found

    def _read(self, n: int) -> bytes:
        while len(self._buffer) < n:
            # What a look at TLS has deciphered comes first.
            piece, self.client.reader.buffer = self.client.reader.buffer, b""
            try:
                piece = piece or self.wire.recv(1 << 16)
            except (ConnectionError, ssl.SSLEOFError):
                piece = b""
            if not piece:
                self.closed = True
                raise Ended
            self._buffer += piece
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def _take(self, found: Frame) -> None:
        stream = self.streams[found.stream] if found.stream else Stream()
        if found.kind == SETTINGS and not found.flags & ACK:
            pairs = struct.iter_unpack(">HI", found.payload)
            self.settings.update(dict(pairs))
            self._answer(frame(SETTINGS, ACK))
        elif found.kind == PING and not found.flags & ACK:
            self._answer(frame(PING, ACK, 0, found.payload))
        elif found.kind in (HEADERS, CONTINUATION):
            self._block += found.payload
            self._ends |= found.kind == HEADERS and bool(found.flags & END_STREAM)
            if found.flags & END_HEADERS:
                stream.heads.append([(str(name), str(value)) for name, value in self.decoder.decode(self._block)])
                stream.ended |= self._ends
                self._block, self._ends = b"", False
        elif found.kind == DATA:
            stream.take(found.payload)
            stream.ended |= bool(found.flags & END_STREAM)
            if self.window and found.payload:
                self._answer(self._updates(found))
        elif found.kind == RST_STREAM:
            stream.reset = found.code
        elif found.kind == GOAWAY:
            self.goaways.append(found)
        else:
            self.others.append(found)

    def _updates(self, found: Frame) -> bytes:
        increment = struct.pack(">I", len(found.payload))
        of_stream = b"" if found.flags & END_STREAM else frame(WINDOW_UPDATE, 0, found.stream, increment)
        return frame(WINDOW_UPDATE, 0, 0, increment) + of_stream

    def _answer(self, data: bytes) -> None:
        if not self.acknowledges:
            return
        with suppress(ConnectionError, ssl.SSLError):  # what the server has said before its end is still to be read
            self.send(data)

    def wait(self, condition: Callable[[], bool]) -> Self:
        """Reads until it holds. AssertionError when the connection ends before."""
        while not condition():
            try:
                self.read_frame()
            except Ended:
                raise AssertionError(f"the connection ended: {self.goaways} {dict(self.streams)}") from None
        return self

    def response(self, stream: int) -> Stream:
        """Reads until the stream is over."""
        return self.wait(lambda: self.streams[stream].over).streams[stream]

    def request(self, fields: Fields, body: bytes | None = None) -> Stream:
        stream = self.open(fields, end=body is None)
        if body is not None:
            self.data(stream, body, end=True)
        return self.response(stream)

    def alive(self) -> bool:
        """Whether the connection still serves."""
        return self.request(get()).body == b"ok"

    def ping(self, payload: bytes = b"12345678") -> Self:
        """There and back: everything before it has been dealt with."""
        self.frame(PING, 0, 0, payload)
        return self.wait(lambda: any(f.kind == PING and f.payload == payload and f.flags & ACK for f in self.others))

    # ---- what went wrong

    def expect_connection_error(self, *codes: int) -> None:
        """GOAWAY with one of these codes, then the end."""
        try:
            while True:
                self.read_frame()
        except Ended:
            pass
        assert self.goaways, "the connection ended without GOAWAY"
        assert self.goaways[-1].code in codes, self.goaways[-1].code

    def expect_stream_error(self, stream: int, *codes: int) -> None:
        """RST_STREAM with one of these codes, or GOAWAY: RFC 9113 section 5.4.1 lets a server take it as that."""
        try:
            while self.streams[stream].reset is None:
                self.read_frame()
        except Ended:
            assert self.goaways, "the connection ended without GOAWAY"
            assert self.goaways[-1].code in codes, self.goaways[-1].code
        else:
            assert self.streams[stream].reset in codes, self.streams[stream].reset
            assert self.alive()

    def expect_refused(self, stream: int) -> None:
        """RST_STREAM with REFUSED_STREAM: nothing was done (RFC 9113 section 8.7)."""
        self.wait(lambda: self.streams[stream].reset is not None)
        assert self.streams[stream].reset == REFUSED_STREAM

    def expect_end(self) -> None:
        """Nothing more comes, and nothing was wrong."""
        try:
            while True:
                self.read_frame()
        except Ended:
            pass
        assert all(each.code == NO_ERROR for each in self.goaways), self.goaways

    def expect_malformed(self, stream: int) -> None:
        """RST_STREAM with PROTOCOL_ERROR, or 400 (RFC 9113 section 8.1.1)."""
        self.wait(lambda: self.streams[stream].over)
        assert self.streams[stream].reset == PROTOCOL_ERROR or self.streams[stream].status == 400
        assert self.alive()

    def expect_gone(self) -> None:
        """The connection ends, whatever was said before."""
        with suppress(Ended):
            while True:
                self.read_frame()

    def read_what_is_there(self) -> None:
        """Without waiting. Raises Ended."""
        while self._buffer or self.client.readable():
            self.read_frame()
