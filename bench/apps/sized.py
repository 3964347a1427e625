"""As many bytes as the last part of the path says, in one piece; hello where it says none."""

from functools import cache
from typing import Any


@cache
def answer(path: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and header fields."""
    size = path.rpartition("/")[2]
    body = b"x" * int(size) if size else b"Hello, World!"
    kind = b"application/octet-stream" if size else b"text/plain"
    return body, [(b"content-type", kind), (b"content-length", b"%d" % len(body))]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    body, headers = answer(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
