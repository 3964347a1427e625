"""What the client of a micro benchmark says, byte by byte: HTTP/1 requests, WebSocket messages, HTTP/2 streams.

Each answer ends with what the application says, hello's unless it is another one, whichever protocol brings it: that is
how the client counts them. What a client would compute, such as a mask or a compressed field, was computed before: a
segment is put together, and sent.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

TEXT = b"Hello, World!"  # bench/apps/hello.py's body; a message that bench/apps/ws_echo.py sends back
AUTHORITY = b"127.0.0.1:8000"


class Dialogue(Protocol):
    """Of one connection, from its beginning."""

    @property
    def ends(self) -> bytes:
        """What each answer ends with."""

    @property
    def opening(self) -> bytes:
        """Sent once, before the first segment; empty where nothing is."""

    @property
    def opened(self) -> bytes:
        """What the answer to the opening ends with."""

    def segment(self, number: int, size: int) -> bytes:
        """`size` times what is measured, in the segment of this number; each is answered with one `ends`."""


@dataclass(frozen=True)
class Requests:
    """HTTP/1 requests, pipelined."""

    request: bytes
    ends: bytes = TEXT
    opening: ClassVar[bytes] = b""
    opened: ClassVar[bytes] = b""

    def segment(self, number: int, size: int) -> bytes:  # noqa: ARG002 # all are the same
        return self.request * size


@dataclass(frozen=True)
class Messages:
    """WebSocket messages of one frame of text (RFC 6455 section 5.2)."""

    opened: ClassVar[bytes] = b"\r\n\r\n"
    ends: ClassVar[bytes] = TEXT
    opening: ClassVar[bytes] = (
        b"GET / HTTP/1.1\r\nHost: " + AUTHORITY + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    def segment(self, number: int, size: int) -> bytes:  # noqa: ARG002 # all are the same
        return _MESSAGE * size


@dataclass(frozen=True)
class Streams:
    """HTTP/2 with prior knowledge: a GET in each stream, its four fields in one byte each (RFC 7541 section 6.1).

    The first request is part of the opening: it puts the authority into the table of both sides, as clients do. Each
    segment begins with the WINDOW_UPDATE for the bodies of the one before.
    """

    opened: ClassVar[bytes] = TEXT
    ends: ClassVar[bytes] = TEXT

    @property
    def opening(self) -> bytes:
        return _PREFACE + _frame(_SETTINGS) + _get(1, _STATIC + _AUTHORITY_INDEXED)

    def segment(self, number: int, size: int) -> bytes:
        received = len(TEXT) * (size if number else 1)
        update = _frame(_WINDOW_UPDATE, payload=received.to_bytes(4, "big"))
        acknowledgement = b"" if number else _frame(_SETTINGS, _ACK)
        first = 3 + 2 * number * size
        requests = (_get(stream, _STATIC + _AUTHORITY_KNOWN) for stream in range(first, first + 2 * size, 2))
        return acknowledgement + update + b"".join(requests)


_MASK = b"\x37\xfa\x21\x3d"
_MASKED = bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(TEXT))
_MESSAGE = bytes([0x81, 0x80 | len(TEXT)]) + _MASK + _MASKED

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS, _WINDOW_UPDATE = 1, 4, 8  # RFC 9113 section 6
_ACK, _END_STREAM, _END_HEADERS = 0x1, 0x1, 0x4
_STATIC = b"\x82\x86\x84"  # :method GET, :scheme http, :path /
_AUTHORITY_INDEXED = bytes([0x41, len(AUTHORITY)]) + AUTHORITY  # a literal that is entry 62 from here on
_AUTHORITY_KNOWN = b"\xbe"


def _frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _get(stream: int, block: bytes) -> bytes:
    return _frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block)
