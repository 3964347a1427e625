"""Starlette: routes, a streamed answer, server-sent events, a background task, a file.

pip install starlette
fastserve examples.starlette_app:app
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

visitors: list[str] = []


async def homepage(request: Request) -> Response:
    name = request.query_params.get("name", "world")
    return JSONResponse({"hello": name}, background=BackgroundTask(visitors.append, name))


async def counted(request: Request) -> Response:
    return PlainTextResponse(f"{len(visitors)} visitors\n")


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for number in range(1, 6):
            yield f"piece {number}\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(pieces(), media_type="text/plain")


async def events(request: Request) -> Response:
    async def ticks() -> AsyncIterator[str]:
        number = 0
        while not await request.is_disconnected():
            number += 1
            yield f"id: {number}\ndata: tick\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(ticks(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def source(request: Request) -> Response:
    return FileResponse(__file__, media_type="text/x-python")


app = Starlette(
    routes=[
        Route("/", homepage),
        Route("/visitors", counted),
        Route("/stream", stream),
        Route("/events", events),
        Route("/source", source),
    ]
)
