"""The server's own loggers, which stay enabled under logging configurations that do not name them.

`logging.config` disables every logger that it does not name, unless it is told not to
(`disable_existing_loggers`, true by default). That is meant for libraries' loggers, and would silence the server: a
start would fail without a word, and tracebacks of requests would vanish.

A handler or a filter that raises costs the server nothing but the line: a worker that logs "stopping" still stops.
"""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any

NAMES = ("fastserve", "fastserve.error")


class OwnLogger(logging.Logger):
    """A logger that logging.config does not disable. Code that sets `disabled` itself has its way.

    Never raises what its handlers and filters raise: a failure is reported on stderr, once.
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
    """Gives the server's loggers this class, whatever class the program has set for its loggers. Idempotent."""
    for name in NAMES:
        logger = logging.getLogger(name)
        kind = type(logger)
        if not issubclass(kind, OwnLogger):
            ours = OwnLogger if kind is logging.Logger else type(kind.__name__, (OwnLogger, kind), {})
            logger.__class__ = ours
