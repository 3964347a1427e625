"""As many bytes as the last part of the path says, in one piece; hello where it says none."""

from functools import cache
from typing import Any


@cache
def answer(path: str) -> tuple[bytes, list[tuple[str, str]]]:
    """Body and header fields."""
    size = path.rpartition("/")[2]
    body = b"x" * int(size) if size else b"Hello, World!"
    kind = "application/octet-stream" if size else "text/plain"
    return body, [("Content-Type", kind), ("Content-Length", str(len(body)))]


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body, headers = answer(environ["PATH_INFO"])
    start_response("200 OK", list(headers))
    return [body]
