"""Flask: a form with a file, of which the answer tells the title, the name and the size."""

from flask import Flask, Response, json, request

app = Flask(__name__)


@app.post("/")
def upload() -> Response:
    file = request.files["file"]
    told = {"title": request.form["title"], "name": file.filename, "size": len(file.read())}
    return Response(json.dumps(told, separators=(",", ":"), sort_keys=False), mimetype="application/json")
