"""WebSockets of real frameworks, with a real client: `websockets`, synchronously."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from kit import Serve
from kit.waiting import PATIENCE

pytestmark = pytest.mark.plain


def closed_with(connection: ClientConnection) -> tuple[int | None, str | None]:
    """Waits for the server's close frame."""
    with pytest.raises(ConnectionClosed):
        connection.recv(PATIENCE)
    return connection.close_code, connection.close_reason


def test_starlette(serve: Serve) -> None:
    server = serve("with_starlette:app")
    url, chat = f"ws://127.0.0.1:{server.port}/ws", Subprotocol("chat")
    with connect(url, subprotocols=[chat], proxy=None, open_timeout=PATIENCE) as connection:
        assert connection.subprotocol == "chat"
        connection.send("hello")
        assert json.loads(connection.recv(PATIENCE)) == {"echo": "hello", "state": "open"}
        connection.send("bye")
        assert closed_with(connection) == (4000, "as you wish")


def test_fastapi(serve: Serve) -> None:
    server = serve("with_fastapi:app")
    with connect(f"ws://127.0.0.1:{server.port}/ws/lobby?token=t", proxy=None, open_timeout=PATIENCE) as connection:
        connection.send("hello")
        assert connection.recv(PATIENCE) == "lobby t hello"


def test_fastapi_refuses(serve: Serve) -> None:
    server = serve("with_fastapi:app")
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/ws/lobby", proxy=None, open_timeout=PATIENCE)
    assert refused.value.response.status_code == 403


def test_django_channels(serve: Serve) -> None:
    server = serve("with_channels:app")
    with connect(f"ws://127.0.0.1:{server.port}/ws/room", proxy=None, open_timeout=PATIENCE) as connection:
        connection.send(json.dumps({"a": 1}))
        assert json.loads(connection.recv(PATIENCE)) == {"echo": {"a": 1}, "path": "/ws/room"}
        connection.send(json.dumps({"bye": True}))
        assert closed_with(connection) == (4001, "as you wish")


def test_quart(serve: Serve) -> None:
    server = serve("with_quart:app")
    with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None, open_timeout=PATIENCE) as connection:
        for number in range(20):
            connection.send(str(number))
            assert connection.recv(PATIENCE) == f"echo {number}"


def test_litestar(serve: Serve) -> None:
    server = serve("with_litestar:app")
    with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None, open_timeout=PATIENCE) as connection:
        connection.send("hello")
        assert connection.recv(PATIENCE) == "echo hello"
        assert closed_with(connection) == (4000, "enough")
