"""A small answer with fifteen fields."""

from typing import Any

from head_fields import BODY, FIELDS  # type: ignore[import-not-found]  # beside it

HEADERS = [(name.encode(), value.encode()) for name, value in FIELDS.items()]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
