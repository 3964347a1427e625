"""How a forked process gets out of the supervisor that forked it."""

import weakref
from collections.abc import Callable


class Forked(BaseException):
    """Raised in a forked process: it leaves the supervisor's frames behind, and does its job above them.

    job: to be called with an otherwise empty stack; returns the exit status.
    """

    def __init__(self, job: Callable[[], int]) -> None:
        super().__init__()
        self.job = job


def disown_finalizers() -> None:
    """In a forked process: temporary directories and the like, which the process that forked it has made, are not to be
    removed at the end of this one."""
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        each.atexit = False
