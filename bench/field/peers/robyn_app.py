"""`robyn_app.py PORT`: the applications of hello and json, for Robyn, which speaks neither ASGI nor WSGI.

It runs in the peers' environment, so it imports nothing of the benchmark. The routes are plain functions that run for
each request: `const=True` would answer from a cache without calling Python.
"""

import json
import sys
from typing import Any

from robyn import Response, Robyn  # type: ignore[import-not-found]  # the peers' environment has it

app = Robyn(__file__)
TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}


@app.get("/")  # type: ignore[untyped-decorator]
async def hello() -> Any:
    return Response(200, TEXT, "Hello, World!")


@app.get("/json")  # type: ignore[untyped-decorator]
async def document() -> Any:
    return Response(200, JSON, json.dumps({"message": "Hello, World!"}))


if __name__ == "__main__":
    app.start("127.0.0.1", int(sys.argv[1]))
