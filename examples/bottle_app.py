"""Bottle: a route with a parameter, a form with a file, a streamed answer, a download.

pip install bottle
fastserve examples.bottle_app:app
"""
# mypy: disallow-untyped-decorators=False

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import Bottle, request, response, static_file

app = Bottle()


@app.get("/")
def index() -> dict[str, Any]:
    return {"hello": request.query.getunicode("name", "fastserve")}


@app.get("/items/<number:int>")
def item(number: int) -> dict[str, Any]:
    return {"number": number}


@app.post("/upload")
def upload() -> dict[str, Any]:
    file = request.files["file"]
    return {"name": file.raw_filename, "size": len(file.file.read())}


@app.get("/stream")
def stream() -> Iterator[bytes]:
    response.content_type = "text/plain"
    for number in range(1, 6):
        yield b"piece %d\n" % number


@app.get("/source")
def source() -> Any:
    """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
    path = Path(__file__)
    return static_file(path.name, root=str(path.parent), mimetype="text/x-python")
