"""The lifespan protocol: one scope for each event loop, startup before the first connection, shutdown after the last.

Specification: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import asyncio
import enum
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from fastserve.app.application import ASGI3
from fastserve.errors import StartError, summary

logger = logging.getLogger("fastserve")

RETURN_GRACE = 1.0
"""Seconds within which an application has to return after its last event, before its task is cancelled."""


class Phase(enum.Enum):
    """Where the application is; `_TRANSITIONS` says what moves it."""

    IDLE = enum.auto()
    STARTING = enum.auto()
    STARTED = enum.auto()
    STOPPING = enum.auto()
    STOPPED = enum.auto()
    FAILED = enum.auto()
    ABSENT = enum.auto()
    """The application ended without an answer to the startup event: it does not know the protocol."""
    ENDED = enum.auto()
    """The application ended after its startup, before it was asked to."""


_TRANSITIONS = {
    (Phase.STARTING, "lifespan.startup.complete"): Phase.STARTED,
    (Phase.STARTING, "lifespan.startup.failed"): Phase.FAILED,
    (Phase.STARTING, "end"): Phase.ABSENT,
    (Phase.STARTED, "end"): Phase.ENDED,
    (Phase.STOPPING, "lifespan.shutdown.complete"): Phase.STOPPED,
    (Phase.STOPPING, "lifespan.shutdown.failed"): Phase.FAILED,
    (Phase.STOPPING, "end"): Phase.ENDED,
}
_ANSWERS = frozenset(event for _, event in _TRANSITIONS if event != "end")


class Lifespan:
    """One application's lifespan in the running loop.

    app: in ASGI 3 form.
    mode: auto, on or off, as the option.
    """

    def __init__(self, app: ASGI3, mode: str) -> None:
        self._app = app
        self._mode = mode
        self._phase = Phase.IDLE
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._message = ""
        self._error: BaseException | None = None
        self._received = False
        """Whether the application has received an event: from then on what it raises is a failure of its own."""
        self._refused: ValueError | None = None
        """What `send` last raised for a message that is not a lifespan event."""
        self._abandoned = False
        self._state: dict[str, Any] = {}

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What the application put in `scope["state"]`; None when it has no lifespan."""
        return self._state if self._phase in (Phase.STARTED, Phase.ENDED) else None

    async def startup(self) -> None:
        """Sends the startup event and waits for the answer, without limit. Raises StartError if the startup failed."""
        if self._mode == "off":
            return
        self._phase = Phase.STARTING
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(self._run(), name="fastserve lifespan")
        await self._moved.wait()
        if self._phase is Phase.FAILED:
            self._log_failure("startup")
            raise StartError("the application's startup failed")
        if self._phase is Phase.ABSENT:
            self._without()

    def _without(self) -> None:
        """Goes on without lifespan if the application ended because it has none; otherwise raises StartError."""
        how = f"raised {summary(self._error)}" if self._error is not None else "returned"
        if self._error is not None and self._received and not self._raised_our_refusal():
            raise StartError(f"the application's startup failed: it {how}") from self._error
        if self._mode == "on":
            raise StartError(f"the application does not support lifespan: it {how}") from self._error
        logger.info("the application does not support lifespan (it %s); going on without", how)
        if self._error is not None:
            logger.debug("lifespan was answered by:", exc_info=self._error)

    def _raised_our_refusal(self) -> bool:
        """Whether the application took the scope for that of a request, answered it, and died of what `send` raised."""
        return self._refused is not None and self._refused in _causes(self._error)

    async def shutdown(self, patience: float) -> bool:
        """Sends the shutdown event and waits `patience` seconds for the answer. Returns whether all went well.

        Sends nothing if the startup was not completed.
        """
        clean = True
        if self._phase is Phase.STARTED:
            clean = await self._ask_to_stop(patience)
        elif self._phase is Phase.ENDED:
            clean = self._error is None  # an application may return early; it may not raise
        answered = self._phase in (Phase.STOPPED, Phase.FAILED)
        await self.abandon(RETURN_GRACE if answered else 0)
        return clean

    async def _ask_to_stop(self, patience: float) -> bool:
        self._phase = Phase.STOPPING
        self._moved.clear()
        self._events.put_nowait({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._moved.wait(), patience)
        except TimeoutError:
            logger.error("the application's shutdown did not end within %g seconds", patience)
            return False
        if self._phase is Phase.FAILED:
            self._log_failure("shutdown")
            return False
        return self._phase is Phase.STOPPED or self._error is None

    async def abandon(self, grace: float = 0) -> None:
        """Waits `grace` seconds for the application to return, then cancels its task. Idempotent."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=grace)
        if not self._task.done():
            self._abandoned = True
            self._task.cancel()
            await asyncio.wait([self._task], timeout=RETURN_GRACE)

    def _log_failure(self, event: str) -> None:
        logger.error("the application's %s failed%s", event, f": {self._message}" if self._message else "")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._receive, self._answer)
        except (Exception, asyncio.CancelledError) as error:
            self._error = error
            self._report(error)
        finally:
            self._move("end")

    def _report(self, error: BaseException) -> None:
        """Logs what the application raised, at once: while requests are served nobody awaits the task."""
        if self._abandoned:
            return
        if self._phase in (Phase.STARTED, Phase.STOPPING):
            logger.error("the application's lifespan raised %s", summary(error), exc_info=error)
        elif self._phase in (Phase.STOPPED, Phase.FAILED) and not isinstance(error, asyncio.CancelledError):
            logger.debug("the application raised after its last lifespan event", exc_info=error)

    async def _receive(self) -> dict[str, str]:
        event = await self._events.get()
        self._received = True
        return event

    async def _answer(self, message: Any) -> None:
        kind = message["type"]
        if kind not in _ANSWERS:
            self._refused = ValueError(f"{kind!r} is not a lifespan event of an application")
            raise self._refused
        if (self._phase, kind) not in _TRANSITIONS:
            raise RuntimeError(f"{kind!r} was sent while the lifespan is {self._phase.name.lower()}")
        message_text = message.get("message", "")
        if not isinstance(message_text, str):
            raise TypeError(f"the message of {kind!r} is not a str")
        self._message = message_text
        self._move(kind)

    def _move(self, event: str) -> None:
        following = _TRANSITIONS.get((self._phase, event))
        if following is not None:
            self._phase = following
            self._moved.set()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception, its causes and contexts, and the members of a group."""
    found = [error]
    seen: set[int] = set()
    while found:
        each = found.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        found += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            found += each.exceptions
