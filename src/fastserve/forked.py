"""How a forked process gets out of the supervisor that forked it."""

import sys
import weakref
from collections.abc import Callable


class Forked(BaseException):
    """Raised in a forked process: it leaves the supervisor's frames behind, and does its job above them.

    job: to be called with an otherwise empty stack; returns the exit status.
    """

    def __init__(self, job: Callable[[], int]) -> None:
        super().__init__()
        self.job = job


def disown() -> None:
    """In a forked process: what belongs to the program that forked it, and would be ended or removed when this process
    exits, is left alone: temporary directories, and the daemons of multiprocessing."""
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        each.atexit = False
    if "multiprocessing.process" in sys.modules:
        sys.modules["multiprocessing.process"]._children.clear()  # as multiprocessing does in its own children
