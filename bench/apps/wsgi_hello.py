"""The smallest answer: 13 bytes of text, written as WSGI applications write it."""

from typing import Any


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
