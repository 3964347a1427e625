"""`--proxy-protocol` and `--proxy-allow-from` as the command has them."""

import socket
from collections.abc import Callable
from pathlib import Path

from cli.conftest import Launch
from kit.waiting import PATIENCE

Module = Callable[[str, str], Path]

WHO = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr((scope["client"], scope["server"])).encode()})
"""
HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def answer(port: int, data: bytes) -> bytes:
    """Everything that comes back."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, client.makefile("rb") as stream:
        client.sendall(data)
        try:
            return stream.read()
        except ConnectionResetError:
            return b""


def test_header_of_a_trusted_peer(launch: Launch, module: Module) -> None:
    module("who", WHO)
    launched = launch("who:app", "--proxy-protocol", "--lifespan", "off")
    port = launched.named_port()
    assert answer(port, HEADER + GET).endswith(b"\r\n\r\n(('192.0.2.1', 56324), ('198.51.100.2', 443))")
    assert answer(port, GET) == b""
    assert launched.stop().stdout.startswith("192.0.2.1 - - [")


def test_header_of_another_peer(launch: Launch, module: Module) -> None:
    module("who", WHO)
    launched = launch("who:app", "--proxy-protocol", "--proxy-allow-from", "192.0.2.0/28", "--lifespan", "off")
    port = launched.named_port()
    assert answer(port, GET).startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer(port, HEADER + GET).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    launched.stop()
