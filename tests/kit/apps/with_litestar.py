"""Litestar: JSON, upload, streams, server-sent events, lifespan."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream

started: list[str] = []


@get("/")
async def plain() -> dict[str, Any]:
    return {"started": started}


@post("/items", status_code=200)
async def items(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value * 2 for key, value in data.items()}


@post("/upload", status_code=200)
async def upload(data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    return {"name": data.filename, "size": len(await data.read())}


@post("/echo", status_code=200, media_type="application/octet-stream")
async def echo(request: Request[Any, Any, Any]) -> bytes:
    return await request.body()


@get("/stream")
async def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()

    return Stream(pieces())


@get("/events")
async def events() -> ServerSentEvent:
    async def pieces() -> AsyncIterator[str]:
        for number in range(5):
            yield str(number)

    return ServerSentEvent(pieces())


@get("/crash")
async def crash() -> None:
    raise RuntimeError("litestar route fails")


@websocket("/ws")
async def conversation(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text(f"echo {await socket.receive_text()}")
    await socket.close(4000, "enough")


async def begin() -> None:
    started.append("yes")


app = Litestar(
    route_handlers=[plain, items, upload, echo, stream, events, crash, conversation],
    on_startup=[begin],
    openapi_config=None,
)
