"""An application that does what the request's query says, step by step, and notes what it saw.

/run/KEY?STEPS      performs the steps (a Python literal: a list of tuples)
/journal/KEY/N      the notes of a run, when there are N of them ("end": when it is over)
/progress/KEY       (bytes sent, whether it waits in send)
/open/NAME          lets ("wait", NAME) go on
/scope              the scope as a literal
/ledger             live objects of the compiled core
/objects            how many objects of each of the core's kinds there are
/collected          the same after a collection
/echo               the request's body; each message of a WebSocket
everything else     b"ok"
"""

import ast
import asyncio
import gc
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

MOST_NOTES = 1000
"""Of a run that many clients ask for: their memory would hide the server's."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Run:
    """What one scripted request did."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.changed = asyncio.Condition()
        self.sent = 0
        self.sending = False

    def keep(self, entry: tuple[Any, ...]) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(entry)

    async def note(self, *entry: Any) -> None:
        async with self.changed:
            self.keep(entry)
            self.changed.notify_all()

    async def reached(self, wanted: str) -> list[Any]:
        def enough() -> bool:
            if wanted == "end":
                return bool(self.notes) and self.notes[-1][0] == "end"
            return len(self.notes) >= int(wanted)

        async with self.changed:
            await self.changed.wait_for(enough)
        return self.notes


runs: defaultdict[str, Run] = defaultdict(Run)
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


