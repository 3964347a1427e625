"""Loops to run the tests of the task in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvloop

from fastserve._task import Task

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Task[Any]:
    """A task factory of ours."""
    return Task(coro, loop=loop, **options)


class Reporter:
    """Runs coroutines in one loop and keeps what is reported to the loop's exception handler."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.reports: list[dict[str, Any]] = []
        runner.get_loop().set_exception_handler(lambda _, context: self.reports.append(context))

    def __call__(self, coro: Coroutine[Any, Any, None]) -> None:
        self.runner.run(coro)
