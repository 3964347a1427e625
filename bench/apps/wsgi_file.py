"""A file of 100 KiB: by wsgi.file_wrapper where the server has it, else as an iterable of pieces."""

from collections.abc import Iterable
from typing import Any
from wsgiref.util import FileWrapper

from stored_file import PATH, SIZE  # type: ignore[import-not-found]  # beside it

BLOCK = 65_536
HEADERS = [("Content-Type", "application/octet-stream"), ("Content-Length", str(SIZE))]


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", list(HEADERS))
    wrap = environ.get("wsgi.file_wrapper", FileWrapper)
    answer: Iterable[bytes] = wrap(PATH.open("rb"), BLOCK)  # the server closes it
    return answer