class Performer:
    """Performs the steps of one request."""

    def __init__(self, key: str, scope: Message, receive: Receive, send: Send) -> None:
        self.key, self.scope, self.receive = key, scope, receive
        self.run = runs[key]
        self._send = send

    async def send(self, message: Any) -> None:
        self.run.sending = True
        await self._send(message)
        self.run.sending = False
        if isinstance(message, dict):
            self.run.sent += len(message.get("body", b""))

    async def perform(self, steps: list[Any]) -> None:
        for name, *arguments in steps:
            await getattr(self, "do_" + name)(*arguments)

    async def do_send(self, message: Any) -> None:
        await self.send(message)

    async def do_try(self, message: Any) -> None:
        """A message that may be refused: notes "sent", or the exception's classes and text."""
        try:
            await self.send(message)
        except Exception as error:
            await self.run.note("refused", [kind.__name__ for kind in type(error).__mro__], str(error))
        else:
            await self.run.note("sent")

    async def do_later(self, message: Any) -> None:
        """Calls `send`, notes that it came back, and awaits what it gave a turn of the loop later."""
        sending = self._send(message)
        await self.run.note("called")
        await asyncio.sleep(0)
        try:
            await sending
        except Exception as error:
            await self.run.note("refused", type(error).__name__)
        else:
            await self.run.note("sent")

    async def do_by_task(self, message: Any) -> None:
        """The same by a task."""
        task: asyncio.Task[None] = asyncio.create_task(self._send(message))  # type: ignore[arg-type]
        await asyncio.wait([task])
        error = task.exception()
        await self.run.note("sent" if error is None else "refused", *[type(error).__name__] * (error is not None))

    async def do_gather(self, *messages: Any) -> None:
        """All at once; notes what came of each."""
        results = await asyncio.gather(*map(self._send, messages), return_exceptions=True)
        await self.run.note(*[result and type(result).__name__ for result in results])

    async def do_forget(self, message: Any) -> None:
        """Calls `send` and does not await it."""
        self._send(message)

    async def do_receive(self) -> None:
        event = await self.receive()
        assert type(event) is dict
        await self.run.note("event", event)

    async def do_body(self) -> None:
        """Takes events until the body's end or the disconnect; notes the number of bytes and the last event's type."""
        size = 0
        event: Message = {"type": "http.request", "more_body": True}
        while event["type"] == "http.request" and event.get("more_body", False):
            event = await self.receive()
            size += len(event.get("body", b""))
        await self.run.note("body", size, event["type"])

    async def do_echo(self) -> None:
        """Sends each piece of the request's body back as it comes."""
        await self.send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await self.receive()
            more = event.get("more_body", False)
            await self.send({"type": "http.response.body", "body": event.get("body", b""), "more_body": more})

    async def do_note(self, *entry: Any) -> None:
        await self.run.note(*entry)

    async def do_wait(self, gate: str) -> None:
        await gates[f"{self.key}.{gate}"].wait()

    async def do_raise(self, text: str) -> None:
        raise RuntimeError(text)

    async def do_raise_disconnect(self, name: str, wrapped: str = "") -> None:
        """What a framework raises, by its name."""
        error = type(name, (Exception,), {})("1006")
        raise ExceptionGroup(wrapped, [error]) if wrapped else error

    async def do_exit(self) -> None:
        raise SystemExit("from the application")

    async def do_pieces(self, count: int, size: int, last: bool = True) -> None:
        for number in range(count):
            more = not last or number + 1 < count
            await self.send({"type": "http.response.body", "body": bytes(size), "more_body": more})

    async def do_ticks(self, seconds: float) -> None:
        """A piece each time, for ever."""
        while True:
            await self.send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(seconds)

    async def do_endless(self, size: int) -> None:
        piece = bytes(size)
        while True:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def do_until_refused(self, size: int) -> None:
        """Sends pieces until `send` raises, a turn of the loop between two; notes the exception."""
        piece = bytes(size)
        try:
            while True:
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
        except Exception as error:
            await self.run.note("refused", [kind.__name__ for kind in type(error).__mro__], str(error))
            raise

    async def do_turn(self, turns: int = 1) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def do_pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def do_block(self, seconds: float) -> None:
        """Keeps the whole worker busy."""
        time.sleep(seconds)  # noqa: ASYNC251 - the point of it

    async def do_say(self, text: str) -> None:
        """To stderr: for what happens while the server stops and answers no questions any more."""
        sys.stderr.write(f"{text}\n")

    async def do_say_received(self, text: str) -> None:
        event = await self.receive()
        await self.do_say(f"{text} {event['type']} {event.get('code')}")

    async def do_hold(self, text: str) -> None:
        """Waits for ever; says when it is told and when it is cancelled."""
        await self.do_say(f"{text} waits")
        try:
            event = await self.receive()
            await self.do_say(f"{text} was told {event['type']}")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.do_say(f"{text} was cancelled")
            raise

    async def do_both(self, first: list[Any], second: list[Any]) -> None:
        """Two tasks of one request."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.perform([first]))
            group.create_task(self.perform([second]))

    async def do_accepted(self) -> None:
        """Takes websocket.connect and accepts."""
        event = await self.receive()
        assert event == {"type": "websocket.connect"}
        await self.send({"type": "websocket.accept"})

    async def do_echoes(self) -> None:
        """Sends each WebSocket message back until the disconnect, which it notes."""
        while (event := await self.receive())["type"] == "websocket.receive":
            await self.send({**event, "type": "websocket.send"})
        await self.run.note("event", event)

    async def do_flood(self, size: int) -> None:
        """Sends messages until `send` raises; notes the exception."""
        message = {"type": "websocket.send", "bytes": bytes(size)}
        try:
            while True:
                await self.send(message)
                self.run.sent += size
        except Exception as error:
            await self.run.note("refused", [kind.__name__ for kind in type(error).__mro__], str(error))

    async def do_file(self, path: str, arguments: Message) -> None:
        """zerocopysend of an open file object, or of its descriptor number."""
        as_number = arguments.pop("as_number", False)
        seek = arguments.pop("seek", None)
        with Path(path).open("rb") as file:  # noqa: ASYNC230 - a local file
            if seek is not None:
                file.seek(seek)
            await self.send(
                {"type": "http.response.zerocopysend", "file": file.fileno() if as_number else file, **arguments}
            )
            await self.run.note("still open", not file.closed and os.fstat(file.fileno()).st_size)


async def answer(send: Send, data: bytes, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": data})


async def perform(key: str, scope: Message, receive: Receive, send: Send) -> None:
    run = runs[key]
    outcome: Any = None
    try:
        steps = ast.literal_eval(unquote_to_bytes(scope["query_string"]).decode())
        await Performer(key, scope, receive, send).perform(steps)
    except BaseException as error:
        outcome = (type(error).__name__, str(error))
        raise
    finally:
        run.keep(("end", outcome))
        # An uncontended condition is taken without suspending, also in a task that is being cancelled.
        async with run.changed:
            run.changed.notify_all()


async def echo(receive: Receive, send: Send) -> None:
    data, more = b"", True
    while more:
        event = await receive()
        data += event.get("body", b"")
        more = event.get("more_body", False)
    await answer(send, data)


def ledger() -> dict[str, int]:
    from fastserve import _core

    counts: dict[str, int] = _core.ledger()
    return counts


def objects(*, collect: bool) -> dict[str, int]:
    if collect:
        gc.collect()
    return Counter(
        type(each).__name__ for each in gc.get_objects() if str(type(each).__module__).startswith("fastserve.")
    )


def literal(value: Any) -> bytes:
    return repr(value).encode()


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    word, *rest = scope["path"].removeprefix(scope["root_path"]).removeprefix("/").split("/")
    match word:
        case "run":
            await perform(rest[0], scope, receive, send)
        case "journal":
            await answer(send, literal(await runs[rest[0]].reached(rest[1])))
        case "progress":
            await answer(send, literal((runs[rest[0]].sent, runs[rest[0]].sending)))
        case "open":
            gates[rest[0]].set()
            await answer(send, b"open")
        case "scope" if scope["type"] == "websocket":
            scoped = {"type": "websocket.send", "text": repr(scope)}
            await Performer("scope", scope, receive, send).perform([("accepted",), ("send", scoped), ("echoes",)])
        case "scope":
            await answer(send, literal({**scope, "kind": type(scope).__name__}))
        case "ledger":
            await answer(send, literal(ledger()))
        case "objects" | "collected":
            await answer(send, literal(dict(objects(collect=word == "collected"))))
        case "echo" if scope["type"] == "websocket":
            await Performer("echo", scope, receive, send).perform([("accepted",), ("echoes",)])
        case "echo":
            await echo(receive, send)
        case _:
            await answer(send, b"ok")
