"""A streamed answer: 100 pieces of 1 KiB from a generator, without a length, so that they leave as chunks.

`start_response` is called before the generator runs: not every server waits for a later call.
"""

from collections.abc import Iterator
from typing import Any

PIECES = 100
PIECE = b"x" * 1024


def app(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return pieces()


def pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE
