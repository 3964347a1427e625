"""A page and the WebSocket that it opens: `fastserve examples.websocket:app`, then http://127.0.0.1:8000/ in a browser.

What is sent comes back; "bye" closes it with a reason.
"""

from collections.abc import Awaitable, Callable
from typing import Any

PAGE = b"""<!doctype html>
<title>WebSocket</title>
<input id="text" placeholder="say something, or bye" autofocus>
<ul id="log"></ul>
<script>
  const log = document.getElementById("log"), text = document.getElementById("text");
  const show = (line) => log.appendChild(document.createElement("li")).textContent = line;
  const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/echo`, ["echo"]);
  socket.onopen = () => show(`open: ${socket.protocol}`);
  socket.onmessage = (event) => show(`echo: ${event.data}`);
  socket.onclose = (event) => show(`closed: ${event.code} ${event.reason}`);
  text.onchange = () => { socket.send(text.value); text.value = ""; };
</script>
"""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def page(send: Send) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "echo" if "echo" in scope["subprotocols"] else None})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "bye":
            await send({"type": "websocket.close", "code": 3000, "reason": "as you wish"})
        else:
            await send({**event, "type": "websocket.send"})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    elif scope["type"] == "http":
        await page(send)
