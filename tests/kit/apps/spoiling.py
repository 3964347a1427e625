"""Changes everything in the scope that it can reach, after having shown it."""

from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    shown = repr(sorted(scope.items())).encode()
    for value in list(scope.values()):
        if isinstance(value, dict | list):
            value.clear()
    scope.clear()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": shown})
