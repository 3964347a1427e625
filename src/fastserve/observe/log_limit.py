"""Log lines that clients can cause, held to a rate: whoever can make requests fail must not fill the disk.

Each kind of line, by its text without the values, has tokens of its own: a flood of one hides no other. Omitted lines
are counted and reported: when it begins, by the next line of the kind, and at the end.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BURST = 5
"""Seconds whose lines may come at once."""

ANNOUNCE = 10.0
"""Seconds between two lines that report omitted ones."""

MOST_KINDS = 256
"""Kinds beyond these share tokens. There are as many as places in the code that log."""


@dataclass(slots=True)
class _Kind:
    tokens: float
    since: float
    left_out: int = 0
    announced: float = float("-inf")


class LimitedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes no more than `rate` lines of a kind a second, after a burst. From any thread.

    rate: 0 is no limit.
    count: called for each line that is left out.
    clock: seconds.
    """

    def __init__(
        self,
        logger: logging.Logger,
        rate: int,
        count: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logger, None)
        self._rate = rate
        self._count = count
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.RLock()  # what is logged may log: a finalizer of the application, say

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if not self.logger.isEnabledFor(level):
            return
        if not self._rate:
            self.logger.log(level, msg, *args, **kwargs)
            return
        text = str(msg)
        with self._lock:
            kind = self._kind(text)
            allowed, left_out = self._take(kind)
            announces = not allowed and self._clock() - kind.announced >= ANNOUNCE
            if announces:
                kind.announced = self._clock()
        if allowed and left_out:
            counted = f"{text} (%d like it were left out)"
            self.logger.log(level, counted, *args, left_out, **kwargs)
        elif allowed:
            self.logger.log(level, text, *args, **kwargs)
        else:
            self._count()
        if announces:
            about = "more than %d lines a second like %r: others are left out and counted (--log-rate-limit)"
            self.logger.log(level, about, self._rate, text)

    def close(self) -> None:
        """Reports the lines that were left out last."""
        with self._lock:
            left_out = {text: kind.left_out for text, kind in self._kinds.items() if kind.left_out}
            self._kinds.clear()
        for text, count in left_out.items():
            self.logger.warning("%d lines like %r were left out", count, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record of another logger may pass: for `Logger.addFilter`. Its kind is its first line."""
        if not self._rate:
            return True
        with self._lock:
            allowed, left_out = self._take(self._kind(str(record.msg).partition("\n")[0]))
        if not allowed:
            self._count()
        elif left_out:
            record.msg = f"{record.getMessage()} ({left_out} like it were left out)"
            record.args = None
        return allowed

    def _kind(self, text: str) -> _Kind:
        if text not in self._kinds and len(self._kinds) >= MOST_KINDS:
            text = "other lines"
        return self._kinds.setdefault(text, _Kind(float(self._rate * BURST), self._clock()))

    def _take(self, kind: _Kind) -> tuple[bool, int]:
        """Takes a token. Returns whether there was one, and if so, how many lines found none before."""
        now = self._clock()
        kind.tokens = min(kind.tokens + (now - kind.since) * self._rate, self._rate * BURST)
        kind.since = now
        if kind.tokens < 1:
            kind.left_out += 1
            return False, 0
        kind.tokens -= 1
        left_out, kind.left_out = kind.left_out, 0
        return True, left_out
