"""Quart: JSON, streams both ways, files of a form."""

from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, request, websocket

app = Quart(__name__)
started: list[str] = []


@app.before_serving
async def begin() -> None:
    started.append("yes")


@app.get("/")
async def plain() -> dict[str, Any]:
    return {"started": started, "scheme": request.scheme, "host": request.host}


@app.post("/echo")
async def echo() -> str | bytes:
    return await request.get_data()


@app.post("/upload")
async def upload() -> dict[str, Any]:
    files = await request.files
    return {name: len(files[name].read()) for name in files}


@app.get("/stream")
async def stream() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()

    return Response(pieces(), mimetype="text/plain")


@app.get("/crash")
async def crash() -> str:
    raise RuntimeError("quart route fails")


@app.websocket("/ws")
async def conversation() -> None:
    while True:
        await websocket.send(f"echo {await websocket.receive()!s}")
