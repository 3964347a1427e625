"""Floods of what carries nothing are ended with 1008, over both protocols, and others are served meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from fastserve import _core
from http2.test_extended_connect import Tunnel
from kit import Server, request, script
from kit.http2 import HTTP2
from kit.waiting import until
from kit.websocket import BINARY, CLOSE, FIN, PING, PONG, TEXT, WebSocket, close_payload, frame

POLICY = 1008

FLOODS: dict[str, tuple[bytes, bytes]] = {
    "pings": (b"", frame(FIN | PING)),
    "pings with a payload": (b"", frame(FIN | PING, b"x" * 125)),
    "pongs": (b"", frame(FIN | PONG, b"beat")),
    "empty fragments": (frame(TEXT), frame(0)),
    "pings inside of a message": (frame(BINARY, b"a"), frame(FIN | PING)),
}
"""How a flood begins, and what comes again and again."""

FloodWith = Callable[[bytes, bytes], int]
"""Sends them and reads what comes back; the close code."""


def over_http1(server: Server, stack: ExitStack) -> FloodWith:
    socket = WebSocket(stack.enter_context(server.connect()))

    def flood(begin: bytes, again: bytes) -> int:
        socket.client.send(begin)
        with suppress(ConnectionError):
            for _ in range(100):
                socket.client.send(again * 100)
        while (received := socket.frame()).first != FIN | CLOSE:
            assert received.first == FIN | PONG
        assert socket.client.gone()
        return received.code

    return flood


def over_http2(server: Server, stack: ExitStack) -> FloodWith:
    tunnel = Tunnel(stack.enter_context(HTTP2(server)))

    def flood(begin: bytes, again: bytes) -> int:
        tunnel.send(begin)
        for number in range(100):
            if not tunnel.found.over:
                tunnel.send(again * 100)
            tunnel.connection.ping(b"%08d" % number)  # there and back: windows are respected
        while (received := tunnel.frame())[0] != FIN | CLOSE:
            assert received[0] == FIN | PONG
        return int.from_bytes(received[1], "big")

    return flood


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def flood(request: pytest.FixtureRequest, server: Server) -> Iterator[FloodWith]:
    if request.param == "HTTP/2" and not _core.HAVE_NGHTTP2:
        pytest.skip("a build without nghttp2")
    with ExitStack() as stack:
        yield (over_http1 if request.param == "HTTP/1.1" else over_http2)(server, stack)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_ended(flood: FloodWith, server: Server, kind: str) -> None:
    with server.connect() as other:
        socket = WebSocket(other)
        assert flood(*FLOODS[kind]) == POLICY
        assert socket.text("hello").message() == "hello"
    assert server.get("/") == b"ok"


def test_the_application_is_told(server: Server) -> None:
    run = script(server, ("accepted",), ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        client.send(frame(FIN | PONG) * 10_000)
        assert socket.frame().code == POLICY
    event: dict[str, Any] = run.journal()[0][1]
    assert (event["type"], event["code"]) == ("websocket.disconnect", POLICY)


def test_messages_pay_for_what_goes_with_them(server: Server) -> None:
    """A client that measures the way there and back with each message is no flood."""
    both = frame(FIN | PING, b"1234") + frame(FIN | BINARY, b"x")
    with server.connect() as client:
        socket = WebSocket(client)
        for _ in range(100):
            client.send(both * 100)
            received = [socket.frame().first for _ in range(200)]
            assert sorted(received) == [FIN | BINARY] * 100 + [FIN | PONG] * 100


@pytest.mark.parametrize("size", [1, 64])
def test_many_small_fragments_are_no_flood(server: Server, size: int) -> None:
    count = 20_000
    with server.connect() as client:
        socket = WebSocket(client)
        client.send(frame(BINARY, b"x" * size) + frame(0, b"x" * size) * count + frame(FIN))
        assert socket.message() == b"x" * size * (count + 1)


def test_empty_messages_are_no_flood(server: Server) -> None:
    with server.connect() as client:
        socket = WebSocket(client)
        for _ in range(100):
            client.send(frame(FIN | TEXT) * 100)
            for _ in range(100):
                assert socket.message() == ""
        assert socket.send(FIN | CLOSE, close_payload(1000)).ended(1000)


def test_a_subprotocol_that_was_not_offered_is_left_out(server: Server) -> None:
    """RFC 6455 section 4.2.2; it is said once, and the WebSocket is served."""
    accept = ("send", {"type": "websocket.accept", "subprotocol": "chat.example"})
    for offers in ([], ["Sec-WebSocket-Protocol: other"], ["Sec-WebSocket-Protocol: chat.examples, Chat.Example"]):
        run = script(server, ("receive",), accept, ("echoes",))
        with server.connect() as client:
            socket = WebSocket(client, run.target, *offers)
            assert socket.answer.get(b"sec-websocket-protocol") is None
            assert socket.text("hello").message() == "hello"
    assert until(lambda: "'chat.example'" in server.stderr.text)
    assert server.get("/") == b"ok"
    assert server.stderr.text.count("'chat.example'") == 1
    with server.connect() as client:
        socket = WebSocket(
            client, script(server, accept, ("echoes",)).target, "Sec-WebSocket-Protocol: a, chat.example"
        )
        assert socket.answer.get(b"sec-websocket-protocol") == b"chat.example"
    with server.connect() as client:
        assert client.exchange(request("/")).body == b"ok"
