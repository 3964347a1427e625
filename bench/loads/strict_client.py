"""A client that sends bytes as they are and takes answers by their framing alone, for the gate."""

import socket
from dataclasses import dataclass
from typing import Literal, Self

from bench.process import HOST

TIMEOUT = 5.0
BLOCK = 65_536
Framing = Literal["none", "length", "chunked", "close"]


class BrokenAnswerError(Exception):
    """What came is no whole answer: the connection has ended within it, or it breaks the rules of HTTP/1.1."""


class SilentError(Exception):
    """Nothing more came within TIMEOUT."""


@dataclass(frozen=True)
class WireAnswer:
    """One answer; `framing` says how its end was found. Names of header fields are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    framing: Framing


class StrictClient:
    """One connection. Every method that reads raises BrokenAnswerError and SilentError."""

    def __init__(self, port: int) -> None:
        self.received = b""  # everything, for who looks for what should not be there
        self._at = 0
        try:
            self._socket = socket.create_connection((HOST, port), TIMEOUT)
        except TimeoutError as error:
            raise SilentError("no connection") from error
        except OSError as error:
            raise BrokenAnswerError(f"no connection: {error.strerror}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise SilentError("what was sent is not read") from error
        except OSError as error:
            raise BrokenAnswerError(f"closed: {error.strerror}") from error

    def answer(self, method: str = "GET") -> WireAnswer:
        """The next answer, which is one to `method`."""
        head = self._until(b"\r\n\r\n")
        version, _, rest = head.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise BrokenAnswerError(f"no status line: {head[:60]!r}")
        lines = head.split("\r\n")[1:]
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        framing = _framing(method, int(rest[:3]), dict(headers))
        body = self._body(framing, dict(headers))
        return WireAnswer(int(rest[:3]), headers, body, framing)

    def ended(self) -> bool:
        """Whether the other side has ended the connection, when nothing is left to take; waits for one of both."""
        return self._at == len(self.received) and not self._more()

    def _body(self, framing: Framing, headers: dict[str, str]) -> bytes:
        if framing == "none":
            return b""
        if framing == "length":
            return self._exactly(int(headers["content-length"]))
        if framing == "close":
            while self._more():
                pass
            return self._exactly(len(self.received) - self._at)
        pieces = []
        while size := _chunk_size(self._until(b"\r\n")):
            pieces.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(pieces)

    def _until(self, end: bytes) -> str:
        while (found := self.received.find(end, self._at)) < 0:
            self._require_more()
        line, self._at = self.received[self._at : found], found + len(end)
        return line.decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        while len(self.received) - self._at < size:
            self._require_more()
        taken, self._at = self.received[self._at : self._at + size], self._at + size
        return taken

    def _require_more(self) -> None:
        if not self._more():
            raise BrokenAnswerError("closed within an answer" if self._at < len(self.received) else "closed")

    def _more(self) -> bool:
        """False at the end of what the other side sends."""
        try:
            data = self._socket.recv(BLOCK)
        except TimeoutError as error:
            raise SilentError(f"nothing for {TIMEOUT:.0f} s") from error
        except OSError as error:
            raise BrokenAnswerError(f"reset: {error.strerror}") from error
        self.received += data
        return bool(data)


def _framing(method: str, status: int, headers: dict[str, str]) -> Framing:
    if method == "HEAD" or status in (204, 304):
        return "none"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return "chunked"
    if "content-length" in headers:
        if not headers["content-length"].isdigit():
            raise BrokenAnswerError(f"a length of {headers['content-length']!r}")
        return "length"
    return "close"


def _chunk_size(line: str) -> int:
    try:
        return int(line.partition(";")[0], 16)
    except ValueError as error:
        raise BrokenAnswerError(f"no chunk size: {line[:60]!r}") from error
