"""The smallest answer: 13 bytes of text."""

from typing import Any

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
BODY = {"type": "http.response.body", "body": b"Hello, World!"}


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)
