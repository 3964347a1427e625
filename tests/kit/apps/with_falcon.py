"""Falcon: media, streams, files of a form, server-sent events."""

from collections.abc import AsyncIterator
from typing import Any

import falcon.asgi
from falcon import MEDIA_TEXT
from falcon.asgi import Request, Response, SSEvent


class Plain:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"path": req.path, "client": req.remote_addr, "query": req.params}

    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = {key: value * 2 for key, value in (await req.get_media()).items()}


class Echo:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.data = await req.stream.read()


class Upload:
    async def on_post(self, req: Request, resp: Response) -> None:
        form = await req.get_media()
        resp.media = {part.name: len(await part.stream.read()) async for part in form}


class Stream:
    async def on_get(self, _: Request, resp: Response) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(100):
                yield f"{number}\n".encode()

        resp.content_type = MEDIA_TEXT
        resp.stream = pieces()


class Events:
    async def on_get(self, _: Request, resp: Response) -> None:
        async def emit() -> AsyncIterator[SSEvent]:
            for number in range(5):
                yield SSEvent(data=str(number).encode())

        resp.sse = emit()


class Crash:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise RuntimeError("falcon resource fails")


app: Any = falcon.asgi.App()
for uri, resource in {
    "/": Plain(),
    "/echo": Echo(),
    "/upload": Upload(),
    "/stream": Stream(),
    "/events": Events(),
    "/crash": Crash(),
}.items():
    app.add_route(uri, resource)
