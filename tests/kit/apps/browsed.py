"""A page whose script speaks over a WebSocket and reports what it has seen; /seen waits for the report."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PAGE = b"""<!doctype html>
<title>WebSocket</title>
<script>
  const seen = [];
  const socket = new WebSocket(`ws://${location.host}/ws`, ["chat"]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { seen.push(`open ${socket.protocol}`); socket.send("hello"); };
  socket.onmessage = (event) => {
    if (typeof event.data === "string") {
      seen.push(`echo ${event.data}`);
      socket.send(new Uint8Array([1, 2, 3]));
    } else {
      seen.push(`echo ${event.data.byteLength} bytes`);
      socket.send("bye");
    }
  };
  socket.onclose = (event) => {
    seen.push(`closed ${event.code} ${event.reason} ${event.wasClean}`);
    fetch("/report", { method: "POST", body: seen.join("|") });
  };
</script>
"""

reports: asyncio.Queue[bytes] = asyncio.Queue()

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def answer(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": body})


async def converse(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "bye":
            await send({"type": "websocket.close", "code": 3000, "reason": "as you wish"})
        else:
            await send({**event, "type": "websocket.send"})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await converse(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/report":
        reports.put_nowait((await receive())["body"])
        await answer(send, b"")
    elif scope["type"] == "http" and scope["path"] == "/seen":
        await answer(send, await reports.get())
    elif scope["type"] == "http":
        await answer(send, PAGE)
