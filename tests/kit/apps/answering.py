"""The application of the golden cases: golden/README.md says what each path does."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TYPE = (b"content-type", b"text/plain")
HOP = [
    (b"connection", b"x-secret"),
    (b"keep-alive", b"timeout=5"),
    (b"Transfer-Encoding", b"chunked"),
    (b"X-Kept", b"yes"),
]
EXTRA = {
    b"/hop": HOP,
    b"/close": [(b"connection", b"close")],
    b"/bad-value": [(b"x-bad", b"a\r\nx-injected: b")],
    b"/bad-name": [(b"x bad", b"a")],
}
# The fields and the pieces of an answer; the last piece ends it, an ending None raises instead.
PIECES: dict[bytes, tuple[list[tuple[bytes, bytes]], list[bytes | None]]] = {
    b"/early": ([], [b"early"]),
    b"/stream": ([], [b"one", b"two", b""]),
    b"/length": ([(b"content-length", b"6")], [b"one", b"two", b""]),
    b"/long": ([(b"content-length", b"3")], [b"hello"]),
    b"/short": ([(b"content-length", b"10")], [b"hello"]),
    b"/raise-late": ([], [b"one", None]),
}


async def read(receive: Receive) -> bytes | None:
    """The body, or None when the client has left before its end."""
    data, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        data += event.get("body", b"")
        more = event.get("more_body", False)
    return data


async def answer(send: Send, fields: list[tuple[bytes, bytes]], pieces: list[bytes | None], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [TYPE, *fields]})
    for number, piece in enumerate(pieces, 1):
        if piece is None:
            raise RuntimeError("after the start")
        await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


async def with_trailers(scope: Message, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [TYPE], "trailers": True})
    await send({"type": "http.response.body", "body": b"one"})
    if "http.response.trailers" in scope["extensions"]:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    await respond(scope["raw_path"] + query, scope, receive, send)


async def respond(target: bytes, scope: Message, receive: Receive, send: Send) -> None:
    """Answers a request whose target on the wire was this one; a scope does not tell it where it was absolute."""
    data = b"" if target == b"/early" else await read(receive)
    if data is None:
        return
    if target == b"/raise":
        raise RuntimeError("before the start")
    if target == b"/trailers":
        await with_trailers(scope, send)
    elif target.startswith(b"/status/"):
        await answer(send, [], [b""], int(target[8:]))
    elif target in PIECES:
        await answer(send, *PIECES[target])
    else:
        if target == b"/hints":
            await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        line = b"%s %s %d" % (scope["method"].encode(), target, len(data))
        await answer(send, EXTRA.get(target, []), [line])
