"""Applications that differ in what they do with lifespan; each says on stderr what happens."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def say(text: str) -> None:
    sys.stderr.write(f"application: {text}\n")


async def respond(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


def with_lifespan(lifespan: Application) -> Application:
    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        else:
            await respond(send)

    return application


@with_lifespan
async def good(scope: Message, receive: Receive, send: Send) -> None:
    say(f"scope {sorted(scope)} {scope['asgi']['version']} {scope['asgi']['spec_version']} {scope['state']}")
    say(str(await receive()))
    await send({"type": "lifespan.startup.complete"})
    say(str(await receive()))
    await send({"type": "lifespan.shutdown.complete"})
    say("done")


@with_lifespan
async def slow(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    say("starting")
    await asyncio.sleep(0.5)
    say("started")
    await send({"type": "lifespan.startup.complete"})
    await receive()


@with_lifespan
async def raising(scope: Message, receive: Receive, send: Send) -> None:
    raise NotImplementedError("no lifespan in here")


@with_lifespan
async def returning(scope: Message, receive: Receive, send: Send) -> None:
    return


@with_lifespan
async def raising_later(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    raise RuntimeError("the database is gone")


def with_a_crash(lifespan: Application) -> Application:
    """Its lifespan ends when /crash is asked for."""
    crash = asyncio.Event()

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
            await crash.wait()
            raise RuntimeError("the pool has lost its last connection")
        if scope["path"] == "/crash":
            crash.set()
        await respond(send)

    return application


@with_a_crash
async def dying(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


@with_lifespan
async def answering(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await respond(send)


@with_lifespan
async def failing(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database does not answer"})


@with_lifespan
async def failing_at_the_end(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "the disk is full"})


@with_lifespan
async def confused(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    for message in ({"type": "http.response.start"}, {"type": "lifespan.shutdown.complete"}, "text"):
        try:
            await send(message)  # type: ignore[arg-type]
        except Exception as error:
            say(f"refused: {type(error).__name__}")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@with_lifespan
async def never_ending(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("shutdown begins")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("shutdown was cancelled")
        raise
