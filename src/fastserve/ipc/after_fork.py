"""Forked processes: our own, which leave the supervisor's frames behind, and the application's.

A child that the application forks (multiprocessing, os.fork) has a copy of everything this process has open. It would
keep connections open that were closed here, take signals and events that are not for it, and hold addresses after the
stop. So it drops all of this immediately, by `guarded`.
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
    """Calls `os.fork` for a process of the server's own: nothing is dropped in it, and nobody is notified.

    The buffers of the standard streams are flushed first, since both processes would write them; if nobody reads, the
    output stays in this process alone. The new process starts with all signals blocked, until it has its own handlers.
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
    """Flushes all files that Python code has opened; called after an import that several processes share."""
    for each in gc.get_objects():
        if issubclass(type(each), io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            _flushed(each)


def _flushed(file: Any) -> bool:
    """Flushes a file. Returns False if that would have to wait for a reader."""
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
    """In a forked process: gives up what belongs to the program that forked it and would be ended or removed when this
    process exits: temporary directories, and the daemons of multiprocessing."""
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
"""The signals that each forking thread had blocked before the fork."""
_own = False
_registered = False


@contextmanager
def guarded(in_child: Callable[[], None], in_parent: Callable[[], None] = _nothing) -> Iterator[None]:
    """Makes the application's children drop what they have of this process.

    in_child: called once in each child, but not in its own children. It closes descriptors, and does nothing with them
    that the parent would notice: no shutdown, no epoll_ctl.
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
    """Whether a frame belongs to the code here around a fork, from which Python passes on no exception."""
    while frame is not None:
        if frame.f_code in (_before.__code__, _in_parent.__code__):
            return True
        frame = frame.f_back
    return False


def _register() -> None:
    """Registers the fork handlers, once a process, since it cannot be undone."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_child=_in_child, after_in_parent=_in_parent)


def _before() -> None:
    """Blocks signals: one that reached the child before it has dropped our handlers would be lost there."""
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
    _guards.clear()  # the descriptors' numbers are soon used for something else
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
