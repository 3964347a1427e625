"""Flask: a route with a parameter, a form with a file, a streamed answer, a download.

pip install flask
fastserve examples.flask_app:app
"""

from collections.abc import Iterator

from flask import Flask, Response, request, send_file
from flask.typing import ResponseReturnValue

app = Flask(__name__)


@app.get("/")
def index() -> ResponseReturnValue:
    return {"hello": request.args.get("name", "fastserve")}


@app.get("/items/<int:number>")
def item(number: int) -> ResponseReturnValue:
    return {"number": number}


@app.post("/upload")
def upload() -> ResponseReturnValue:
    """The body has arrived as a whole: a slow client holds no thread."""
    file = request.files["file"]
    return {"name": file.filename, "size": len(file.read())}


@app.get("/stream")
def stream() -> ResponseReturnValue:
    def pieces() -> Iterator[bytes]:
        for number in range(1, 6):
            yield b"piece %d\n" % number

    return Response(pieces(), content_type="text/plain")


@app.get("/source")
def source() -> ResponseReturnValue:
    """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
    return send_file(__file__, mimetype="text/x-python")
