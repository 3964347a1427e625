"""FastAPI: typed JSON in and out, a dependency with clean-up, an upload.

pip install fastapi python-multipart
fastserve examples.fastapi_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, UploadFile
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: float


class Store:
    """Stands for a database."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.open_sessions = 0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.store = Store()
    yield
    app.state.store.items.clear()


app = FastAPI(title="fastserve example", lifespan=lifespan)


async def session() -> AsyncIterator[Store]:
    store: Store = app.state.store
    store.open_sessions += 1
    try:
        yield store
    finally:
        store.open_sessions -= 1


Session = Annotated[Store, Depends(session)]


@app.get("/")
async def root() -> dict[str, str]:
    return {"hello": "fastserve"}


@app.put("/items/{number}")
async def put_item(number: int, item: Item, store: Session) -> Item:
    store.items[number] = item
    return item


@app.get("/items/{number}")
async def get_item(number: int, store: Session) -> Item:
    if number not in store.items:
        raise HTTPException(status_code=404, detail="no such item")
    return store.items[number]


@app.post("/upload")
async def upload(file: UploadFile) -> dict[str, str | int | None]:
    size = 0
    while piece := await file.read(64 * 1024):
        size += len(piece)
    return {"name": file.filename, "size": size}
