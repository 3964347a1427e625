"""Echoes WebSockets, and says at the end how many were told that the server stops."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

told = 0


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    global told
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sys.stderr.write(f"application: {told} were told 1012\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})
    told += event["code"] == 1012
