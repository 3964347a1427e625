"""The inline task (see the module's docstring); its C interface is ext/core/_task.pxd."""

from asyncio import AbstractEventLoop
from asyncio import Task as AsyncioTask
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

_T = TypeVar("_T")

class Task(AsyncioTask[_T]):
    _context: Context
    _cancel_message: object
    _must_cancel: bool
    _log_destroy_pending: bool
    def __init__(
        self,
        coro: Coroutine[Any, Any, _T],
        *,
        loop: AbstractEventLoop | None = None,
        name: str | None = None,
        context: Context | None = None,
        eager_start: bool = False,
    ) -> None: ...

class InlineRunner:
    loop: AbstractEventLoop
    base: Context
    def __init__(self, loop: AbstractEventLoop, context: Context | None = None) -> None: ...
    def run(self, coro: Coroutine[Any, Any, Any]) -> Task[Any] | None: ...
    def watch(self, task: Task[Any], function: Callable[[Task[Any]], object]) -> None: ...
    def take_failure(self) -> BaseException | None: ...
