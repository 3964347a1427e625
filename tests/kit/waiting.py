"""How long tests wait: the one place for it.

Tests wait PATIENCE for whatever has to come. It is generous, since it costs time only where a test fails, and a machine
that does ten other things must not make one fail. The servers under test are UNHURRIED: a deadline of their own that is
shorter than PATIENCE would bring about what the test waits for, and hide that it did not come by itself.

That something comes soon is measured by a Stopwatch, which does not charge the time in which the machine had more to do
than it has processors: with one that is idle, as in continuous integration, a bound holds to the letter.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0 * float(os.environ.get("TEST_PATIENCE", "1"))
"""Seconds. TEST_PATIENCE=3 triples them, for a sanitized build, say; PYTEST_TIMEOUT is the bound of a whole test."""

FAR = 3600
"""Seconds that no test lasts: for a deadline that must not pass, and for an application that would never end."""

UNHURRIED = {
    f"FASTSERVE_{name}": str(FAR)
    for name in (
        "TIMEOUT_FIRST_BYTE",
        "TIMEOUT_REQUEST_HEAD",
        "TIMEOUT_KEEP_ALIVE",
        "TIMEOUT_REQUEST_BODY",
        "TIMEOUT_WRITE",
        "TIMEOUT_GRACEFUL_SHUTDOWN",
        "TIMEOUT_WORKER",
        "TIMEOUT_STARTUP",
        "SSL_HANDSHAKE_TIMEOUT",
        "H2_PING_INTERVAL",
        "H2_PING_TIMEOUT",
        "WS_PING_INTERVAL",
        "WS_PING_TIMEOUT",
        "WS_HANDSHAKE_TIMEOUT",
        "WS_CLOSE_TIMEOUT",
    )
}
"""Variables for a server whose deadlines are no matter of the test; an option on its command line goes before them."""


def until(condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
    """Asks again and again, a hundred times a second, until the condition holds or the time is over."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Stopwatch:
    """Runs from when it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._stalled = _stalled()

    def elapsed(self) -> float:
        """Seconds; for a bound from below."""
        return time.monotonic() - self._begun

    def charged(self) -> float:
        """Seconds without those in which somebody on this machine waited for a processor; for a bound from above."""
        return self.elapsed() - (_stalled() - self._stalled)


def _stalled() -> float:
    """Seconds since the machine's start in which a runnable task had no processor; 0 where Linux counts none."""
    try:
        some, _, _ = Path("/proc/pressure/cpu").read_text().partition("\n")
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6
