"""Fast calls, and among every thousand one that waits for 50 ms."""

import itertools
import time
from typing import Any

EVERY = 1000
WAIT = 0.050

calls = itertools.count(1)  # `next` on it is one step under the GIL: no call is counted twice


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if next(calls) % EVERY == 0:
        time.sleep(WAIT)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
