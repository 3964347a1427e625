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
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"cache-control", b"private, max-age=60"),
    (b"etag", b'"5d8c72a5edda8d6a"'),
    (b"vary", b"accept-encoding, cookie"),
    (b"x-request-id", b"8a3f0c52-6f0b-4b43-9d43-0a1f6f3f2f55"),
]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
