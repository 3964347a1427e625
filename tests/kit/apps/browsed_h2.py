"""A page that uses HTTP/2 as a site does: many requests, an upload, a stream, a WebSocket. It reports what it saw:
/seen waits for that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]

PAGE = b"""<!doctype html><meta charset="utf-8"><script>
async function echo(body) {
  const answer = await fetch('/echo', {method: 'POST', body});
  return new Uint8Array(await answer.arrayBuffer());
}
function socket() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/socket`);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = (event) => { socket.close(); resolve(event.data); };
    socket.onerror = reject;
  });
}
(async () => {
  const said = [];
  const small = await Promise.all(Array.from({length: 50}, (_, i) => echo('x'.repeat(i))));
  said.push(small.filter((body, i) => body.length === i).length + ' uploads');
  said.push((await echo(new Uint8Array(1 << 20))).length + ' bytes');
  const lines = await (await fetch('/stream')).text();
  said.push('a stream of ' + lines.trim().split('\\n').length);
  if (await socket() === 'hello') said.push('a WebSocket');
  const protocols = new Set(performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol));
  return [...protocols].join() + ' ' + said.join(', ');
})().catch(String).then((text) => fetch('/report', {method: 'POST', body: text}));
</script>"""


reported: asyncio.Queue[bytes] = asyncio.Queue()


async def whole_body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return body


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
        return
    assert scope["type"] == "http"
    kind = b"text/html" if scope["path"] == "/page" else b"application/octet-stream"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if scope["path"] == "/stream":
        for number in range(100):
            await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
    elif scope["path"] == "/echo":
        await send({"type": "http.response.body", "body": await whole_body(receive), "more_body": True})
    elif scope["path"] == "/report":
        reported.put_nowait(await whole_body(receive))
    elif scope["path"] == "/seen":
        await send({"type": "http.response.body", "body": await reported.get(), "more_body": True})
    await send({"type": "http.response.body", "body": PAGE if scope["path"] == "/page" else b""})
