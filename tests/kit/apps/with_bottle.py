"""Bottle: routes, forms, files, a stream, failures, cookies."""
# mypy: disallow-untyped-decorators=False

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import BaseRequest, Bottle, request, response, static_file

# What is larger lies in a file, which would stay where the process ends and its thread has had no further request.
BaseRequest.MEMFILE_MAX = 8 << 20

app = Bottle()


@app.get("/items/<number:int>")
def item(number: int) -> dict[str, Any]:
    name = request.query.getunicode("name")
    return {"number": number, "name": name, "client": request.remote_addr, "url": request.url.partition("?")[0]}


@app.post("/form")
def form() -> dict[str, Any]:
    forms = request.forms.decode()
    return {"name": forms["name"], "several": forms.getall("several")}


@app.post("/upload")
def upload() -> dict[str, Any]:
    file = request.files["file"]
    content = file.file.read()
    digest = hashlib.sha256(content).hexdigest()
    title = request.forms.getunicode("title")
    return {"title": title, "name": file.raw_filename, "size": len(content), "sha256": digest}


@app.post("/echo")
def echo() -> bytes:
    response.content_type = "application/octet-stream"
    content: bytes = request.body.read()
    return content


@app.get("/file")
def file() -> Any:
    path = Path(request.query["path"])
    return static_file(path.name, root=str(path.parent), mimetype="application/octet-stream", download=True)


@app.get("/stream")
def stream() -> Iterator[bytes]:
    response.content_type = "text/plain"
    for number in range(100):
        yield b"%d\n" % number


@app.get("/broken")
def broken() -> Iterator[bytes]:
    yield b"x" * 1000
    raise RuntimeError("bottle stream fails")


@app.get("/crash")
def crash() -> None:
    raise RuntimeError("bottle view fails")


@app.get("/visits")
def visits() -> str:
    count = str(int(request.get_cookie("visits", "0")) + 1)
    response.set_cookie("visits", count, httponly=True)
    response.set_cookie("theme", "dark")
    return count
