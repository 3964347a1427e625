"""What the slow clients ask for, beside hello for the others.

POST /upload reads the body in pieces and answers with its length; GET /download?BYTES is BYTES bytes from a generator.
"""

from collections.abc import Iterable, Iterator
from typing import Any

BLOCK = 65_536


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/download":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return pieces(int(environ["QUERY_STRING"]))
    body = b"Hello, World!"
    if environ["PATH_INFO"] == "/upload":
        body = str(count(environ["wsgi.input"], int(environ["CONTENT_LENGTH"]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def count(body: Any, announced: int) -> int:
    """Bytes that are there, of those announced: PEP 3333 lets a server block on a read past the end."""
    left = announced
    while left and (piece := body.read(min(left, BLOCK))):
        left -= len(piece)
    return announced - left


def pieces(size: int) -> Iterator[bytes]:
    block = b"x" * BLOCK
    for _ in range(size // BLOCK):
        yield block
    if rest := size % BLOCK:
        yield block[:rest]
