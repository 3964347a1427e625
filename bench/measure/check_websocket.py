"""Opens one WebSocket to a server and has a message sent back, before anything is measured."""

import os
import socket
import struct
from collections.abc import Callable

from bench.measure.check_answer import WrongAnswerError
from bench.plan import Scenario
from bench.process import HOST

TIMEOUT = 10.0
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


def check_websocket(scenario: Scenario, port: int) -> None:
    """The message is another one than the load's. Raises WrongAnswerError, which says what differs."""
    payload = os.urandom(scenario.answer.size)
    try:
        with socket.create_connection((HOST, port), TIMEOUT) as connection, connection.makefile("rb") as incoming:
            connection.sendall(REQUEST)
            _check_handshake(incoming.readline(), [*iter(incoming.readline, b"\r\n")])
            connection.sendall(_frame(payload))
            echoed = _message(incoming.read)
    except (OSError, struct.error, IndexError) as error:
        raise WrongAnswerError(f"no valid answer: {error!r}") from error
    if echoed != payload:
        raise WrongAnswerError(f"an echo of {len(echoed)} other bytes in place of {len(payload)}")


def _check_handshake(status: bytes, fields: list[bytes]) -> None:
    if not status.startswith(b"HTTP/1.1 101 "):
        raise WrongAnswerError(f"no WebSocket: {status.decode('latin-1').strip() or 'no answer'}")
    if not any(field.lower().startswith(b"sec-websocket-accept:") and ACCEPT in field for field in fields):
        raise WrongAnswerError("Sec-WebSocket-Accept is not that of the key")


def _frame(payload: bytes) -> bytes:
    """Binary, with a mask of zeros."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x82, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x82, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x82, 0x80 | 127, size)
    return head + bytes(4) + payload


def _message(read: Callable[[int], bytes]) -> bytes:
    """Of one frame or of several."""
    message, first = b"", 0
    while not first & 0x80:
        first, size = read(2)
        if size > 125:
            (size,) = struct.unpack(">H" if size == 126 else ">Q", read(2 if size == 126 else 8))
        message += read(size)
    return message
