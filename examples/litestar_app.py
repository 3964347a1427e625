"""Litestar: handlers checked by their types.

pip install litestar
fastserve examples.litestar_app:app
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from litestar import Litestar, get, post
from litestar.response import Stream


@dataclass
class Greeting:
    hello: str


@get("/")
async def index(name: str = "fastserve") -> Greeting:
    return Greeting(hello=name)


@post("/greetings")
async def create(data: Greeting) -> Greeting:
    return data


@get("/stream", media_type="text/plain", sync_to_thread=False)
def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1, 6):
            yield b"piece %d\n" % number

    return Stream(pieces())


app = Litestar([index, create, stream])
