"""What an API answers to a browser: a small JSON document with six header fields.

The document is made once: what is measured is the server, not the json module.
"""

import json
from typing import Any

BODY = json.dumps(
    {
        "id": 4711,
        "name": "Ada Lovelace",
        "roles": ["admin", "author"],
        "active": True,
        "links": {"self": "/api/users/4711", "posts": "/api/users/4711/posts"},
    }
).encode()
HEADERS = [
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
    ("Cache-Control", "private, max-age=60"),
    ("ETag", '"5d8c72a5edda8d6a"'),
    ("Vary", "accept-encoding, cookie"),
    ("X-Request-ID", "8a3f0c52-6f0b-4b43-9d43-0a1f6f3f2f55"),
]


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", list(HEADERS))
    return [BODY]
