"""The task among asyncio's own functions, anyio and sniffio. Its details are covered by test_cpython_suites.py."""

import asyncio
import gc
import sys
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from fastserve._task import InlineRunner, Task
from task.loops import Reporter, make_task


async def in_task(coro: Any, how: str) -> Any:
    """What `coro` returns, run by our task, every task under it ours too."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make_task)
    if how == "inline":
        runner = InlineRunner(loop)
        task = runner.run(coro)
        failure = runner.take_failure()
        if failure is not None:
            raise failure
        return None if task is None else await task
    return await Task(coro, loop=loop, eager_start=how == "eager")


HOW = pytest.mark.parametrize("how", ["inline", "eager", "scheduled"])


def test_it_passes_for_asyncios_own(run_debug: Reporter) -> None:
    async def main() -> None:
        task = Task(asyncio.sleep(0, "answer"))
        assert isinstance(task, asyncio.Task)
        assert isinstance(task, asyncio.Future)
        assert asyncio.isfuture(task)
        assert asyncio.ensure_future(task) is task
        assert type(task) is Task
        assert await task == "answer"

    run_debug(main())


@HOW
def test_timeouts(run_debug: Reporter, how: str) -> None:
    async def body() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        async with asyncio.timeout(30):
            assert await asyncio.wait_for(asyncio.sleep(0, 1), 30) == 1
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return "done"

    async def main() -> None:
        assert await in_task(body(), how) == "done"

    run_debug(main())
    assert run_debug.reports == []


@HOW
def test_task_groups(run_debug: Reporter, how: str) -> None:
    async def fail() -> None:
        raise LookupError

    async def body() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(asyncio.Event().wait())
                group.create_task(fail())
        except* LookupError as caught:
            failures = caught.exceptions
        assert waiting.cancelled()
        assert len(failures) == 1
        return [task.result() for task in tasks]

    async def main() -> None:
        assert await in_task(body(), how) == [0, 1, 2]

    run_debug(main())
    assert run_debug.reports == []


@HOW
def test_asyncios_functions(run_debug: Reporter, how: str) -> None:
    async def body() -> str:
        assert await asyncio.gather(*(asyncio.sleep(0, number) for number in range(3))) == [0, 1, 2]
        tasks = [asyncio.create_task(asyncio.sleep(0, number)) for number in range(3)]
        assert sorted([await done for done in asyncio.as_completed(tasks)]) == [0, 1, 2]
        done, pending = await asyncio.wait(tasks)
        assert (done, pending) == (set(tasks), set())
        assert await asyncio.shield(asyncio.sleep(0, "shielded")) == "shielded"
        assert await asyncio.to_thread(len, "abc") == 3
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        getter = asyncio.create_task(queue.get(), name="getter")
        await queue.put(7)
        assert await getter == 7
        assert getter.get_name() == "getter"
        return "done"

    async def main() -> None:
        assert await in_task(body(), how) == "done"

    run_debug(main())
    assert run_debug.reports == []


@HOW
def test_shield_outlives_its_waiter(run_debug: Reporter, how: str) -> None:
    async def body() -> str:
        inner = asyncio.create_task(asyncio.sleep(0.001, "inner"))
        outer = asyncio.create_task(shielded(inner))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        return await inner

    async def shielded(inner: asyncio.Task[str]) -> str:
        return await asyncio.shield(inner)

    async def main() -> None:
        assert await in_task(body(), how) == "inner"

    run_debug(main())


@HOW
def test_anyio(run_debug: Reporter, how: str) -> None:
    async def body() -> str:
        reached: list[int] = []

        async def child(number: int) -> None:
            await anyio.lowlevel.checkpoint()
            reached.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(child, number)
        assert sorted(reached) == [0, 1, 2]
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            await anyio.sleep_forever()
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(len, "abc") == 3
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.cancel_scope.cancel()
        assert anyio.get_current_task().name is not None
        assert len(anyio.get_running_tasks()) >= 1
        return "done"

    async def main() -> None:
        assert await in_task(body(), how) == "done"

    run_debug(main())
    assert run_debug.reports == []


def test_anyio_leaves_nothing_to_the_next_request(run_debug: Reporter) -> None:
    async def cancelled() -> None:
        with anyio.CancelScope() as scope:  # noqa: ASYNC100  (to be left before it takes effect)
            scope.cancel()

    async def plain() -> None:
        assert anyio.current_effective_deadline() == float("inf")
        await anyio.lowlevel.checkpoint()

    async def main() -> None:
        runner = InlineRunner(asyncio.get_running_loop())
        assert runner.run(cancelled()) is None
        assert runner.take_failure() is None
        task = runner.run(plain())
        assert task is not None
        await task

    run_debug(main())


@HOW
def test_sniffio(run_debug: Reporter, how: str) -> None:
    sniffio = pytest.importorskip("sniffio")
    seen: list[str] = []

    async def body() -> None:
        seen.append(sniffio.current_async_library())
        await asyncio.sleep(0)
        seen.append(sniffio.current_async_library())

    async def main() -> None:
        await in_task(body(), how)

    run_debug(main())
    assert seen == ["asyncio", "asyncio"]


def test_both_kinds_of_task_wait_for_each_other(run_debug: Reporter) -> None:
    async def waits(inner: asyncio.Future[Any]) -> Any:
        return await inner

    async def main() -> None:
        ours = Task(waits(asyncio.Task(asyncio.sleep(0, "a"))))
        theirs = asyncio.Task(waits(Task(waits(Task(asyncio.sleep(0, "b"))))))
        assert (await ours, await theirs) == ("a", "b")
        for cancelled in (
            asyncio.Task(waits(Task(asyncio.sleep(3600)))),
            Task(waits(asyncio.Task(asyncio.sleep(3600)))),
        ):
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled

    run_debug(main())
    assert run_debug.reports == []


def test_a_pending_task_that_is_dropped_is_reported(run_debug: Reporter) -> None:
    async def body() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = Task(body())
        await asyncio.sleep(0)
        reference = weakref.ref(task)
        del task
        gc.collect()
        assert reference() is None

    run_debug(main())
    assert [report["message"] for report in run_debug.reports] == ["Task was destroyed but it is pending!"]
    assert ("source_traceback" in run_debug.reports[0]) == run_debug.runner.get_loop().get_debug()


def test_every_task_is_reported_when_many_fail(run: Reporter) -> None:
    async def fail() -> None:
        raise LookupError

    async def main() -> None:
        for _ in range(5):
            task = Task(fail())
            await asyncio.sleep(0)
            del task
            gc.collect()

    run(main())
    assert [type(report["exception"]) for report in run.reports] == [LookupError] * 5


def test_a_removed_callback_is_not_called(run: Reporter) -> None:
    called: list[str] = []

    def unwanted(_: object) -> None:
        called.append("unwanted")

    async def main() -> None:
        task = Task(asyncio.sleep(0))
        task.add_done_callback(unwanted)
        task.add_done_callback(lambda _: called.append("wanted"))
        task.add_done_callback(unwanted)
        assert task.remove_done_callback(unwanted) == 2
        assert task.remove_done_callback(unwanted) == 0
        await task

    run(main())
    assert called == ["wanted"]


def test_the_stack_and_repr_of_a_waiting_task(run_debug: Reporter, capsys: pytest.CaptureFixture[str]) -> None:
    async def waiting_place() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = Task(waiting_place(), name="mine")
        await asyncio.sleep(0)
        [frame] = task.get_stack()
        assert frame.f_code.co_name == "waiting_place"
        task.print_stack(file=sys.stdout)
        assert repr(task).startswith("<Task pending name='mine' coro=<")
        assert "waiting_place() running at" in repr(task)
        task.cancel()
        assert repr(task).startswith("<Task cancelling name='mine'")
        await asyncio.wait([task])
        assert repr(task).startswith("<Task cancelled name='mine'")

    run_debug(main())
    assert "waiting_place" in capsys.readouterr().out


def test_a_loop_that_makes_eager_tasks_of_ours(run_debug: Reporter) -> None:
    def make_eager(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Task[Any]:
        return Task(coro, loop=loop, **{**options, "eager_start": True})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(make_eager)
        pending, ended = loop.create_task(asyncio.sleep(0, "later")), loop.create_task(at_once())
        assert (pending.done(), ended.done()) == (False, True)
        assert (await pending, await ended) == ("later", "at once")

    async def at_once() -> str:
        return "at once"

    run_debug(main())
