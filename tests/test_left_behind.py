"""An application that raises may leave a task behind which still holds `send`: it is refused, and reaches nothing."""

import asyncio
import logging
import socket
from typing import Any

from fastserve._core import ASGI, Driver

EVENTS: list[dict[str, Any]] = [
    {"type": "http.response.early_hint", "links": []},
    {"type": "http.response.start", "status": 200},
    {"type": "http.response.body", "body": b"late"},
    {"type": "http.response.trailers", "headers": []},
]


async def outcomes() -> list[str]:
    raised: list[str] = []
    held: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        held.append(send)
        raise RuntimeError("the application raises")

    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    interface = ASGI(app, loop=loop)
    driver = Driver(interface, logger=logging.getLogger("left_behind"))
    interface.start()
    driver.adopt(theirs.detach())
    with ours:
        await loop.sock_sendall(ours, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await loop.sock_recv(ours, 4096)).startswith(b"HTTP/1.1 500 ")
        for event in EVENTS:
            try:
                await held[0](event)
            except RuntimeError:
                raised.append(event["type"])
    driver.close()
    return raised


def test_send_after_the_application_raised_is_refused() -> None:
    assert asyncio.run(outcomes()) == [event["type"] for event in EVENTS]
