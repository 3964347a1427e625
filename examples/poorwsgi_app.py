"""PoorWSGI: a route with a parameter, a form with a file, a streamed answer, a download.

pip install PoorWSGI
fastserve examples.poorwsgi_app:app
"""
# mypy: disallow-untyped-calls=False, disallow-untyped-decorators=False

from collections.abc import Iterator
from typing import Any

from poorwsgi import Application, state
from poorwsgi.request import Request
from poorwsgi.response import FileResponse, GeneratorResponse

app = Application("example")


@app.route("/")
def index(request: Request) -> dict[str, Any]:
    return {"hello": request.args.getfirst("name", "fastserve")}


@app.route("/items/<number:int>")
def item(request: Request, number: int) -> dict[str, Any]:
    return {"number": number}


@app.route("/upload", method=state.METHOD_POST)
def upload(request: Request) -> dict[str, Any]:
    file = request.form["file"]
    return {"name": file.filename, "size": len(file.file.read())}


@app.route("/stream")
def stream(request: Request) -> GeneratorResponse:
    def pieces() -> Iterator[bytes]:
        for number in range(1, 6):
            yield b"piece %d\n" % number

    return GeneratorResponse(pieces(), content_type="text/plain")


@app.route("/source")
def source(request: Request) -> FileResponse:
    """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
    return FileResponse(__file__, content_type="text/x-python")
