"""python-socketio by WebSocket alone, which asks for the field `Upgrade`: over HTTP/1.1, HTTP/2 and by a browser."""

import pytest

from http2.test_extended_connect import Tunnel
from kit import Serve
from kit.browser import browsing
from kit.http2 import HTTP2
from kit.websocket import FIN, TEXT, WebSocket, frame

TARGET = "/socket.io/?EIO=4&transport=websocket"


@pytest.mark.plain
def test_over_http_1(serve: Serve) -> None:
    with serve("with_socketio:app").connect() as client:
        socket = WebSocket(client, TARGET)
        assert str(socket.message()).startswith('0{"sid":')
        assert str(socket.text("40").message()).startswith('40{"sid":')
        assert socket.text('42["say","hello"]').message() == '42["said","HELLO"]'


@pytest.mark.parametrize("secure", [False, True])
def test_over_http_2(serve: Serve, secure: bool) -> None:
    with HTTP2(serve("with_socketio:app", secure=secure)) as connection:
        tunnel = Tunnel(connection, TARGET)
        assert tunnel.frame()[1].startswith(b'0{"sid":')
        assert tunnel.send(frame(FIN | TEXT, b"40")).frame()[1].startswith(b'40{"sid":')
        assert tunnel.send(frame(FIN | TEXT, b'42["say","hello"]')).frame()[1] == b'42["said","HELLO"]'


@pytest.mark.slow
@pytest.mark.plain
def test_a_browser(serve: Serve) -> None:
    """It opens wss: by an extended CONNECT on the connection that brought the page."""
    server = serve("with_socketio:app", secure=True)
    with browsing(f"{server.url}/page", "--ignore-certificate-errors"):
        assert server.get("/seen") == b'42["said","HELLO"]'
