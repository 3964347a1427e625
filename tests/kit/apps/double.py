"""An ASGI 2 application: a callable that gives the application's instance."""

from collections.abc import Awaitable, Callable
from typing import Any


def app(scope: dict[str, Any]) -> Callable[[Any, Any], Awaitable[None]]:
    if scope["type"] != "http":
        raise ValueError("only http")

    async def instance(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"double " + scope["path"].encode()})

    return instance
