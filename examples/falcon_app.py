"""Falcon: resources with a responder for each method.

pip install falcon
fastserve examples.falcon_app:app
"""

from collections.abc import AsyncIterator

import falcon.asgi
from falcon.asgi import Request, Response


class Greeting:
    async def on_get(self, request: Request, response: Response) -> None:
        response.media = {"hello": request.get_param("name", default="fastserve")}

    async def on_post(self, request: Request, response: Response) -> None:
        response.media = await request.get_media()
        response.status = falcon.HTTP_201


class Pieces:
    async def on_get(self, request: Request, response: Response) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(1, 6):
                yield b"piece %d\n" % number

        response.content_type = falcon.MEDIA_TEXT
        response.stream = pieces()


app = falcon.asgi.App()
app.add_route("/", Greeting())
app.add_route("/stream", Pieces())
