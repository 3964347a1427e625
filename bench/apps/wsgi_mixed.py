"""Hello at once, or after as many milliseconds as the path says, as what waits for a database does."""

import time
from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if wait := environ["PATH_INFO"][1:]:
        time.sleep(int(wait) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
