"""Starlette: streaming, server-sent events, BaseHTTPMiddleware, background tasks, files, lifespan state."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from brotli_asgi import BrotliMiddleware
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

done: list[str] = []
streams: list[str] = []
folder = tempfile.TemporaryDirectory()
file_path = Path(folder.name) / "file.bin"
file_path.write_bytes(bytes(range(256)) * 2000)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"database": "open"}


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-stamp"] = "stamped"
        return response


async def conversation(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat")
    async for text in websocket.iter_text():
        if text == "bye":
            await websocket.close(4000, "as you wish")
            return
        await websocket.send_json({"echo": text, "state": websocket.state.database})


async def plain(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.query_params.get('name', 'world')}")


async def state(request: Request) -> Response:
    return PlainTextResponse(request.state.database)


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


async def stream_echo(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        async for piece in request.stream():
            yield piece

    return StreamingResponse(pieces())


async def stream(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()
            if number % 10 == 0:
                await asyncio.sleep(0)

    return StreamingResponse(pieces(), media_type="text/plain")


async def events(_: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        streams.append("open")
        try:
            for number in range(10_000):
                yield f"event: tick\ndata: {number}\n\n"
                await asyncio.sleep(0.005)
        finally:
            streams.append("closed")

    return StreamingResponse(pieces(), media_type="text/event-stream")


async def background(_: Request) -> Response:
    async def later() -> None:
        await asyncio.sleep(0.05)
        done.append("task")

    return PlainTextResponse("accepted", background=BackgroundTask(later))


async def show(_: Request) -> Response:
    return JSONResponse({"done": done, "streams": streams})


async def file(_: Request) -> Response:
    return FileResponse(file_path, filename="file.bin")


async def fail(_: Request) -> Response:
    raise RuntimeError("starlette route fails")


async def disconnected(request: Request) -> Response:
    try:
        await request.body()
    except ClientDisconnect:
        done.append("disconnect")
        raise
    return PlainTextResponse("whole")


routes = [
    Route("/", plain),
    Route("/state", state),
    Route("/echo", echo, methods=["POST"]),
    Route("/stream-echo", stream_echo, methods=["POST"]),
    Route("/stream", stream),
    Route("/events", events),
    Route("/background", background),
    Route("/show", show),
    Route("/file", file),
    Route("/fail", fail),
    Route("/disconnected", disconnected, methods=["POST"]),
]
packed = BrotliMiddleware(StaticFiles(directory=folder.name))
stamped = Starlette(routes=list(routes), middleware=[Middleware(Stamp), Middleware(GZipMiddleware)])
mounts = [Mount("/stamped", stamped), Mount("/packed", packed), WebSocketRoute("/ws", conversation)]
app = Starlette(routes=[*routes, *mounts], lifespan=lifespan)
