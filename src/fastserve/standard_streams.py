"""Descriptors 0, 1 and 2 of a process of our own: there at the start, and not waited for for ever at the end."""

import atexit
import os
import sys
import threading
from contextlib import suppress

FINISH = 1.0
"""Seconds that output of the application gets at the end, whose reader has stalled."""

_MODES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> None:
    """Opens /dev/null for those that were closed (`>&-`): else the first socket would be taken for one of them."""
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
    """Ends the process: threads that the application has left get a moment, and what was written leaves, as far as
    somebody reads it within another one."""
    from fastserve.app import threads_left

    threads_left.end(_finish, status)
    if not _finish():
        with suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(status)  # the interpreter would wait for the reader
    sys.exit(status)


def leave_frames(status: int) -> None:
    """Likewise, in a forked process whose frames below this one are those of the program that it was forked from."""
    from fastserve.app import threads_left

    threads_left.end(_finish, status)
    with suppress(Exception):
        atexit._run_exitfuncs()
    _finish()
    os._exit(status)


def _finish() -> bool:
    """Whether all that was written has left."""
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
