"""Falcon through WSGI: resources with a responder for each method.

pip install falcon
fastserve examples.falcon_wsgi:app
"""

from collections.abc import Iterator
from pathlib import Path

import falcon
from falcon import Request, Response


class Greeting:
    def on_get(self, request: Request, response: Response) -> None:
        response.media = {"hello": request.get_param("name", default="fastserve")}

    def on_post(self, request: Request, response: Response) -> None:
        response.media = request.get_media()
        response.status = falcon.HTTP_201


class Item:
    def on_get(self, request: Request, response: Response, number: int) -> None:
        response.media = {"number": number}


class Pieces:
    def on_get(self, request: Request, response: Response) -> None:
        def pieces() -> Iterator[bytes]:
            for number in range(1, 6):
                yield b"piece %d\n" % number

        response.content_type = falcon.MEDIA_TEXT
        response.stream = pieces()


class Source:
    def on_get(self, request: Request, response: Response) -> None:
        """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
        path = Path(__file__)
        response.content_type = "text/x-python"
        response.set_stream(path.open("rb"), path.stat().st_size)


app = falcon.App()
app.add_route("/", Greeting())
app.add_route("/items/{number:int}", Item())
app.add_route("/stream", Pieces())
app.add_route("/source", Source())
