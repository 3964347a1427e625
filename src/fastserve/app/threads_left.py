"""Threads and processes that an application leaves behind: they get a moment at the end, and not for ever.

At its end Python joins every non-daemon thread and all threads of executors, however long they last, and
multiprocessing joins its processes: a worker that has already closed its connections would hang until it is killed.
Here, in a process of our own, the same is done beside a watching thread, which ends the process after the moment.
"""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

MOMENT = 1.0
"""Seconds that threads have when nothing is served any more, or the rest of the graceful time if that is less."""

LEAST = 0.1
"""Seconds that threads have in any case: the idle ones of an executor have to be told to end."""

logger = logging.getLogger("fastserve")

_graceful_until: float | None = None
_until: float | None = None


def stop_begins(patience: float) -> None:
    """The graceful time runs from now on, `patience` seconds."""
    global _graceful_until
    _graceful_until = time.monotonic() + patience


def _left() -> float:
    """Returns the seconds of the moment that are left; the first call begins it."""
    global _until
    now = time.monotonic()
    if _until is None:
        rest = MOMENT if _graceful_until is None else _graceful_until - now
        _until = now + max(LEAST, min(MOMENT, rest))
    return max(LEAST, _until - now)


def shutdown_of_executors(loop: "asyncio.AbstractEventLoop") -> Callable[..., Coroutine[Any, Any, None]]:
    """Returns a replacement for `loop.shutdown_default_executor`: asyncio's own waits for minutes, or for ever.

    The loop goes on running meanwhile, so that jobs which end in time can report it.
    """
    from asyncio import Event, timeout  # not at the top: the command's help needs no event loop

    async def shut_down(*_timeout: Any) -> None:
        ended = Event()

        def tell() -> None:
            tell_executors()
            with suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(ended.set)

        try:
            threading.Thread(target=tell, name="fastserve-end", daemon=True).start()
        except RuntimeError:  # not one more thread can be started
            return
        with suppress(TimeoutError):
            async with timeout(_left()):
                await ended.wait()

    return shut_down


def tell_executors() -> None:
    """Tells the threads of all executors to end, and waits until they have."""
    futures = sys.modules.get("concurrent.futures.thread")
    if futures is not None:
        futures._python_exit()


def end(finish: Callable[[], object], status: int) -> None:
    """Joins the threads in the main thread, as Python would do next. Ends the process if they do not end in time.

    finish: what the process has to do before that: logs and standard streams.
    """
    ended = threading.Lock()
    ended.acquire()
    watch = threading.Thread(target=_watch, args=(ended, finish, status), name="fastserve-end", daemon=True)
    with suppress(RuntimeError):  # not one more thread can be started
        watch.start()
    threading._shutdown()  # type: ignore[attr-defined]
    ended.release()
    with suppress(RuntimeError):
        watch.join()  # for ever, where it ends the process
    _end_processes(_left())


def _watch(ended: threading.Lock, finish: Callable[[], object], status: int) -> None:
    if ended.acquire(timeout=_left()):
        return
    logger.warning("threads that did not end: %s", ", ".join(_names()))
    _end_processes(0.0)
    with suppress(Exception):
        atexit._run_exitfuncs()
    finish()
    os._exit(status)


def _end_processes(seconds: float) -> None:
    """Waits so long for the processes of multiprocessing, then ends them. Its daemons end anyway."""
    module = sys.modules.get("multiprocessing.process")
    if module is None:
        return
    until = time.monotonic() + seconds
    left = [each for each in module.active_children() if not each.daemon]
    for each in left:
        each.join(max(0.0, until - time.monotonic()))
    left = [each for each in left if each.is_alive()]
    if not left:
        return
    logger.warning("processes that did not end: %s", ", ".join(sorted(each.name for each in left)))
    for each in left:
        each.terminate()
    for each in left:
        each.join(LEAST)
        if each.is_alive():
            each.kill()


def _names() -> list[str]:
    """Returns the names of the threads that Python would wait for."""
    executors = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return sorted(each.name for each in others if not each.daemon or each in executors)
