"""What the fleet serves: each answer says who asked by which version, and what came; a change is noted.

GET /            at once
GET /slow        after a third of a second
GET /stream      in pieces, over as long
POST /change?N   takes its body, and appends N to the file CHANGES
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

PIECES = 10
PAUSE = 0.03
PIECE = b"0123456789abcdef" * 256

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def note(number: str) -> None:
    """A line is one write, whoever else writes."""
    with Path(os.environ["CHANGES"]).open("ab", buffering=0) as changes:
        changes.write(f"{number}\n".encode())


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client has left before its body was there")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for what in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{what}.complete"})
        return
    client = f"{scope['http_version']} {':'.join(map(str, scope['client']))}".encode()
    await send_head(scope["path"], send)
    match scope["path"]:
        case "/slow":
            await asyncio.sleep(PIECES * PAUSE)
        case "/stream":
            for _ in range(PIECES):
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                await asyncio.sleep(PAUSE)
        case "/change":
            body = await body_of(receive)
            note(scope["query_string"].decode())
            client += b" " + body
    await send({"type": "http.response.body", "body": client})


async def send_head(path: str, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    version = environ["SERVER_PROTOCOL"].removeprefix("HTTP/").removesuffix(".0")
    client = f"{version} {environ['REMOTE_ADDR']}:{environ['REMOTE_PORT']}".encode()
    match environ["PATH_INFO"]:
        case "/slow":
            time.sleep(PIECES * PAUSE)
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return pieces(client)
        case "/change":
            body = environ["wsgi.input"].read()
            note(environ["QUERY_STRING"])
            client += b" " + body
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [client]


def pieces(last: bytes) -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE
        time.sleep(PAUSE)
    yield last
