"""An application that runs its loop within itself, by nest_asyncio.

/nested     waits for /open within a loop that runs inside of its first step, then answers
/later      the same after it has suspended
/body       the same after it has waited for the request's body
/open       lets them go on
/apply      applies nest_asyncio, and runs the loop within the same step
/sockets    a WebSocket whose messages are answered from within a nested loop
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import nest_asyncio  # type: ignore[import-untyped]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

if "NEST_LATER" not in os.environ:
    nest_asyncio.apply(asyncio.new_event_loop())

gate = asyncio.Event()
inside = 0


def nested(work: Any) -> Any:
    return asyncio.get_running_loop().run_until_complete(work)


async def wait() -> None:
    global inside
    inside += 1
    await gate.wait()
    inside -= 1


async def answer(send: Send, data: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": data})


async def converse(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        nested(asyncio.sleep(0.01))
        await send({"type": "websocket.send", "text": event["text"]})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    if scope["type"] == "websocket":
        await converse(receive, send)
        return
    match scope["path"]:
        case "/nested":
            nested(wait())
        case "/later":
            await asyncio.sleep(0)
            nested(wait())
        case "/body":
            while (await receive()).get("more_body"):
                nested(asyncio.sleep(0))
            nested(wait())
        case "/open":
            gate.set()
        case "/close":
            gate.clear()
        case "/apply":
            nest_asyncio.apply()
            nested(asyncio.sleep(0.5))
        case "/inside":
            await answer(send, b"%d" % inside)
            return
    await answer(send, b"ok")
