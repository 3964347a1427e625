"""Children that others have left: a process gets them as the first one of a container, or as a subreaper (prctl(2))."""

import os

_PR_GET_CHILD_SUBREAPER = 37


def adopts() -> bool:
    """Whether this process does. Whoever is it that has made it a subreaper, it stays one over an exec."""
    if os.getpid() == 1:
        return True
    import ctypes  # not needed by whom a container's runtime starts

    found = ctypes.c_int(0)
    try:
        result: int = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    except (AttributeError, OSError):
        return False
    return result == 0 and found.value != 0


def ended() -> int:
    """A child process that has ended and was not reaped, of whomever; 0 when there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found is not None else 0
