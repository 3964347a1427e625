"""python-socketio, and a page that speaks to it by WebSocket alone. It reports what it saw: /seen waits for that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import socketio

Message = dict[str, Any]

PAGE = b"""<!doctype html><meta charset="utf-8"><script>
const report = (text) => fetch('/report', {method: 'POST', body: text});
fetch('/report-nothing').then(() => {
  const socket = new WebSocket(`wss://${location.host}/socket.io/?EIO=4&transport=websocket`);
  const seen = [];
  socket.onmessage = (event) => {
    seen.push(event.data);
    if (event.data.startsWith('0')) socket.send('40');
    else if (event.data.startsWith('40')) socket.send('42["say","hello"]');
    else if (event.data.startsWith('42')) report(event.data);
  };
  socket.onclose = (event) => report(`closed with ${event.code} after ${seen}`);
});
</script>"""

reported: asyncio.Queue[bytes] = asyncio.Queue()

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


@server.event  # type: ignore[untyped-decorator]
async def say(sid: str, text: str) -> None:
    await server.emit("said", text.upper(), to=sid)


async def page(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    body = b""
    if scope["path"] == "/report":
        reported.put_nowait((await receive())["body"])
    elif scope["path"] == "/seen":
        body = await reported.get()
    elif scope["path"] == "/page":
        body = PAGE
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": body})


app = socketio.ASGIApp(server, page)
