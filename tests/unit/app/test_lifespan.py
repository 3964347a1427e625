"""The lifespan protocol against every way an application can answer it (rows L1 to L6 of the ASGI checklist)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from fastserve.app.lifespan import Lifespan
from fastserve.errors import StartError
from kit.waiting import PATIENCE

Body = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


@pytest.fixture(autouse=True)
def messages(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[tuple[str, str]]]:
    """What was logged: pairs of level and message."""
    monkeypatch.setattr(logging.getLogger("fastserve"), "propagate", True)
    caplog.set_level(logging.INFO, "fastserve")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


Messages = Callable[[], list[tuple[str, str]]]


def through(app: Body, mode: str = "auto", patience: float = 5.0) -> bool:
    """Startup and shutdown; what the shutdown returns."""

    async def both() -> bool:
        lifespan = Lifespan(app, mode)
        await lifespan.startup()
        return await lifespan.shutdown(patience)

    return asyncio.run(asyncio.wait_for(both(), PATIENCE))


def test_events_come_once_and_in_order(messages: Messages) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        seen.append(await receive())
        await send(STARTED)
        seen.append(await receive())
        await send(STOPPED)

    assert through(app) is True
    assert seen == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    ]
    assert messages() == []


def test_nothing_is_sent_before_the_startup_is_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.05)
        await send(STARTED)
        await receive()
        await send(STOPPED)

    assert through(app) is True


def test_state_is_what_the_application_put_there() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["state"]["pool"] = 7
        await send(STARTED)
        await receive()
        await send(STOPPED)

    async def check() -> None:
        lifespan = Lifespan(app, "auto")
        await lifespan.startup()
        assert lifespan.state == {"pool": 7}
        await lifespan.shutdown(5)

    asyncio.run(check())


def test_off_never_calls_the_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("called")

    async def check() -> None:
        lifespan = Lifespan(app, "off")
        await lifespan.startup()
        assert lifespan.state is None
        assert await lifespan.shutdown(5) is True

    asyncio.run(check())


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise TypeError("unknown scope")


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None: ...


async def returns_after_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def answers_as_to_a_request(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200})


async def answers_its_own_error_too(scope: Any, receive: Any, send: Any) -> None:
    """A middleware that makes a 500 of each exception, around an application that runs in a group."""
    await receive()
    try:
        await send({"type": "http.response.start", "status": 200})
    except ValueError as error:
        try:
            await send({"type": "http.response.start", "status": 500})
        except ValueError:
            raise ExceptionGroup("unhandled", [RuntimeError("no"), error]) from None


async def cancels_itself(scope: Any, receive: Any, send: Any) -> None:
    raise asyncio.CancelledError


UNSUPPORTED = [
    (raises_at_once, "raised TypeError: unknown scope"),
    (returns_at_once, "returned"),
    (returns_after_receive, "returned"),
    (answers_as_to_a_request, "raised ValueError: 'http.response.start' is not a lifespan event of an application"),
    (answers_its_own_error_too, "raised ExceptionGroup: unhandled (2 sub-exceptions)"),
    (cancels_itself, "raised CancelledError"),
]
IDS = [app.__name__ for app, _ in UNSUPPORTED]


@pytest.mark.parametrize(("app", "how"), UNSUPPORTED, ids=IDS)
def test_auto_goes_on_without_and_says_so(app: Body, how: str, messages: Messages) -> None:
    async def check() -> None:
        lifespan = Lifespan(app, "auto")
        await lifespan.startup()
        assert lifespan.state is None
        assert await lifespan.shutdown(5) is True

    asyncio.run(check())
    assert messages() == [("INFO", f"the application does not support lifespan (it {how}); going on without")]


@pytest.mark.parametrize(("app", "how"), UNSUPPORTED, ids=IDS)
def test_on_makes_it_an_error(app: Body, how: str) -> None:
    with pytest.raises(StartError) as caught:
        through(app, "on")
    assert str(caught.value) == f"the application does not support lifespan: it {how}"
    assert (caught.value.__cause__ is None) == (how == "returned")


async def raises_after_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise TypeError("no database")


async def cancels_itself_after_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise asyncio.CancelledError


async def raises_its_own_after_a_refusal(scope: Any, receive: Any, send: Any) -> None:
    """What `send` has said was dealt with; what is raised later has nothing to do with it."""
    await receive()
    with suppress(ValueError):
        await send({"type": "http.response.start", "status": 200})
    raise TypeError("no database")


async def answers_too_early(scope: Any, receive: Any, send: Any) -> None:
    """It does know lifespan."""
    await receive()
    await send(STOPPED)


BROKEN = [
    (raises_after_receive, "raised TypeError: no database"),
    (cancels_itself_after_receive, "raised CancelledError"),
    (raises_its_own_after_a_refusal, "raised TypeError: no database"),
    (answers_too_early, "raised RuntimeError: 'lifespan.shutdown.complete' was sent while the lifespan is starting"),
]


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize(("app", "how"), BROKEN, ids=[app.__name__ for app, _ in BROKEN])
def test_raising_after_the_event_was_received_is_a_failed_startup(app: Body, how: str, mode: str) -> None:
    with pytest.raises(StartError) as caught:
        through(app, mode)
    assert str(caught.value) == f"the application's startup failed: it {how}"
    assert caught.value.__cause__ is not None


def test_end_while_serving_is_logged_at_once_with_its_traceback(
    messages: Messages, caplog: pytest.LogCaptureFixture
) -> None:
    die = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await die.wait()
        raise OSError("lost")

    async def check() -> None:
        lifespan = Lifespan(app, "auto")
        await lifespan.startup()
        assert messages() == []
        die.set()
        async with asyncio.timeout(5):
            while not messages():
                await asyncio.sleep(0)
        assert lifespan.state == {}, "it is served on"
        assert await lifespan.shutdown(5) is False

    asyncio.run(check())
    assert messages() == [("ERROR", "the application's lifespan raised OSError: lost")]
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize(("message", "logged"), [({}, ""), ({"message": "no database"}, ": no database")])
def test_failed_startup(mode: str, message: dict[str, str], logged: str, messages: Messages) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", **message})

    with pytest.raises(StartError, match=r"^the application's startup failed$"):
        through(app, mode)
    assert messages() == [("ERROR", f"the application's startup failed{logged}")]


def test_failed_shutdown(messages: Messages) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "queue lost"})

    assert through(app) is False
    assert messages() == [("ERROR", "the application's shutdown failed: queue lost")]


@pytest.mark.parametrize("waits", [False, True], ids=["before the event", "after the event"])
def test_raising_after_the_startup_is_a_failure(waits: bool, messages: Messages) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        if waits:
            await receive()
        raise OSError("lost")

    assert through(app) is False
    assert messages() == [("ERROR", "the application's lifespan raised OSError: lost")]


@pytest.mark.parametrize("waits", [False, True], ids=["before the event", "after the event"])
def test_returning_after_the_startup_is_none(waits: bool, messages: Messages) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        if waits:
            await receive()

    assert through(app) is True
    assert messages() == []


def test_shutdown_is_bounded(messages: Messages) -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    assert through(app, patience=0.05) is False
    assert messages() == [("ERROR", "the application's shutdown did not end within 0.05 seconds")]
    assert ended == ["cancelled"]


def test_work_after_the_last_event_is_not_cancelled_at_once() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        await receive()
        await send(STOPPED)
        await asyncio.sleep(0.05)
        ended.append("returned")

    assert through(app) is True
    assert ended == ["returned"]


def test_abandoned_while_starting() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def check() -> None:
        lifespan = Lifespan(app, "on")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lifespan.startup(), 0.05)
        assert await lifespan.shutdown(5) is True

    asyncio.run(check())
    assert ended == ["cancelled"]


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({"type": "lifespan.nonsense"}, ValueError, "'lifespan.nonsense' is not a lifespan event of an application"),
    ({"type": "http.response.start"}, ValueError, "'http.response.start' is not a lifespan event of an application"),
    (STOPPED, RuntimeError, "'lifespan.shutdown.complete' was sent while the lifespan is starting"),
    ({}, KeyError, "'type'"),
    (
        {"type": "lifespan.startup.failed", "message": 3},
        TypeError,
        "the message of 'lifespan.startup.failed' is not a str",
    ),
]


@pytest.mark.parametrize(("message", "kind", "text"), WRONG)
def test_wrong_message_raises_in_the_application(message: Any, kind: type[Exception], text: str) -> None:
    caught: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await send(message)
        except Exception as error:
            caught.append(error)
        await send(STARTED)
        await receive()
        await send(STOPPED)

    assert through(app) is True
    assert [(type(error), str(error)) for error in caught] == [(kind, text)]


def test_second_answer_raises_in_the_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTED)
        with pytest.raises(RuntimeError, match=r"^'lifespan.startup.complete' was sent while the lifespan is started$"):
            await send(STARTED)
        await receive()
        await send(STOPPED)

    assert through(app) is True


def test_unknown_keys_are_ignored() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({**STARTED, "more": object()})
        await receive()
        await send({**STOPPED, "more": object()})

    assert through(app) is True
