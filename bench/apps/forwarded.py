"""Says what a server makes of a proxy's fields: the scheme and the client's address."""

from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    body = f"{scope['scheme']} {scope['client'][0]}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
