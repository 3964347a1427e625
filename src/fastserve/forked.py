"""How a process is forked, and how it gets out of the supervisor that forked it."""

import gc
import io
import os
import select
import sys
import weakref
from collections.abc import Callable
from typing import Any


class Forked(BaseException):
    """Raised in a forked process: it leaves the supervisor's frames behind, and does its job above them.

    job: to be called with an otherwise empty stack; returns the exit status.
    """

    def __init__(self, job: Callable[[], int]) -> None:
        super().__init__()
        self.job = job


def fork() -> int:
    """`os.fork`. What waits in the buffers of the standard streams leaves first, since both processes would write it;
    where nobody reads it, it waits in this process alone."""
    left = [each for each in (sys.stdout, sys.stderr) if not _flushed(each)]
    pid = os.fork()
    if pid == 0:
        for each in left:
            _discard(each)
    return pid


def flush_files() -> None:
    """Writes what waits in the buffers of all files that Python code has opened. After an import that others share."""
    for each in gc.get_objects():
        if issubclass(type(each), io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            _flushed(each)


def _flushed(file: Any) -> bool:
    """False where that would have to wait for somebody."""
    try:
        if not file.writable():
            return True
        room = select.poll()
        room.register(file.fileno(), select.POLLOUT)
        if not room.poll(0):
            return False
        file.flush()
    except (AttributeError, OSError, ValueError):
        pass  # closed, or of no descriptor, or nobody is there any more
    return True


def _discard(file: Any) -> None:
    """Empties its buffer."""
    fd = file.fileno()
    kept, null = os.dup(fd), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    _flushed(file)
    os.dup2(kept, fd)
    os.close(kept)
    os.close(null)


def disown() -> None:
    """In a forked process: what belongs to the program that forked it, and would be ended or removed when this process
    exits, is left alone: temporary directories, and the daemons of multiprocessing."""
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        each.atexit = False
    if "multiprocessing.process" in sys.modules:
        sys.modules["multiprocessing.process"]._children.clear()  # as multiprocessing does in its own children
