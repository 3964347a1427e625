"""How a forked process gets out of the supervisor that forked it."""

from collections.abc import Callable


class Forked(BaseException):
    """Raised in a forked process: it leaves the supervisor's frames behind, and does its job above them.

    job: to be called with an otherwise empty stack; returns the exit status.
    """

    def __init__(self, job: Callable[[], int]) -> None:
        super().__init__()
        self.job = job
