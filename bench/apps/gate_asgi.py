"""What the gate asks for, over ASGI: answers with the request's path."""

from typing import Any

INJECTED = b"a\r\nx-injected: 1"


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 # by name, as Daphne passes them so
    path, headers, body = scope["path"], [(b"content-type", b"text/plain")], b""
    if path == "/cookies":
        body = b"|".join(value for name, value in scope["headers"] if name == b"cookie")
    elif path == "/injected":
        headers.append((b"x-value", INJECTED))
    elif path != "/broken":
        body = path.encode()
    if path != "/broken":
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/broken":
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        raise RuntimeError("in mid-stream, as the gate wants it")
    await send({"type": "http.response.body", "body": body})
