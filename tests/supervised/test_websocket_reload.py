"""HUP with open WebSockets: they are closed with 1012 one by one, and those that come back meet the new worker."""

import signal

from kit.websocket import WebSocket
from supervised.conftest import Supervise, Write

ECHO = """
VERSION = "{}"


async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({{"type": "websocket.accept"}})
    while (event := await receive())["type"] == "websocket.receive":
        await send({{"type": "websocket.send", "text": VERSION + event["text"]}})
"""


def test_websockets_move_to_the_new_workers(supervise: Supervise, write: Write) -> None:
    write(ECHO.format("old "))
    supervised = supervise("served:app", "--workers", "2", "--ws-drain-timeout", "0.5", "--lifespan", "off")
    supervised.wait_for_workers(2)
    clients = [supervised.connect() for _ in range(20)]
    sockets = [WebSocket(client) for client in clients]
    for socket in sockets:
        assert socket.text("one").message() == "old one"
    write(ECHO.format("new "))
    supervised.signal(signal.SIGHUP)
    for socket in sockets:
        assert socket.frame().code == 1012
        socket.close(1012)
        assert socket.client.closed()
        socket.client.close()
    supervised.log.wait_for("reloaded\n")
    with supervised.connect() as client:
        assert WebSocket(client).text("one").message() == "new one"
    assert supervised.stop() == 0
