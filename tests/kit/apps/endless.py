"""Streams without an end, in several frameworks; /show says which are open, and how many tasks there are.

/NAME/waits         one piece, and then nothing any more
/NAME/sends         a piece every 20 ms
NAME is starlette, fastapi, falcon, or bare: an application that only sends, as Sanic's streams do.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import falcon.asgi
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

streams: Counter[str] = Counter()


async def waits() -> AsyncIterator[bytes]:
    streams["open"] += 1
    try:
        yield b"x"
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        streams["cancelled"] += 1
        raise
    finally:
        streams["open"] -= 1


async def sends() -> AsyncIterator[bytes]:
    streams["open"] += 1
    try:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)
    finally:
        streams["open"] -= 1


PIECES = {"waits": waits, "sends": sends}


async def by_starlette(request: Request) -> StreamingResponse:
    await request.body()
    return StreamingResponse(PIECES[request.path_params["kind"]]())


starlette = Starlette(routes=[Route("/starlette/{kind}", by_starlette, methods=["GET", "POST"])])
fastapi = FastAPI()


@fastapi.post("/fastapi/{kind}")
async def by_fastapi_with_json(kind: str, sent: dict[str, int]) -> StreamingResponse:
    assert sent == {"a": 1}
    return StreamingResponse(PIECES[kind]())


@fastapi.get("/fastapi/{kind}")
async def by_fastapi(kind: str) -> StreamingResponse:
    return StreamingResponse(PIECES[kind]())


class ByFalcon:
    async def on_get(self, _: falcon.asgi.Request, resp: falcon.asgi.Response, kind: str) -> None:
        resp.stream = PIECES[kind]()


of_falcon: Any = falcon.asgi.App()
of_falcon.add_route("/falcon/{kind}", ByFalcon())


async def bare(scope: Message, _: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    pieces = PIECES[scope["path"].rpartition("/")[2]]()
    try:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]


async def show(_: Message, __: Receive, send: Send) -> None:
    shown = f"{streams['open']} {streams['cancelled']} {len(asyncio.all_tasks())}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": shown.encode()})


applications: dict[str, Any] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "falcon": of_falcon,
    "bare": bare,
    "show": show,
}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await applications[scope["path"].split("/")[1]](scope, receive, send)
