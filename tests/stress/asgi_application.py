"""The ASGI application under stress: it does what the target of a request tells it, step by step.

A target is `/run/MARK/STEP.STEP...`; `programs.py` says what the steps are, and draws them.
"""

import asyncio
import gc
import logging
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from stress.marks import CELL, INJECTED, cell
from stress.witness import Kept, number, step_of, witness

logger = logging.getLogger("stress.application")
FILE = Path(os.environ.get("STRESS_FILE", "/nonexistent"))
PATIENCE = 0.5
"""Seconds that a step waits for what may never come, where its program does not say that it waits for ever."""


class Abandoned(BaseException):
    """No Exception: what applications raise is not always one."""


class Truth:
    """Its truth is a matter of opinion, and asking for it does something."""

    def __init__(self, act: Callable[[], None], value: bool) -> None:
        self.act = act
        self.value = value

    def __bool__(self) -> bool:
        self.act()
        return self.value


class LastWish:
    """It does something when it is destroyed, which is whenever the interpreter likes."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.myself: object = None

    def __del__(self) -> None:
        self.act()


class Named:
    """A file whose descriptor takes a detour."""

    def __init__(self, act: Callable[[], None], fd: int) -> None:
        self.act = act
        self.fd = fd

    def fileno(self) -> int:
        self.act()
        return self.fd


class Call:
    """One call of the application."""

    def __init__(self, mark: str, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.mark = mark
        self.scope = scope
        self.receive = receive
        self.send = send
        self.websocket = scope["type"] == "websocket"
        self.complete = False
        self.cell = cell(mark)

    # ---- events

    def start(self, argument: str) -> dict[str, Any]:
        """`200`, `200l64`: with a Content-Length of 64 cells, `200n5`: of 5 bytes, `200t`: with trailers."""
        headers: Any = [(b"x-mark", self.mark.encode())]
        status = int(argument[:3])
        kind, value = argument[3:4], argument[4:]
        if kind == "l":
            headers.append((b"content-length", b"%d" % (int(value) * CELL)))
        elif kind == "n":
            headers.append((b"content-length", value.encode()))
        elif kind == "g":
            headers = (each for each in [*headers, (b"x-more", b"1")])
        elif kind == "a":
            headers = self.acting(headers)
        return {"type": "http.response.start", "status": status, "headers": headers, "trailers": kind == "t"}

    def acting(self, headers: list[Any]) -> Any:
        for each in headers:
            self.act()
            yield each

    def body(self, cells: int, more: Any) -> dict[str, Any]:
        if self.websocket:
            return {"type": "websocket.send", "bytes": self.cell * cells}
        return {"type": "http.response.body", "body": self.cell * cells, "more_body": more}

    def act(self) -> None:
        """Sends a cell, without waiting, from wherever the interpreter has got to."""
        try:
            self.send(self.body(1, True))
        except Exception as error:
            witness.caught(error, "act")

    def act_at_length(self) -> None:
        """Sends more than a queue takes, and the end."""
        try:
            self.send(self.body(6000, True))
            self.send(self.body(1, False))
        except Exception as error:
            witness.caught(error, "act_at_length")

    def way(self, argument: str) -> Callable[[], None]:
        return self.act_at_length if argument.endswith("L") else self.act

    # ---- steps: answers

    async def step_s(self, argument: str) -> None:
        await self.send(self.start(argument))

    async def step_b(self, argument: str) -> None:
        await self.send(self.body(number(argument), True))

    async def step_e(self, argument: str) -> None:
        await self.send(self.body(number(argument), False))
        self.complete = True

    async def step_B(self, argument: str) -> None:  # noqa: N802 (steps are letters)
        """`send` in a task of its own."""
        await asyncio.create_task(self.send(self.body(number(argument), True)))

    async def step_A(self, argument: str) -> None:  # noqa: N802
        """Several at once, gathered."""
        await asyncio.gather(*(self.send(self.body(number(argument), True)) for _ in range(3)))

    async def step_N(self, argument: str) -> None:  # noqa: N802
        """`send` in a task that nobody awaits."""
        leave_behind(self.late(self.body(number(argument), True)))

    async def late(self, event: dict[str, Any]) -> None:
        await asyncio.sleep(0.02)
        await self.send(event)
        await asyncio.sleep(0)
        await self.send(event)

    async def step_m(self, argument: str) -> None:
        await self.send(self.body(number(argument), Truth(self.way(argument), True)))

    async def step_M(self, argument: str) -> None:  # noqa: N802
        await self.send(self.body(number(argument), Truth(self.way(argument), False)))

    async def step_f(self, argument: str) -> None:
        """A file: `f`, `fm`: its `more_body` acts, `fn`: its `fileno` does, `fe`: it ends the answer; L: at length."""
        with FILE.open("rb") as file:  # noqa: ASYNC230
            source: Any = Named(self.way(argument), file.fileno()) if "n" in argument else file
            more: Any = Truth(self.way(argument), "e" not in argument) if "m" in argument else "e" not in argument
            event = {"type": "http.response.zerocopysend", "file": source, "offset": 0, "more_body": more}
            if "c" in argument:
                event["count"] = CELL * 3
            await self.send(event)

    async def step_p(self, _argument: str) -> None:
        await self.send({"type": "http.response.pathsend", "path": str(FILE)})
        self.complete = True

    async def step_h(self, argument: str) -> None:
        links: Any = [b"</style.css>; rel=preload"]
        await self.send({"type": "http.response.early_hint", "links": self.acting(links) if argument else links})

    async def step_t(self, argument: str) -> None:
        headers: Any = [(b"x-trailer", self.mark.encode())]
        headers = self.acting(headers) if argument else headers
        await self.send({"type": "http.response.trailers", "headers": headers})

    async def step_O(self, argument: str) -> None:  # noqa: N802
        """An invalid event, or one out of order."""
        kind = ("http.response.start", "http.response.trailers", "nonsense", "websocket.accept")[number(argument) % 4]
        try:
            await self.send({"type": kind, "status": 200})
        except (RuntimeError, ValueError, TypeError, ConnectionError) as error:
            witness.caught(error, "out of order")

    # ---- steps: receiving

    async def step_r(self, _argument: str) -> None:
        await within(self.receive)

    async def step_R(self, _argument: str) -> None:  # noqa: N802
        """All of the body, as far as it comes."""
        while True:
            event = await within(self.receive)
            if event is None or event["type"] != "http.request" or not event["more_body"]:
                return

    async def step_q(self, _argument: str) -> None:
        """`receive` in a task of its own."""
        task = asyncio.create_task(self.receive())
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        if not done:
            task.cancel()

    async def step_Q(self, _argument: str) -> None:  # noqa: N802
        """Two tasks that wait for the same, and are left behind."""
        leave_behind(within(self.receive))
        leave_behind(within(self.receive))

    async def step_u(self, _argument: str) -> None:
        """Until the client has gone, however long that takes."""
        while True:
            event = await self.receive()
            if event["type"].endswith(".disconnect"):
                return

    # ---- steps: time and ends

    async def step_y(self, _argument: str) -> None:
        await asyncio.sleep(0)

    async def step_w(self, argument: str) -> None:
        await asyncio.sleep(number(argument) / 1000)

    async def step_z(self, argument: str) -> None:
        time.sleep(number(argument) / 1000)  # noqa: ASYNC251 (it holds everybody up, which is the point)

    async def step_x(self, _argument: str) -> None:
        raise RuntimeError(f"the application raises {self.mark}")

    async def step_X(self, _argument: str) -> None:  # noqa: N802
        raise Abandoned(self.mark)

    async def step_c(self, argument: str) -> None:
        """It cancels itself, and sees it at the next step that waits, or now."""
        task = asyncio.current_task()
        if task is not None:
            task.cancel()
        if argument:
            await asyncio.sleep(0)

    async def step_C(self, _argument: str) -> None:  # noqa: N802
        raise asyncio.CancelledError

    async def step_i(self, _argument: str) -> None:
        """A turn of the driver inside this one, as loops that are nested bring it about: they put the task aside."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        asyncio.tasks._leave_task(loop, task)
        try:
            witness.turn()
        finally:
            asyncio.tasks._enter_task(loop, task)

    # ---- steps: others, and what is left

    async def step_k(self, _argument: str) -> None:
        witness.kept.append(Kept(self.mark, self.send, self.receive, asyncio.current_task()))

    async def step_K(self, argument: str) -> None:  # noqa: N802
        """Another request's `send`."""
        kept = pick(argument)
        if kept is None:
            return
        event = {"type": "http.response.body", "body": cell(kept.mark) * (number(argument) % 5000), "more_body": True}
        try:
            async with asyncio.timeout(PATIENCE):
                await kept.send(event)
        except Exception as error:
            witness.caught(error, "a kept send")

    async def step_G(self, argument: str) -> None:  # noqa: N802
        """Another request's `receive`."""
        kept = pick(argument)
        if kept is not None:
            await within(kept.receive)

    async def step_o(self, argument: str) -> None:
        kept = pick(argument)
        if kept is not None and kept.task is not None and kept.task is not asyncio.current_task():
            kept.task.cancel()

    async def step_d(self, argument: str) -> None:
        LastWish(self.way(argument))

    async def step_D(self, argument: str) -> None:  # noqa: N802
        """The garbage collection will find it, at some time."""
        wish = LastWish(self.way(argument))
        wish.myself = wish

    async def step_P(self, argument: str) -> None:  # noqa: N802
        """It goes with the event that holds it."""
        event = self.body(number(argument), True)
        event["x"] = LastWish(self.act)
        awaitable = self.send(event)
        event = {}
        await awaitable

    async def step_v(self, argument: str) -> None:
        task = asyncio.current_task()
        act = self.way(argument)
        if task is not None:
            witness.left_behind.add(weakref.ref(task, lambda reference: done_with(reference, act)))

    async def step_j(self, argument: str) -> None:
        task = asyncio.current_task()
        act = self.way(argument)
        if task is not None:
            task.add_done_callback(lambda _: act())

    async def step_S(self, argument: str) -> None:  # noqa: N802
        """What the scope holds goes with it."""
        self.scope["x"] = LastWish(self.way(argument))

    async def step_g(self, _argument: str) -> None:
        gc.collect()

    async def step_l(self, _argument: str) -> None:
        logging.getLogger("fastserve.error").error("what an application logs: %s", self.mark)

    # ---- steps of a WebSocket

    async def step_a(self, argument: str) -> None:
        await self.send({"type": "websocket.accept", "headers": [(b"x-mark", self.mark.encode())]})

    async def step_n(self, argument: str) -> None:
        await self.send({"type": "websocket.close", "code": 1000 + number(argument) % 4, "reason": "enough"})

    async def step_T(self, argument: str) -> None:  # noqa: N802
        await self.send({"type": "websocket.send", "text": "ä" * number(argument)})

    async def step_E(self, argument: str) -> None:  # noqa: N802
        """Echoes this many messages, or until the client has gone."""
        for _ in range(number(argument, 1)):
            event = await within(self.receive)
            if event is None or event["type"] == "websocket.disconnect":
                return
            if event["type"] == "websocket.receive":
                await self.send({"type": "websocket.send", "bytes": event.get("bytes") or b"text"})


