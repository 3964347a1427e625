"""A file of 100 KiB, or of as many bytes as the query says: by wsgi.file_wrapper where the server has it, else as an
iterable of pieces."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

from stored_file import SIZE, stored  # type: ignore[import-not-found]  # beside it

BLOCK = 65_536


@cache
def asked(query: str) -> tuple[Path, list[tuple[str, str]]]:
    """The file and the header fields."""
    size = int(query or SIZE)
    return stored(size), [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))]


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path, headers = asked(environ.get("QUERY_STRING", ""))
    start_response("200 OK", list(headers))
    wrap = environ.get("wsgi.file_wrapper", FileWrapper)
    answer: Iterable[bytes] = wrap(path.open("rb"), BLOCK)  # the server closes it
    return answer
