"""What the gate asks for, over WSGI: answers with the request's path."""

from collections.abc import Iterable, Iterator
from typing import Any

INJECTED = "a\r\nx-injected: 1"


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path, headers, body = environ["PATH_INFO"], [("Content-Type", "text/plain")], b""
    if path == "/broken":
        start_response("200 OK", headers)
        return pieces()
    if path == "/cookies":
        body = environ.get("HTTP_COOKIE", "").encode("latin-1")
    elif path == "/injected":
        headers.append(("X-Value", INJECTED))
    else:
        body = path.encode("latin-1")
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def pieces() -> Iterator[bytes]:
    yield b"piece"
    raise RuntimeError("in mid-stream, as the gate wants it")
