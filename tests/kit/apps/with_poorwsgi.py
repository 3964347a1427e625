"""PoorWSGI: routes, forms, files, a stream, failures, cookies."""
# mypy: disallow-untyped-calls=False, disallow-untyped-decorators=False

import hashlib
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from poorwsgi import Application, state
from poorwsgi.request import Request
from poorwsgi.response import FileResponse, GeneratorResponse, Response

app = Application("tests")


@app.route("/items/<number:int>")
def item(request: Request, number: int) -> dict[str, Any]:
    name, url = request.args.getfirst("name"), request.construct_url(request.path)
    return {"number": number, "name": name, "client": request.remote_addr, "url": url}


@app.route("/form", method=state.METHOD_POST)
def form(request: Request) -> dict[str, Any]:
    return {"name": request.form.getfirst("name"), "several": request.form.getlist("several")}


@app.route("/upload", method=state.METHOD_POST)
def upload(request: Request) -> dict[str, Any]:
    file = request.form["file"]
    content = file.file.read()
    digest = hashlib.sha256(content).hexdigest()
    title = request.form.getfirst("title")
    return {"title": title, "name": file.filename, "size": len(content), "sha256": digest}


@app.route("/echo", method=state.METHOD_POST)
def echo(request: Request) -> Response:
    return Response(request.read(), content_type="application/octet-stream")


@app.route("/file")
def file(request: Request) -> FileResponse:
    path = request.args.getfirst("path")
    disposition = f'attachment; filename="{Path(path).name}"'
    return FileResponse(path, content_type="application/octet-stream", headers={"Content-Disposition": disposition})


@app.route("/stream")
def stream(request: Request) -> GeneratorResponse:
    return GeneratorResponse((b"%d\n" % number for number in range(100)), content_type="text/plain")


@app.route("/broken")
def broken(request: Request) -> GeneratorResponse:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        raise RuntimeError("poorwsgi stream fails")

    return GeneratorResponse(pieces(), content_type="text/plain")


@app.route("/crash")
def crash(request: Request) -> Response:
    raise RuntimeError("poorwsgi view fails")


@app.route("/visits")
def visits(request: Request) -> Response:
    cookies: SimpleCookie = request.cookies or SimpleCookie()
    count = str(int(cookies["visits"].value if "visits" in cookies else 0) + 1)
    response = Response(count)
    response.add_header("Set-Cookie", f"visits={count}; HttpOnly")
    response.add_header("Set-Cookie", "theme=dark")
    return response
