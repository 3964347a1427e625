"""A plain ASGI application, without a framework: what an application looks like to the server.

Serve it from the checkout's root:

    fastserve examples.hello:app

and try it:

    curl http://127.0.0.1:8000/
    curl --no-buffer http://127.0.0.1:8000/stream
    curl --data-binary @README.md http://127.0.0.1:8000/upload
    curl http://127.0.0.1:8000/headers
    curl http://127.0.0.1:8000/file
"""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Route = Callable[[Scope, Receive, Send], Awaitable[None]]

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"


async def respond(send: Send, body: bytes, content_type: bytes = TEXT, status: int = 200) -> None:
    """Answers with one body. The server sees that it is whole, and adds its Content-Length."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"Hello from fastserve!\n")


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Ten pieces over about a second; each leaves when it is sent, in a chunk of its own."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", TEXT)]})
    for number in range(1, 11):
        await send({"type": "http.response.body", "body": b"piece %d\n" % number, "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body"})


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body piece by piece: however large it is, no more than a piece of it is in memory."""
    if scope["method"] != "POST":
        await respond(send, b"POST a body here.\n", status=405)
        return
    size, digest = 0, hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # the client gave up; there is nobody to answer
            return
        piece = message.get("body", b"")
        size += len(piece)
        digest.update(piece)
        if not message.get("more_body", False):
            break
    await respond(send, json.dumps({"size": size, "sha256": digest.hexdigest()}).encode(), JSON)


async def headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Header names arrive in lower case; names and values are bytes, which HTTP reads as Latin-1."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await respond(send, json.dumps(fields).encode(), JSON)


async def file(scope: Scope, receive: Receive, send: Send) -> None:
    """The server sends the file itself, by sendfile(2), where it offers the extension."""
    path = scope.get("state", {}).get("sample")
    if path is None:  # served with --lifespan off
        await not_found(scope, receive, send)
    elif "http.response.pathsend" in scope.get("extensions", {}):
        fields = [(b"content-type", TEXT), (b"content-length", b"%d" % path.stat().st_size)]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.pathsend", "path": str(path)})
    else:
        await respond(send, path.read_bytes())


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"Not found\n", status=404)


ROUTES: dict[str, Route] = {"/": hello, "/stream": stream, "/upload": upload, "/headers": headers, "/file": file}


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Called once, before the first request and after the last; what it puts into `state` each request finds there."""
    await receive()  # lifespan.startup
    with tempfile.TemporaryDirectory(prefix="fastserve-example-") as folder:
        sample = Path(folder) / "sample.txt"
        sample.write_text("".join(f"line {number}\n" for number in range(1, 1001)), encoding="ascii")
        scope["state"]["sample"] = sample
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The entry point: one call for each request, and one for the lifespan."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await ROUTES.get(scope["path"], not_found)(scope, receive, send)
    else:
        raise ValueError(f"this application does not speak {scope['type']}")