def leave_behind(work: Awaitable[Any]) -> None:
    task = asyncio.ensure_future(work)
    witness.left_behind.add(task)
    task.add_done_callback(after_all)


def after_all(task: "asyncio.Future[Any]") -> None:
    witness.left_behind.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        witness.caught(error, "a task left behind")


def done_with(reference: Any, act: Callable[[], None]) -> None:
    witness.left_behind.discard(reference)
    act()


def pick(argument: str) -> Kept | None:
    kept = list(witness.kept)
    return kept[number(argument) % len(kept)] if kept else None


async def within(receive: Callable[[], Awaitable[Any]]) -> Any:
    """What it gives, or None after a while: the first try is made in the very step that asks."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await receive()
    except TimeoutError:
        return None


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["path"].startswith(INJECTED):
        witness.faults.append(f"a part of a body was taken for a request: {scope['path']}")
    _, _, rest = scope["path"].partition("/run/")
    mark, _, program = rest.partition("/")
    call = Call(mark, scope, receive, send)
    scope = {}
    witness.note(mark, "begun")
    for text in program.split(".") if program else ["s200", "e1"]:
        letter, argument = step_of(text)
        step = getattr(call, f"step_{letter}", None)
        if step is not None:
            await step(argument)
    witness.note(mark, "complete" if call.complete else "returned")
