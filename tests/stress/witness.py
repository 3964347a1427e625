"""What the application under stress has seen, and keeps beyond its requests. It lives in the server's process."""

import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST_REMEMBERED = 20000
MOST_KEPT = 6


@dataclass
class Kept:
    """What one call of the application leaves to others."""

    mark: str
    send: Any
    receive: Any = None
    task: Any = None


@dataclass
class Witness:
    ended: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """How the calls of the application have ended, by the mark of their request."""
    kept: deque[Kept] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    left_behind: set[Any] = field(default_factory=set)
    """Tasks, or threads, which nobody awaits."""
    turn: Callable[[], None] = lambda: None
    """Has the driver take a turn."""
    faults: list[str] = field(default_factory=list)
    """What no application should ever see."""

    def note(self, mark: str, state: str) -> None:
        self.ended[mark] = state
        if len(self.ended) > MOST_REMEMBERED:
            self.ended.popitem(last=False)

    def caught(self, error: BaseException, where: str) -> None:
        """An exception that the application swallows; some are the server's faults all the same."""
        if isinstance(error, (SystemError, AssertionError, NameError)) or "internal error" in str(error):
            self.faults.append(f"{where}: {type(error).__name__}: {error}")

    def forget(self) -> None:
        """Lets go of all that belongs to requests."""
        self.kept.clear()


witness = Witness()


def step_of(text: str) -> tuple[str, str]:
    """A step's letter and its argument."""
    return text[0], text[1:]


def number(argument: str, default: int = 0) -> int:
    digits = "".join(each for each in argument if each.isdigit())
    return int(digits) if digits else default


def report_unraisable(details: "sys.UnraisableHookArgs") -> None:
    """Where the interpreter can only print an exception, the application's own are expected and left out."""
    error = details.exc_value
    if error is not None:
        witness.caught(error, f"unraisable in {details.object!r}")
