"""Flask: routes, forms, files, a stream, failures, cookies."""

import hashlib
from collections.abc import Iterator

from flask import Flask, Response, make_response, request, send_file
from flask.typing import ResponseReturnValue

app = Flask(__name__)


@app.get("/items/<int:number>")
def item(number: int) -> ResponseReturnValue:
    return {"number": number, "name": request.args.get("name"), "client": request.remote_addr, "url": request.base_url}


@app.post("/form")
def form() -> ResponseReturnValue:
    return {"name": request.form["name"], "several": request.form.getlist("several")}


@app.post("/upload")
def upload() -> ResponseReturnValue:
    file = request.files["file"]
    content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    return {"title": request.form["title"], "name": file.filename, "size": len(content), "sha256": digest}


@app.post("/echo")
def echo() -> ResponseReturnValue:
    return Response(request.get_data(), content_type="application/octet-stream")


@app.get("/file")
def file() -> ResponseReturnValue:
    return send_file(request.args["path"], mimetype="application/octet-stream", as_attachment=True)


@app.get("/stream")
def stream() -> ResponseReturnValue:
    return Response((b"%d\n" % number for number in range(100)), content_type="text/plain")


@app.get("/broken")
def broken() -> ResponseReturnValue:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        raise RuntimeError("flask stream fails")

    return Response(pieces(), content_type="text/plain")


@app.get("/crash")
def crash() -> ResponseReturnValue:
    raise RuntimeError("flask view fails")


@app.get("/visits")
def visits() -> ResponseReturnValue:
    response = make_response(str(int(request.cookies.get("visits", "0")) + 1))
    response.set_cookie("visits", response.get_data(as_text=True), httponly=True)
    response.set_cookie("theme", "dark")
    return response
