"""Hello at once, or after as many milliseconds as the path says, as what waits for a database does."""

import asyncio
from typing import Any

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    if wait := scope["path"][1:]:
        await asyncio.sleep(int(wait) / 1000)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"Hello, World!"})
