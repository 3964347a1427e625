"""Shows the state that lifespan left, and tries to spoil it for the next request."""

from typing import Any


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    scope["state"]["name"] = "value"
    scope["state"]["mutable"] = []
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    names = sorted(scope["state"])
    scope["state"]["mutable"].append(1)
    shown = f"{names} {len(scope['state']['mutable'])}".encode()
    scope["state"]["own"] = "only this request's"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": shown})
