"""The server's own loggers, which logging configurations that do not name them leave alone.

`logging.config` disables every logger that it does not name, unless it is told not to
(`disable_existing_loggers`, true by default). That is meant for loggers of libraries. It would make the server mute: a
start fails without a word, and tracebacks of requests vanish.
"""

import logging
import sys
from typing import Any

NAMES = ("fastserve", "fastserve.error")


class KeptEnabled(logging.Logger):
    """Is not disabled by logging.config. Code that sets `disabled` itself has its way: it knows whom it means."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "disabled" and value and sys._getframe(1).f_globals.get("__name__") == "logging.config":
            return
        super().__setattr__(name, value)


def keep_enabled() -> None:
    """Makes the loggers such, of whatever class the program has its loggers made. Idempotent."""
    for name in NAMES:
        logger = logging.getLogger(name)
        kind = type(logger)
        if not issubclass(kind, KeptEnabled):
            ours = KeptEnabled if kind is logging.Logger else type(kind.__name__, (KeptEnabled, kind), {})
            logger.__class__ = ours
