"""Quart: Flask's way of writing, on ASGI.

pip install quart
fastserve examples.quart_app:app
"""

from collections.abc import AsyncIterator

from quart import Quart, Response, request
from quart.typing import ResponseReturnValue

app = Quart(__name__)


@app.get("/")
async def index() -> ResponseReturnValue:
    return {"hello": request.args.get("name", "fastserve")}


@app.post("/echo")
async def echo() -> ResponseReturnValue:
    return await request.get_data(as_text=False), 200, {"content-type": request.content_type or "text/plain"}


@app.get("/stream")
async def stream() -> ResponseReturnValue:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1, 6):
            yield b"piece %d\n" % number

    return Response(pieces(), content_type="text/plain")
