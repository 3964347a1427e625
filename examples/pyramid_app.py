"""Pyramid: routes and views by imperative configuration, a streamed answer, a download.

pip install pyramid
fastserve examples.pyramid_app:app
"""

from collections.abc import Iterator
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import FileResponse, Response


def index(request: Request) -> dict[str, Any]:
    return {"hello": request.params.get("name", "fastserve")}


def item(request: Request) -> dict[str, Any]:
    return {"number": int(request.matchdict["number"])}


def stream(request: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        for number in range(1, 6):
            yield b"piece %d\n" % number

    return Response(app_iter=pieces(), content_type="text/plain")


def source(request: Request) -> FileResponse:
    """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
    return FileResponse(__file__, request=request, content_type="text/x-python")


with Configurator() as config:
    config.add_route("index", "/")
    config.add_route("item", r"/items/{number:\d+}")
    config.add_route("stream", "/stream")
    config.add_route("source", "/source")
    config.add_view(index, route_name="index", renderer="json")
    config.add_view(item, route_name="item", renderer="json")
    config.add_view(stream, route_name="stream")
    config.add_view(source, route_name="source")
    app = config.make_wsgi_app()
