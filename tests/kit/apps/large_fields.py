"""Answers with many fields: /head/N/SIZE, /trailers/N/SIZE and /hints/N/SIZE have N of SIZE bytes there."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    assert scope["type"] == "http"
    _, word, *numbers = f"{scope['path']}/0/0".split("/")
    count, size = int(numbers[0]), int(numbers[1])
    fields = [(b"x-%d" % number, b"v" * size) for number in range(count)]
    if word == "hints":
        await send({"type": "http.response.early_hint", "links": [value for _, value in fields]})
    head = fields if word == "head" else []
    await send({"type": "http.response.start", "status": 200, "headers": head, "trailers": word == "trailers"})
    await send({"type": "http.response.body", "body": b"ok"})
    if word == "trailers":
        await send({"type": "http.response.trailers", "headers": fields})
