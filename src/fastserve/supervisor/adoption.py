"""Orphaned processes, which the first process of a container or a subreaper (prctl(2)) gets as its children."""

import os

_PR_GET_CHILD_SUBREAPER = 37


def adopts() -> bool:
    """Whether this process adopts orphans. Whoever made it a subreaper, it stays one across an exec."""
    if os.getpid() == 1:
        return True
    import ctypes  # not needed in the first process of a container

    found = ctypes.c_int(0)
    try:
        result: int = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    except (AttributeError, OSError):
        return False
    return result == 0 and found.value != 0


def ended() -> int:
    """Returns any child process that has ended and was not reaped; 0 if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found is not None else 0
