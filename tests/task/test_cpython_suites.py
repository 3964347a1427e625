"""CPython's own tests of asyncio tasks, run against `fastserve._task.Task`.

Each class below is one of the interpreter's, with our task in place of its own; where its tests create tasks by the
loop, a task factory makes ours. What is left out is in `SKIPPED`, with the reason.
"""

import asyncio
import importlib
import sys
import unittest
from asyncio import futures
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from fastserve._task import Task
from task.loops import make_task

# These tests make warnings, unraisable exceptions and never-retrieved ones on purpose.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]

FOREIGN_METHOD = "calls asyncio.Future's own method on the task, which only asyncio's object layout allows"

SKIPPED = {
    "SetMethodsTest.test_set_result_causes_invalid_state": FOREIGN_METHOD,
    "SetMethodsTest.test_set_exception_causes_invalid_state": FOREIGN_METHOD,
}


def suite(name: str) -> ModuleType | None:
    """A module of CPython's tests; None where the interpreter does not ship it."""
    try:
        return importlib.import_module(f"test.test_asyncio.{name}")
    except (ModuleNotFoundError, unittest.SkipTest):
        return None


def leave_out(cls: type) -> type:
    """Mark the tests of `SKIPPED` in a class that takes them over."""
    for entry, reason in SKIPPED.items():
        owner, _, name = entry.partition(".")
        if any(base.__name__ == owner for base in cls.__mro__):
            setattr(cls, name, unittest.skip(reason)(getattr(cls, name)))
    return cls


class OurTasksByLoop:
    """For the suites that run in a loop of unittest's."""

    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()  # type: ignore[misc]
        asyncio.get_running_loop().set_task_factory(make_task)


class OurTasksByOwnLoop:
    """For the suites that make their loop in setUp."""

    loop: asyncio.AbstractEventLoop

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.loop.set_task_factory(make_task)


class OurTasksByNewLoops:
    """For the suites that ask for their loops one by one."""

    def new_test_loop(self, *arguments: Any) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = super().new_test_loop(*arguments)  # type: ignore[misc]
        loop.set_task_factory(make_task)
        return loop


def build_classes() -> dict[str, type]:
    """The classes to be collected, by name."""
    classes: dict[str, type] = {}

    def add(name: str, *bases: type, change: Callable[[type], type] = lambda cls: cls, **attributes: Any) -> None:
        attributes["__module__"] = __name__
        classes[name] = leave_out(change(type(name, bases, attributes)))

    tasks, eager = suite("test_tasks"), suite("test_eager_task_factory")
    groups, timeouts, wait_for = suite("test_taskgroups"), suite("test_timeouts"), suite("test_waitfor")
    if tasks is not None:
        case = tasks.test_utils.TestCase
        both = (tasks.BaseTaskTests, tasks.SetMethodsTest, case)
        one = (tasks.BaseTaskTests, case)
        py_future = futures._PyFuture  # type: ignore[attr-defined]
        add("TestTask", *both, Task=Task, Future=asyncio.Future)
        add("TestTaskPyFuture", *one, Task=Task, Future=py_future)
        add("TestSubclass", *one, Task=Task, Future=asyncio.Future, change=tasks.add_subclass_tests)
        add("TestSubclassPyFuture", *one, Task=Task, Future=py_future, change=tasks.add_subclass_tests)
        add("TestGenericTask", OurTasksByLoop, tasks.GenericTaskTests)
        add("TestGather", OurTasksByNewLoops, tasks.CoroutineGatherTests)
        add("TestGatherFutures", OurTasksByNewLoops, tasks.FutureGatherTests)
        add("TestThreadsafe", OurTasksByOwnLoop, tasks.RunCoroutineThreadsafeTests)
        add("TestSleep", OurTasksByOwnLoop, tasks.SleepTests)
        add("TestCompatibility", OurTasksByOwnLoop, tasks.CompatibilityTests)
    if eager is not None:
        case = eager.test_utils.TestCase
        add("TestEagerFactory", eager.EagerTaskFactoryLoopTests, case, Task=Task)
        add("TestEagerCount", eager.BaseEagerTaskFactoryTests, case, Task=Task)
        add("TestNonEagerCount", eager.BaseNonEagerTaskFactoryTests, case, Task=Task)
    if groups is not None:
        add("TestTaskGroups", OurTasksByLoop, *group_classes(groups))
    if timeouts is not None:
        add("TestTimeouts", OurTasksByLoop, timeouts.TimeoutTests)
    if wait_for is not None:
        add("TestWaitFor", OurTasksByLoop, wait_for.AsyncioWaitForTest)
        if sys.version_info >= (3, 12):
            add("TestWaitForShield", OurTasksByLoop, wait_for.WaitForShieldTests)
    return classes


def group_classes(groups: ModuleType) -> tuple[type, ...]:
    """TestTaskGroup, which became a base class with two heirs in 3.14."""
    base = getattr(groups, "BaseTestTaskGroup", groups.TestTaskGroup)
    return (base,) if issubclass(base, unittest.TestCase) else (base, unittest.IsolatedAsyncioTestCase)


CLASSES = build_classes()
globals().update(CLASSES)


def test_the_interpreter_ships_its_tests() -> None:
    if suite("test_tasks") is None:
        pytest.skip("this interpreter ships no test package")
    assert "TestTask" in CLASSES


def test_what_is_skipped_exists() -> None:
    if not CLASSES:
        pytest.skip("this interpreter ships no test package")
    owners = {base.__name__: base for cls in CLASSES.values() for base in cls.__mro__}
    assert [entry for entry in SKIPPED if not hasattr(owners[entry.partition(".")[0]], entry.partition(".")[2])] == []
