"""A raw WebSocket client over `Client`: every frame is the test's, byte by byte (RFC 6455)."""

import os
import struct
from dataclasses import dataclass
from typing import Self

from kit.answer import Answer
from kit.client import Client

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 section 1.3 answers that key with."""

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40


def handshake(target: str = "/echo", *lines: str, key: str | None = KEY, version: str | None = "13") -> bytes:
    """A client's opening request; `lines` are more header lines."""
    head = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket"]
    head += [f"Sec-WebSocket-Key: {key}"] if key is not None else []
    head += [f"Sec-WebSocket-Version: {version}"] if version is not None else []
    return "\r\n".join([*head, *lines, "", ""]).encode()


def frame(first: int, payload: bytes = b"", mask: bytes | None = b"\x11\x22\x33\x44") -> bytes:
    """One frame: opcode and flags in `first`; masked as a client's is unless `mask` is None."""
    masked = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head = bytes([first, masked | len(payload)])
    elif len(payload) < 65536:
        head = struct.pack(">BBH", first, masked | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, masked | 127, len(payload))
    if mask is None:
        return head + payload
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack(">H", code) + reason.encode()


@dataclass(frozen=True)
class Frame:
    first: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame; 1005 where it has none."""
        assert self.first == FIN | CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def reason(self) -> str:
        assert self.first == FIN | CLOSE, self
        return self.payload[2:].decode()


class WebSocket:
    """One connection, from the opening request on; the answer to that is kept."""

    def __init__(self, client: Client, target: str = "/echo", *lines: str, glued: bytes = b"") -> None:
        self.client = client
        client.send(handshake(target, *lines) + glued)
        self.answer: Answer = client.answer()

    def send(self, first: int, payload: bytes = b"", mask: bytes | None = None) -> Self:
        self.client.send(frame(first, payload, mask if mask is not None else os.urandom(4)))
        return self

    def text(self, text: str) -> Self:
        return self.send(FIN | TEXT, text.encode())

    def binary(self, payload: bytes) -> Self:
        return self.send(FIN | BINARY, payload)

    def close(self, code: int | None = None, reason: str = "") -> Self:
        return self.send(FIN | CLOSE, close_payload(code, reason) if code is not None else b"")

    def frame(self) -> Frame:
        """The server's next frame, read strictly: unmasked, and no longer head than it needs."""
        first, length = self.client.reader.exactly(2)
        assert not length & 0x80, "a server does not mask"
        if length == 126:
            length = int.from_bytes(self.client.reader.exactly(2), "big")
            assert length > 125
        elif length == 127:
            length = int.from_bytes(self.client.reader.exactly(8), "big")
            assert length > 65535
        return Frame(first, self.client.reader.exactly(length))

    def message(self) -> str | bytes:
        """The next message, of one frame and uncompressed."""
        received = self.frame()
        assert received.first in (FIN | TEXT, FIN | BINARY), received
        return received.payload.decode() if received.first == FIN | TEXT else received.payload

    def ended(self, code: int) -> bool:
        """The server closes with this code, and after that the connection."""
        received = self.frame()
        assert received.code == code, received
        return self.client.closed()
