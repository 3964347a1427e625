"""An application that waits for something else, a database say, for 10 ms."""

import time
from typing import Any

WAIT = 0.010


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    time.sleep(WAIT)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
