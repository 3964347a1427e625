"""Falcon through WSGI: resources, forms, files, a stream, failures, cookies."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
from falcon import Request, Response


class Item:
    def on_get(self, req: Request, resp: Response, number: int) -> None:
        url = req.prefix + req.path
        resp.media = {"number": number, "name": req.get_param("name"), "client": req.remote_addr, "url": url}


class Form:
    def on_post(self, req: Request, resp: Response) -> None:
        form = req.get_media()
        resp.media = {"name": form["name"], "several": form["several"]}


class Upload:
    def on_post(self, req: Request, resp: Response) -> None:
        answer: dict[str, Any] = {}
        for part in req.get_media():
            if part.name == "title":
                answer["title"] = part.text
            else:
                content = part.stream.read()
                digest = hashlib.sha256(content).hexdigest()
                answer |= {"name": part.filename, "size": len(content), "sha256": digest}
        resp.media = answer


class Echo:
    def on_post(self, req: Request, resp: Response) -> None:
        resp.content_type = "application/octet-stream"
        resp.data = req.stream.read()


class File:
    def on_get(self, req: Request, resp: Response) -> None:
        path = Path(req.get_param("path", required=True))
        resp.content_type = "application/octet-stream"
        resp.downloadable_as = path.name
        resp.set_stream(path.open("rb"), path.stat().st_size)


class Stream:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = (b"%d\n" % number for number in range(100))


class Broken:
    def on_get(self, req: Request, resp: Response) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"x" * 1000
            raise RuntimeError("falcon stream fails")

        resp.stream = pieces()


class Crash:
    def on_get(self, req: Request, resp: Response) -> None:
        raise RuntimeError("falcon resource fails")


class Visits:
    def on_get(self, req: Request, resp: Response) -> None:
        count = str(int(req.cookies.get("visits", "0")) + 1)
        resp.text = count
        resp.set_cookie("visits", count, secure=False)
        resp.set_cookie("theme", "dark", secure=False)


app: Any = falcon.App()
for uri, resource in {
    "/items/{number:int}": Item(),
    "/form": Form(),
    "/upload": Upload(),
    "/echo": Echo(),
    "/file": File(),
    "/stream": Stream(),
    "/broken": Broken(),
    "/crash": Crash(),
    "/visits": Visits(),
}.items():
    app.add_route(uri, resource)
