"""gRPC as an ASGI application: the framing of its messages, the status in the trailers, no library.

/test.Echo/Unary     the message
/test.Echo/Collect   how many messages the client has sent, and their bytes
/test.Echo/Count     as many messages as the one that came says, a turn of the loop between two
/test.Echo/Talk      each message, as soon as it has come
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/grpc")],
    "trailers": True,
}


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


async def messages(receive: Receive) -> AsyncIterator[bytes]:
    """Those of the request's body, each as soon as it is there."""
    kept, more = b"", True
    while more:
        event = await receive()
        assert event["type"] == "http.request", event
        kept += event.get("body", b"")
        more = event.get("more_body", False)
        while len(kept) >= 5 and len(kept) >= (end := 5 + int.from_bytes(kept[1:5], "big")):
            assert kept[0] == 0, "nothing is compressed"
            yield kept[5:end]
            kept = kept[end:]
    assert not kept, "a message was cut"


async def unary(incoming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    found = [message async for message in incoming]
    assert len(found) == 1
    yield found[0]


async def collect(incoming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    sizes = [len(message) async for message in incoming]
    yield repr((len(sizes), sum(sizes))).encode()


async def count(incoming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for message in incoming:
        for number in range(int(message)):
            yield str(number).encode()
            await asyncio.sleep(0)


async def talk(incoming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for message in incoming:
        yield message


METHODS = {"/test.Echo/Unary": unary, "/test.Echo/Collect": collect, "/test.Echo/Count": count, "/test.Echo/Talk": talk}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError(f"no {scope['type']} here")
    await send(START)
    async for message in METHODS[scope["path"]](messages(receive)):
        await send({"type": "http.response.body", "body": framed(message), "more_body": True})
    await send({"type": "http.response.body"})
    await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})
