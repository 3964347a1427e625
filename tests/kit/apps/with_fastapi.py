"""FastAPI: JSON in and out, multipart upload, dependencies with yield, thread pool routes, background tasks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    HTTPException,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI()
log: list[str] = []


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


async def session() -> AsyncIterator[str]:
    log.append("open")
    try:
        yield "session"
    except HTTPException:
        log.append("rolled back")
        raise
    finally:
        log.append("closed")


def blocking_session() -> Iterator[str]:
    yield "blocking"
    log.append("blocking closed")


@app.post("/items")
async def create(item: Item) -> Item:
    return Item(name=item.name.upper(), price=item.price * 2, tags=[*item.tags, "seen"])


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()]) -> dict[str, object]:
    data = await file.read()
    return {"name": file.filename, "size": len(data), "sum": sum(data), "note": note}


@app.get("/session")
async def use(current: Annotated[str, Depends(session)]) -> dict[str, str]:
    return {"session": current}


@app.get("/session-fails")
async def fail(current: Annotated[str, Depends(session)]) -> None:
    raise HTTPException(409, current)


@app.get("/blocking")
def blocking(current: Annotated[str, Depends(blocking_session)]) -> dict[str, str]:
    """In a thread."""
    return {"session": current}


@app.get("/log")
async def show() -> list[str]:
    return log


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(log.append, "background")
    return "later"


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        for number in range(50):
            yield f"{number};"
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


@app.get("/crash")
async def crash() -> None:
    raise RuntimeError("fastapi route fails")


async def token(websocket: WebSocket) -> str:
    if "token" not in websocket.query_params:
        raise WebSocketException(code=1008, reason="no token")
    return websocket.query_params["token"]


@app.websocket("/ws/{room}")
async def conversation(websocket: WebSocket, room: str, token: Annotated[str, Depends(token)]) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"{room} {token} {await websocket.receive_text()}")
    except WebSocketDisconnect as gone:
        log.append(f"gone {gone.code}")
