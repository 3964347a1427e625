"""A file of 100 KiB: by pathsend where the server has it, else read and sent in pieces as frameworks do."""

from typing import Any

from stored_file import PATH, SIZE  # type: ignore[import-not-found]  # beside it

BLOCK = 65_536
HEADERS = [(b"content-type", b"application/octet-stream"), (b"content-length", str(SIZE).encode())]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(PATH)})
        return
    with PATH.open("rb") as file:  # it is in memory
        while piece := file.read(BLOCK):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
