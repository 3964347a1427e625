"""Reads the whole body in pieces and answers with its length in bytes."""

from typing import Any

BLOCK = 65_536


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    announced = left = int(environ["CONTENT_LENGTH"])
    while left and (piece := environ["wsgi.input"].read(min(left, BLOCK))):  # PEP 3333: no read past the end
        left -= len(piece)
    body = str(announced - left).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
