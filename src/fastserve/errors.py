"""How a server reports that it could not start or did not end cleanly."""

import enum
from types import TracebackType
from typing import Self


class StartError(RuntimeError):
    """The server cannot start; the message is the reason in one line.

    Where the application's own code raised, that exception is the `__cause__`, and its traceback,
    which begins in the application's code, is worth showing.
    """


class ExitStatus(enum.IntEnum):
    """The exit status of the process."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        return status

    CLEAN = 0, "a clean stop"
    NOT_STARTED = 1, "the server could not start; the reason is logged"
    USAGE = 2, "an unknown option or a bad value"
    NOT_CLEAN = 3, "the application's shutdown failed, one of its calls did not end, or a second signal forced the stop"
    INTERRUPTED = 130, "Ctrl-C while the application was imported"


def summary(error: BaseException | None) -> str:
    """Returns an exception in one line: its type and the first line of its text."""
    return f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")


def trace_of_application(error: BaseException) -> TracebackType | None:
    """Returns the traceback from the application's first frame on: the first that is neither ours nor an import's."""
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("fastserve", "importlib"):
            return trace
        trace = trace.tb_next
    return None
