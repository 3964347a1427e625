"""Pyramid: routes, forms, files, a stream, failures, cookies."""

import hashlib
from collections.abc import Iterator
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import FileResponse, Response


def item(request: Request) -> dict[str, Any]:
    number = int(request.matchdict["number"])
    name = request.GET.get("name")
    return {"number": number, "name": name, "client": request.client_addr, "url": request.path_url}


def form(request: Request) -> dict[str, Any]:
    return {"name": request.POST["name"], "several": request.POST.getall("several")}


def upload(request: Request) -> dict[str, Any]:
    file = request.POST["file"]
    content = file.file.read()
    digest = hashlib.sha256(content).hexdigest()
    return {"title": request.POST["title"], "name": file.filename, "size": len(content), "sha256": digest}


def echo(request: Request) -> Response:
    return Response(body=request.body, content_type="application/octet-stream")


def file(request: Request) -> Response:
    response = FileResponse(request.GET["path"], request=request, content_type="application/octet-stream")
    response.content_disposition = "attachment"
    return response


def stream(request: Request) -> Response:
    return Response(app_iter=(b"%d\n" % number for number in range(100)), content_type="text/plain")


def broken(request: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        raise RuntimeError("pyramid stream fails")

    return Response(app_iter=pieces(), content_type="text/plain")


def crash(request: Request) -> Response:
    raise RuntimeError("pyramid view fails")


def visits(request: Request) -> Response:
    response = Response(text=str(int(request.cookies.get("visits", "0")) + 1))
    response.set_cookie("visits", response.text, httponly=True)
    response.set_cookie("theme", "dark")
    return response


with Configurator() as config:
    config.add_route("item", r"/items/{number:\d+}")
    config.add_view(item, route_name="item", renderer="json")
    for view in (form, upload):
        config.add_route(view.__name__, f"/{view.__name__}", request_method="POST")
        config.add_view(view, route_name=view.__name__, renderer="json")
    for page in (echo, file, stream, broken, crash, visits):
        config.add_route(page.__name__, f"/{page.__name__}")
        config.add_view(page, route_name=page.__name__)
    app = config.make_wsgi_app()
