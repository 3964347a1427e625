"""The server's own loggers, which logging configurations that do not name them leave alone.

`logging.config` disables every logger that it does not name, unless it is told not to
(`disable_existing_loggers`, true by default). That is meant for loggers of libraries. It would make the server mute: a
start fails without a word, and tracebacks of requests vanish.

A handler or a filter that raises costs the server nothing but the line: a worker that says "stopping" goes on to stop.
"""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any

NAMES = ("fastserve", "fastserve.error")


class OwnLogger(logging.Logger):
    """Is not disabled by logging.config. Code that sets `disabled` itself has its way: it knows whom it means.

    Never raises what its handlers and filters do: that is said on stderr, once.
    """

    failed = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "disabled" and value and sys._getframe(1).f_globals.get("__name__") == "logging.config":
            return
        super().__setattr__(name, value)

    def handle(self, record: logging.LogRecord) -> None:
        try:
            super().handle(record)
        except Exception as failure:
            if not OwnLogger.failed:
                OwnLogger.failed = True
                text = "".join(traceback.format_exception(failure))
                with suppress(Exception):  # stderr is closed, or full: there is nobody left to tell
                    sys.stderr.write(f"fastserve: a logging handler has failed; further failures are not shown\n{text}")


def adopt() -> None:
    """Makes ours of the loggers, of whatever class the program has its loggers made. Idempotent."""
    for name in NAMES:
        logger = logging.getLogger(name)
        kind = type(logger)
        if not issubclass(kind, OwnLogger):
            ours = OwnLogger if kind is logging.Logger else type(kind.__name__, (OwnLogger, kind), {})
            logger.__class__ = ours
