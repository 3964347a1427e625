"""What a worker holds of messages has a bound: incomplete ones, those that wait, and what is not read yet."""

import asyncio
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from fastserve import _core
from kit import Client, request
from kit.place import Place
from kit.waiting import until
from kit.websocket import BINARY, FIN, RSV1, TEXT, WebSocket, frame

KIB, MIB = 1 << 10, 1 << 20
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

needs_zlib = pytest.mark.skipif(not _core.HAVE_ZLIB, reason="a build without zlib")


class Chat(Place):
    """Echoes messages; at /later not before the gate has opened."""

    def __init__(self, kind: str, **limits: int) -> None:
        self.gate = threading.Event()
        self.disconnects: list[tuple[int, str]] = []
        super().__init__(kind, asgi=self.app, **limits)

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            size, more = 0, True
            while more:
                event = await receive()
                size, more = size + len(event.get("body", b"")), event.get("more_body", False)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % size})
            return
        await receive()
        await send({"type": "websocket.accept"})
        while scope["path"] == "/later" and not self.gate.is_set():
            await asyncio.sleep(0.001)
        while (event := await receive())["type"] == "websocket.receive":
            try:
                await send({**event, "type": "websocket.send"})
            except OSError:
                continue
        self.disconnects.append((event["code"], event["reason"]))

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        super().__exit__(*error)


@pytest.fixture(params=["asyncio", "uvloop"])
def chat(request: pytest.FixtureRequest) -> Iterator[Chat]:
    with Chat(request.param, buffered=2 * MIB) as chat:
        yield chat


def open_socket(chat: Chat, target: str = "/", *lines: str) -> WebSocket:
    socket = WebSocket(chat.connect(), target, *lines)
    assert socket.answer.status == 101
    return socket


def fill(chat: Chat, size: int) -> list[WebSocket]:
    """Messages that are not complete, until there is no room for another one of `size` bytes."""
    sockets: list[WebSocket] = []
    while chat["buffered"] + 2 * size < 2 * MIB:
        before = chat["buffered"]
        sockets.append(open_socket(chat).send(BINARY, bytes(size)))
        assert chat.reaches(buffered=before + size)
    return sockets


def leave(sockets: list[WebSocket]) -> None:
    for socket in sockets:
        socket.client.close()


def test_a_message_without_room_closes_with_1013(chat: Chat) -> None:
    """Others go on: also those whose messages do not have to be held."""
    sockets = fill(chat, 300 * KIB)
    other = open_socket(chat)
    one_more = open_socket(chat).send(BINARY, bytes(600 * KIB))
    assert one_more.ended(1013)
    assert until(lambda: len(chat.disconnects) == 1)
    assert chat.disconnects[0][0] == 1013
    assert (chat["no_room"], chat["peer_errors"]) == (1, 0)
    assert other.binary(b"x" * 200).message() == b"x" * 200
    for socket in sockets:
        assert len(socket.send(FIN, b"end").message()) == 300 * KIB + 3
    assert chat.empty()
    assert len(other.binary(bytes(600 * KIB)).message()) == 600 * KIB
    leave([*sockets, other, one_more])


@needs_zlib
def test_what_deflate_pins_counts(chat: Chat) -> None:
    """Fourteen kilobytes that inflate to as many megabytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(14 * MIB)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 16 * KIB
    socket, other = open_socket(chat, "/", OFFER), open_socket(chat, "/", OFFER)
    assert b"permessage-deflate" in (socket.answer.get(b"sec-websocket-extensions") or b"")
    assert socket.send(BINARY | RSV1, bomb).ended(1013)
    assert other.text("x").message() == "x"
    leave([socket, other])


@needs_zlib
def test_compression_gives_way(chat: Chat) -> None:
    """Above half of the memory nobody is promised compression, and nothing of ours is compressed."""
    early = open_socket(chat, "/", OFFER)
    sockets = fill(chat, 300 * KIB)
    late = open_socket(chat, "/", OFFER)
    assert late.answer.get(b"sec-websocket-extensions") is None
    assert early.binary(bytes(1000)).message() == bytes(1000)
    leave(sockets)
    assert until(lambda: chat["buffered"] == 0)
    assert early.binary(bytes(1000)).frame().first == FIN | RSV1 | BINARY
    assert chat["buffered"] > 0
    leave([early, late])
    assert chat.empty()


@pytest.mark.parametrize("payload", [bytes(60 * KIB), "😀".encode() * 15 * KIB], ids=["bytes", "text"])
def test_messages_that_wait_count(chat: Chat, payload: bytes) -> None:
    first = FIN | (BINARY if not payload[0] else TEXT)
    sockets: list[WebSocket] = []
    while chat["buffered"] + 140 * KIB < 2 * MIB:
        before = chat["buffered"]
        sockets.append(open_socket(chat, "/later").send(first, payload))
        assert chat.reaches(buffered=before + 60 * KIB)
    assert len(sockets) < 35
    full = open_socket(chat, "/later").send(first, payload * 4).send(first, payload * 4)
    assert until(lambda: chat["no_room"] == 1)
    chat.gate.set()
    assert full.frame().code == 1013
    for socket in sockets:
        assert socket.frame().payload == payload
    assert chat.empty()
    leave([*sockets, full])


def test_what_is_not_read_counts(chat: Chat) -> None:
    """It is taken from the socket, and stays behind a queue that is full."""
    socket = open_socket(chat, "/later")
    socket.client.send(frame(FIN | BINARY, b"x" * 20_000) * 8)
    assert chat.reaches(buffered=100_000)
    chat.gate.set()
    for _ in range(8):
        assert socket.message() == b"x" * 20_000
    assert chat.empty()
    leave([socket])


def heads(chat: Chat, most: int) -> list[Client]:
    """Requests whose head is not complete, until one is refused."""
    clients: list[Client] = []
    while not chat["no_room"] and len(clients) < most:
        clients.append(chat.connect().send(request("/", "X: " + "a" * 30 * KIB)[:-2]))
        assert until(lambda: chat["buffered"] >= 29 * KIB * len(clients) or chat["no_room"] > 0)
    return clients


def test_heads_that_are_not_complete_count(chat: Chat) -> None:
    clients = heads(chat, 100)
    assert 40 <= len(clients) < 80
    answer = clients[-1].answer()
    assert (answer.status, (answer.get(b"retry-after") or b"").isdigit(), answer.closes) == (503, True, True)
    assert clients[-1].closed()
    with chat.connect() as other:
        assert other.exchange(request("/")).body == b"0"
    for client in clients[10:]:
        client.close()
    assert until(lambda: chat["buffered"] < MIB)
    for client in clients[:10]:
        assert client.exchange(b"\r\n").body == b"0"
        client.close()
    assert chat.empty()
