"""Descriptors 0, 1 and 2 of our own processes: opened at the start if missing, flushed at the end in bounded time."""

import atexit
import os
import sys
import threading
from contextlib import suppress

FINISH = 1.0
"""Seconds that the application's output gets at the end if its reader has stalled."""

_MODES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> None:
    """Opens /dev/null for those that were closed (`>&-`): otherwise the first socket would be taken for one of them."""
    for fd, (name, mode) in enumerate(_MODES):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, closefd=False, errors="backslashreplace"))


def leave(status: int) -> None:
    """Ends the process. Threads that the application has left get a moment, and the readers of buffered output another
    one."""
    from fastserve.app import threads_left

    threads_left.end(_finish, status)
    if not _finish():
        with suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(status)  # the interpreter would wait for the reader
    sys.exit(status)


def leave_frames(status: int) -> None:
    """Ends a forked process likewise; the frames below this one belong to the program that forked it."""
    from fastserve.app import threads_left

    threads_left.end(_finish, status)
    with suppress(Exception):
        atexit._run_exitfuncs()
    _finish()
    os._exit(status)


def _finish() -> bool:
    """Writes what is buffered. Returns whether all of it was written."""
    from fastserve.observe import logs  # loaded by everything that has logged

    logs.finish()
    flushed = threading.Thread(target=_flush, daemon=True)
    try:
        flushed.start()
        flushed.join(FINISH)
    except RuntimeError:  # not one more thread can be started
        _flush()
    return not flushed.is_alive()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
