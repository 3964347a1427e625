"""The scripted application that says when its lifespan events come."""

import sys
from typing import Any

import scripted  # type: ignore[import-not-found]  # beside it in --app-dir


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    async def loud_receive() -> Any:
        event = await receive()
        sys.stderr.write(f"{event['type']}\n")
        return event

    await scripted.app(scope, loud_receive if scope["type"] == "lifespan" else receive, send)
