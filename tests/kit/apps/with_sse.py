"""sse-starlette's streams without end, which it ends itself when it sees that the server wants to stop."""

import asyncio
import os
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def events(_: Request) -> Response:
    async def stream() -> AsyncIterator[dict[str, str]]:
        yield {"data": str(os.getpid())}
        await asyncio.Event().wait()

    return EventSourceResponse(stream())


async def home(_: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/", home), Route("/events", events)])
