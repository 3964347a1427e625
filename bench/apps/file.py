"""A file of 100 KiB, or of as many bytes as the query says: by pathsend where the server has it, else read and sent in
pieces as frameworks do."""

from functools import cache
from pathlib import Path
from typing import Any

from stored_file import SIZE, stored  # type: ignore[import-not-found]  # beside it

BLOCK = 65_536


@cache
def asked(query: bytes) -> tuple[Path, list[tuple[bytes, bytes]]]:
    """The file and the header fields."""
    size = int(query or SIZE)
    return stored(size), [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size)]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    path, headers = asked(scope["query_string"])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(path)})
        return
    with path.open("rb") as file:  # it is in memory
        while piece := file.read(BLOCK):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
