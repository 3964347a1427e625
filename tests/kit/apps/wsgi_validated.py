"""An application between wsgiref's validator and the server: what either does wrong is an AssertionError.

/list /generator /write /file /echo /lines, and /wrong, of which the validator must say so
"""

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from wsgiref.validate import WSGIWarning, validator

warnings.simplefilter("error", WSGIWarning)


def pieces() -> Iterator[bytes]:
    yield b"one"
    yield b""
    yield b"two"


def content(environ: dict[str, Any], write: Any) -> Any:
    match environ["PATH_INFO"]:
        case "/generator":
            return pieces()
        case "/write":
            write(b"written ")
            return [b"yielded"]
        case "/file":
            return environ["wsgi.file_wrapper"](BytesIO(bytes(100_000)), 1000)
        case "/echo":
            return [environ["wsgi.input"].read(1_000_000)]
        case "/lines":
            lines = [environ["wsgi.input"].readline(), *environ["wsgi.input"].readlines()]
            return [b"".join(reversed(lines))]
    return [b"list"]


def inner(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"] == "/wrong":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Status", "200")])
    environ["wsgi.errors"].write("validated " + environ["PATH_INFO"] + "\n")
    environ["wsgi.errors"].flush()
    return content(environ, start_response("200 OK", [("Content-Type", "application/octet-stream")]))


app = validator(inner)
