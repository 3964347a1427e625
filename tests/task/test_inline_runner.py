"""InlineRunner: what a coroutine sees of its task, and that no request sees anything of another's."""

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import Any

import pytest

from fastserve._task import InlineRunner, Task
from task.loops import Reporter

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def new_runner(context: contextvars.Context | None = None) -> InlineRunner:
    return InlineRunner(asyncio.get_running_loop(), context)


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def nothing() -> None:
    pass


# ---- the first step


def test_the_first_step_has_a_current_task_that_is_listed(run_debug: Reporter) -> None:
    async def request() -> None:
        assert type(current()) is Task
        assert not current().done()
        assert current() in asyncio.all_tasks()

    async def main() -> None:
        runner, me = new_runner(), current()
        for _ in range(3):
            assert runner.run(request()) is None
            assert runner.take_failure() is None
            assert current() is me
            assert asyncio.all_tasks() == {me}

    run_debug(main())


def test_outside_of_any_task_there_is_none_afterwards(run_debug: Reporter) -> None:
    seen: list[object] = []

    async def request() -> None:
        seen.append(type(current()))

    def callback(runner: InlineRunner, done: asyncio.Future[None]) -> None:
        runner.run(request())
        seen.append(asyncio.current_task())
        done.set_result(None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(callback, new_runner(), done)
        await done

    run_debug(main())
    assert seen == [Task, None]


def test_the_task_is_used_again(run: Reporter) -> None:
    seen: list[int] = []
    ballast: list[Task[None]] = []  # takes the place in memory of a task that was freed

    async def request() -> None:
        seen.append(id(current()))

    async def main() -> None:
        runner = new_runner()
        for _ in range(20):
            runner.run(request())
            ballast.append(Task.__new__(Task))

    run(main())
    assert len(seen) == 20
    assert len(set(seen)) == 1


def test_each_request_has_a_name_of_its_own(run_debug: Reporter) -> None:
    names: list[str] = []

    async def request() -> None:
        names.append(current().get_name())

    async def main() -> None:
        runner = new_runner()
        for _ in range(3):
            runner.run(request())

    run_debug(main())
    assert len(set(names)) == 3
    assert all(name.startswith("Task-") for name in names)


def test_a_run_within_a_run(run_debug: Reporter) -> None:
    seen: list[str] = []

    async def inner(outer: asyncio.Task[Any]) -> None:
        assert current() is not outer
        seen.append("inner")

    async def outer(runner: InlineRunner) -> None:
        task = current()
        runner.run(inner(task))
        assert current() is task
        seen.append("outer")

    async def main() -> None:
        runner = new_runner()
        for _ in range(3):
            runner.run(outer(runner))
            assert runner.take_failure() is None

    run_debug(main())
    assert seen == ["inner", "outer"] * 3


# ---- what an earlier request left


@pytest.mark.parametrize(
    "leave",
    [
        lambda task: task.set_name("mine"),
        lambda task: setattr(task, "mine", 1),
        lambda task: task.add_done_callback(lambda _: None),
        lambda task: task.cancel(),
        lambda task: (task.cancel(), task.uncancel()),
        lambda task: setattr(task, "_cancel_message", "left"),
        lambda task: setattr(task, "_log_destroy_pending", False),
        lambda task: setattr(task, "_asyncio_future_blocking", True),
    ],
    ids=["name", "attribute", "callback", "cancelled", "cancelled and taken back", "message", "log", "blocking"],
)
def test_the_next_request_finds_a_new_task(run_debug: Reporter, leave: Any) -> None:
    async def first() -> None:
        leave(current())

    async def second() -> None:
        task = current()
        assert isinstance(task, Task)
        assert task.get_name() != "mine"
        assert vars(task) == {}
        assert task.cancelling() == 0
        assert not task._must_cancel
        assert task._cancel_message is None
        assert not task._callbacks
        assert task._log_destroy_pending
        assert not task._asyncio_future_blocking
        await asyncio.sleep(0)

    async def main() -> None:
        runner = new_runner()
        runner.run(first())
        runner.take_failure()
        task = runner.run(second())
        assert task is not None
        await task

    run_debug(main())
    assert run_debug.reports == []


def test_a_task_that_is_held_stays_as_it_ended(run_debug: Reporter) -> None:
    held: list[asyncio.Task[int]] = []

    async def request(number: int) -> int:
        held.append(current())
        return number

    async def main() -> None:
        runner = new_runner()
        for number in range(3):
            assert runner.run(request(number)) is None
        assert [await task for task in held] == [0, 1, 2]
        assert len(set(held)) == 3

    run_debug(main())


def test_a_task_whose_dict_is_held_is_not_used_again(run: Reporter) -> None:
    held: list[dict[str, Any]] = []

    async def first() -> None:
        held.append(vars(current()))

    async def second() -> None:
        held[0]["left"] = True
        assert vars(current()) == {}

    async def main() -> None:
        runner = new_runner()
        runner.run(first())
        runner.run(second())
        assert runner.take_failure() is None

    run(main())


@pytest.mark.parametrize("callback", [None, lambda _: None], ids=["plain", "with callback"])
def test_a_weak_reference_never_leads_to_another_request(run_debug: Reporter, callback: Any) -> None:
    held: list[weakref.ref[asyncio.Task[Any]]] = []

    async def first() -> None:
        held.append(weakref.ref(current(), callback))

    async def second() -> None:
        assert held[0]() is not current()

    async def main() -> None:
        runner = new_runner()
        runner.run(first())
        runner.run(second())
        assert runner.take_failure() is None
        assert held[0]() is None

    run_debug(main())


def test_a_weak_key_is_gone_with_its_request(run_debug: Reporter) -> None:
    states: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()

    async def request() -> None:
        assert current() not in states
        states[current()] = "state"

    async def main() -> None:
        runner = new_runner()
        for _ in range(3):
            runner.run(request())
            assert runner.take_failure() is None
        assert len(states) == 0

    run_debug(main())


# ---- contexts


def test_each_request_has_its_own_context(run_debug: Reporter) -> None:
    async def request(value: str) -> None:
        assert VARIABLE.get() == "unset"
        VARIABLE.set(value)
        assert VARIABLE.get() == value

    async def main() -> None:
        runner = new_runner()
        for number in range(3):
            runner.run(request(str(number)))
            assert runner.take_failure() is None
            assert VARIABLE.get() == "unset"

    run_debug(main())


def test_each_request_has_a_copy_of_the_base(run_debug: Reporter) -> None:
    base = contextvars.copy_context()
    base.run(VARIABLE.set, "base")

    async def request() -> None:
        assert VARIABLE.get() == "base"
        VARIABLE.set("changed")

    async def main() -> None:
        runner = new_runner(base)
        for _ in range(3):
            runner.run(request())
            assert runner.take_failure() is None
        assert base[VARIABLE] == "base"

    run_debug(main())


def test_a_value_lives_as_long_as_its_request(run: Reporter) -> None:
    class Value:
        pass

    variable: contextvars.ContextVar[Value] = contextvars.ContextVar("variable")
    held: list[weakref.ref[Value]] = []

    async def request() -> None:
        variable.set(Value())
        held.append(weakref.ref(variable.get()))

    async def main() -> None:
        new_runner().run(request())
        assert held[0]() is None

    run(main())


def test_a_held_context_is_not_shared(run_debug: Reporter) -> None:
    held: list[contextvars.Context] = []

    async def first() -> None:
        task = current()
        assert isinstance(task, Task)
        held.append(task._context)

    async def second() -> None:
        VARIABLE.set("second")

    async def main() -> None:
        runner = new_runner()
        runner.run(first())
        runner.run(second())
        assert runner.take_failure() is None
        assert VARIABLE not in held[0]

    run_debug(main())


def test_a_token_that_is_kept_belongs_to_its_request(run_debug: Reporter) -> None:
    held: list[contextvars.Token[str]] = []

    async def first() -> None:
        held.append(VARIABLE.set("first"))

    async def second() -> None:
        with pytest.raises(ValueError, match="different Context"):
            VARIABLE.reset(held[0])

    async def main() -> None:
        runner = new_runner()
        runner.run(first())
        runner.run(second())
        assert runner.take_failure() is None

    run_debug(main())


def test_the_context_stays_when_the_coroutine_suspends(run_debug: Reporter) -> None:
    async def request() -> str:
        VARIABLE.set("mine")
        await asyncio.sleep(0)
        return VARIABLE.get()

    async def main() -> None:
        task = new_runner().run(request())
        assert task is not None
        assert VARIABLE.get() == "unset"
        assert await task == "mine"
        if sys.version_info >= (3, 12):
            assert task.get_context()[VARIABLE] == "mine"

    run_debug(main())


# ---- suspending


def test_a_coroutine_that_suspends_goes_on_as_a_task(run_debug: Reporter) -> None:
    async def request() -> str:
        first = current()
        await asyncio.sleep(0)
        assert current() is first
        assert first in asyncio.all_tasks()
        await asyncio.sleep(0.001)
        assert current() is first
        return "answer"

    async def main() -> None:
        runner = new_runner()
        tasks = [runner.run(request()) for _ in range(3)]
        assert len(set(tasks)) == 3
        assert set(tasks) < asyncio.all_tasks()
        for task in tasks:
            assert task is not None
            assert await task == "answer"
        assert asyncio.all_tasks() == {current()}

    run_debug(main())


def test_the_owner_is_told_before_the_callbacks(run_debug: Reporter) -> None:
    told: list[tuple[str, bool]] = []

    async def main() -> None:
        runner = new_runner()
        task = runner.run(asyncio.sleep(0, "answer"))
        assert task is not None
        runner.watch(task, lambda ended: told.append(("owner", ended.done())))
        task.add_done_callback(lambda ended: told.append(("callback", ended.done())))
        assert await task == "answer"

    run_debug(main())
    assert told == [("owner", True), ("callback", True)]


def test_an_owner_that_fails_is_reported(run_debug: Reporter) -> None:
    async def main() -> None:
        runner = new_runner()
        task = runner.run(asyncio.sleep(0))
        assert task is not None
        runner.watch(task, lambda _: 1 // 0)
        await task

    run_debug(main())
    [report] = run_debug.reports
    assert isinstance(report["exception"], ZeroDivisionError)


# ---- failures


async def fail() -> None:
    raise LookupError("the application's")


async def fail_later() -> None:
    await asyncio.sleep(0)
    raise LookupError("the application's")


def test_a_failure_is_handed_over_and_not_reported(run_debug: Reporter) -> None:
    async def main() -> None:
        runner = new_runner()
        assert runner.run(fail()) is None
        failure = runner.take_failure()
        assert isinstance(failure, LookupError)
        assert runner.take_failure() is None
        del failure
        assert runner.run(nothing()) is None
        assert runner.take_failure() is None
        gc.collect()

    run_debug(main())
    assert run_debug.reports == []


def test_a_failure_of_a_held_task_is_handed_over_and_not_reported(run_debug: Reporter) -> None:
    held: list[asyncio.Task[Any]] = []

    async def request() -> None:
        held.append(current())
        raise LookupError

    async def main() -> None:
        runner = new_runner()
        assert runner.run(request()) is None
        assert runner.take_failure() is held[0].exception()
        held.clear()
        runner.run(request())
        runner.take_failure()
        held.clear()
        gc.collect()

    run_debug(main())
    assert run_debug.reports == []


def test_a_later_failure_is_reported_once(run_debug: Reporter) -> None:
    async def main() -> None:
        task = new_runner().run(fail_later())
        assert task is not None
        await asyncio.wait([task])
        del task
        gc.collect()

    run_debug(main())
    [report] = run_debug.reports
    assert report["message"] == "Task exception was never retrieved"
    assert isinstance(report["exception"], LookupError)


def test_a_later_failure_with_an_owner_is_not_reported(run_debug: Reporter) -> None:
    async def main() -> None:
        runner = new_runner()
        task = runner.run(fail_later())
        assert task is not None
        runner.watch(task, ignore)
        await asyncio.wait([task])
        del task
        gc.collect()

    run_debug(main())
    assert run_debug.reports == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_stops_a_process_is_raised(run_debug: Reporter, kind: type[BaseException]) -> None:
    async def request() -> None:
        raise kind

    async def main() -> None:
        runner, me = new_runner(), current()
        with pytest.raises(kind):
            runner.run(request())
        assert runner.take_failure() is None
        assert current() is me
        assert runner.run(nothing()) is None

    run_debug(main())
    assert run_debug.reports == []


def test_what_is_no_coroutine_fails_and_leaves_the_runner_whole(run_debug: Reporter) -> None:
    async def main() -> None:
        runner, me = new_runner(), current()
        runner.run(42)  # type: ignore[arg-type]
        assert isinstance(runner.take_failure(), (TypeError, AttributeError))
        assert current() is me
        assert runner.run(nothing()) is None

    run_debug(main())


# ---- cancelling


def test_cancelled_in_the_first_step_and_ended(run_debug: Reporter) -> None:
    held: list[asyncio.Task[Any]] = []

    async def request() -> None:
        held.append(current())
        current().cancel("enough")

    async def main() -> None:
        runner = new_runner()
        assert runner.run(request()) is None
        failure = runner.take_failure()
        assert isinstance(failure, asyncio.CancelledError)
        assert failure.args == ("enough",)
        assert held[0].cancelled()

    run_debug(main())


def test_cancelled_in_the_first_step_and_suspended(run_debug: Reporter) -> None:
    async def request() -> str:
        current().cancel()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            assert current().cancelling() == 1
            current().uncancel()
            return "caught"
        return "not cancelled"

    async def main() -> None:
        task = new_runner().run(request())
        assert task is not None
        assert await task == "caught"

    run_debug(main())


def test_cancelled_later(run_debug: Reporter) -> None:
    async def main() -> None:
        task = new_runner().run(asyncio.sleep(3600))
        assert task is not None
        assert task.cancel("enough")
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert task.cancelled()
        assert not task.cancel()

    run_debug(main())


def test_a_coroutine_that_raises_cancelled_by_itself(run_debug: Reporter) -> None:
    async def request() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        runner = new_runner()
        assert runner.run(request()) is None
        assert isinstance(runner.take_failure(), asyncio.CancelledError)

    run_debug(main())


# ---- what is left in memory


def live_tasks() -> int:
    return sum(type(thing) is Task for thing in gc.get_objects())


def test_nothing_is_left_of_requests_that_ended_at_once(run: Reporter) -> None:
    class Payload:
        pass

    held: list[weakref.ref[Payload]] = []

    async def request(payload: Payload) -> Payload:
        return payload

    async def main() -> None:
        runner = new_runner()
        gc.collect()
        before = live_tasks()
        gc.disable()
        try:
            for _ in range(100):
                payload = Payload()
                held.append(weakref.ref(payload))
                runner.run(request(payload))
                del payload
                assert held[-1]() is None
            assert live_tasks() <= before + 1
        finally:
            gc.enable()

    run(main())


def test_nothing_is_left_of_requests_that_suspended(run: Reporter) -> None:
    async def main() -> None:
        runner = new_runner()
        gc.collect()
        before = live_tasks()
        gc.disable()
        try:
            for _ in range(100):
                task = runner.run(asyncio.sleep(0))
                assert task is not None
                await task
                del task
            await asyncio.sleep(0)
            assert live_tasks() <= before + 1
        finally:
            gc.enable()

    run(main())


def test_reference_counts_stay(run: Reporter) -> None:
    loop = run.runner.get_loop()
    base = contextvars.Context()

    async def main() -> None:
        runner = InlineRunner(loop, base)

        async def cycle() -> None:
            runner.run(nothing())
            runner.run(fail())
            runner.take_failure()
            task = runner.run(asyncio.sleep(0))
            assert task is not None
            runner.watch(task, ignore)
            await task

        for _ in range(10):
            await cycle()
        counted = (loop, base, nothing, fail, ignore, None, runner)
        before = [sys.getrefcount(thing) for thing in counted if thing is not None]
        for _ in range(100):
            await cycle()
        after = [sys.getrefcount(thing) for thing in counted if thing is not None]
        assert max(abs(new - old) for new, old in zip(after, before, strict=True)) < 10

    run(main())


def ignore(task: Task[Any]) -> None:
    """An owner that does not care."""


def test_a_runner_in_a_circle_is_collected(run: Reporter) -> None:
    class Holder:
        runner: InlineRunner

        def ended(self, task: Task[Any]) -> None: ...

    async def request(holder: Holder) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        holder = Holder()
        holder.runner = new_runner()
        task = holder.runner.run(request(holder))
        assert task is not None
        holder.runner.watch(task, holder.ended)
        await task
        reference = weakref.ref(holder)
        del holder, task
        gc.collect()
        assert reference() is None

    run(main())
