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
    """Ends the process: what was written leaves, as far as somebody reads it within a moment."""
    from fastserve import logs  # loaded by everything that has logged

    logs.finish()
    flushed = threading.Thread(target=_flush, daemon=True)
    try:
        flushed.start()
        flushed.join(FINISH)
    except RuntimeError:  # not one more thread can be started
        _flush()
    if flushed.is_alive():
        with suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(status)  # the interpreter would wait for the reader
    sys.exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
