"""A small JSON document, made anew for each request, as an API does it."""

import json
from typing import Any


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = json.dumps({"message": "Hello, World!"}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
