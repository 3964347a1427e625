"""What the signals that stop a server mean, one after another.

TERM comes from programs, and may come twice: `timeout` sends it to the command and then to its group, wrappers forward
what has reached the server already. So it never forces. INT and QUIT come from people, who repeat themselves when they
mean it.
"""

import enum
import signal
import time
from collections.abc import Callable

INSISTS_AFTER = 1.0
"""Seconds after the begin of a stop by TERM from which one INT or QUIT forces it; before, it may be the same event."""

STOPPING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


class Urgency(enum.Enum):
    """What a signal asks for that was not asked for before."""

    NONE = enum.auto()
    GRACEFUL = enum.auto()
    AT_ONCE = enum.auto()


class StopSignals:
    """The stop signals of one server.

    forced: whether everything is to end at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.forced = False
        self._clock = clock
        self._began: float | None = None
        self._interrupted = False

    def begin(self) -> None:
        """Notes that a stop has begun, by a signal or otherwise. Idempotent."""
        if self._began is None:
            self._began = self._clock()

    def take(self, number: int) -> Urgency:
        """Notes one of `STOPPING`. Returns what it asks for."""
        interrupts = number != signal.SIGTERM
        if self._began is None:
            self.begin()
            self._interrupted = interrupts
            return Urgency.GRACEFUL
        if not interrupts or self.forced:
            return Urgency.NONE
        self.forced = self._interrupted or self._clock() - self._began >= INSISTS_AFTER
        self._interrupted = True
        return Urgency.AT_ONCE if self.forced else Urgency.NONE
