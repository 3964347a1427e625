"""Processes that are forked: our own, which leave the frames of the supervisor behind, and those of the application.

What the application forks (multiprocessing, os.fork) has a copy of all that this process has open. It would keep
connections open that were closed here, take signals and events that are not for it, and hold addresses after the stop.
So it forgets all of it at once, by `guarded`.
"""

import gc
import io
import logging
import os
import select
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

logger = logging.getLogger("fastserve")


class Forked(BaseException):
    """Raised in a forked process: it leaves the supervisor's frames behind, and does its job above them.

    job: to be called with an otherwise empty stack; returns the exit status.
    """

    def __init__(self, job: Callable[[], int]) -> None:
        super().__init__()
        self.job = job


def fork() -> int:
    """`os.fork`, for a process of the server's own: nothing is forgotten in it, and nobody is told.

    What waits in the buffers of the standard streams leaves first, since both processes would write it; where nobody
    reads it, it waits in this process alone. Signals wait as well: in the new process until it has its own handlers,
    for it is born with all of them blocked.
    """
    global _own
    left = [each for each in (sys.stdout, sys.stderr) if not _flushed(each)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    _own = True
    try:
        pid = os.fork()
    finally:
        _own = False
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid == 0:
        _guards.clear()
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


# ---- processes that the application forks


def _nothing() -> None: ...


class _Guard:
    def __init__(self, in_child: Callable[[], None], in_parent: Callable[[], None]) -> None:
        self.in_child = in_child
        self.in_parent = in_parent


_guards: list[_Guard] = []
_masks: dict[int, set[int]] = {}
"""The signals that each thread which is forking had blocked before."""
_own = False
_registered = False


@contextmanager
def guarded(in_child: Callable[[], None], in_parent: Callable[[], None] = _nothing) -> Iterator[None]:
    """Has the application's children forget what they have of this process.

    in_child: called in each, once, and not in theirs. It closes descriptors, and does nothing with them that the parent
    would notice: no shutdown, no epoll_ctl.
    in_parent: called here after each fork.
    """
    _register()
    guard = _Guard(in_child, in_parent)
    _guards.append(guard)
    try:
        yield
    finally:
        with suppress(ValueError):  # cleared, in a child that came back
            _guards.remove(guard)


def within(frame: FrameType | None) -> bool:
    """Whether a frame is of what is done here around a fork, where an exception is not passed on."""
    while frame is not None:
        if frame.f_code in (_before.__code__, _in_parent.__code__):
            return True
        frame = frame.f_back
    return False


def _register() -> None:
    """Once a process, since it cannot be undone."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_child=_in_child, after_in_parent=_in_parent)


def _before() -> None:
    """Signals wait: one that came to the child before it has forgotten our handlers would be lost there."""
    if _guards and not _own:
        _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _after() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    try:
        if not _own and _guards:
            _forget()
    finally:
        _after()


def _forget() -> None:
    guards = _guards[::-1]
    _guards.clear()  # the numbers of what is closed now are soon those of other things
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)  # it is the parent's
    for each in guards:
        try:
            each.in_child()
        except Exception:
            logger.exception("a fault of the server, in a process that the application has forked")


def _in_parent() -> None:
    try:
        if not _own:
            for each in _guards:
                each.in_parent()
    finally:
        _after()
