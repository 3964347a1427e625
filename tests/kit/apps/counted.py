"""The scripted application that shows the core's ledger when the process ends, after the driver is gone."""

import atexit
import gc
import sys

from scripted import app, ledger  # type: ignore[import-not-found]  # beside it in --app-dir

__all__ = ["app"]


def show() -> None:
    gc.collect()
    sys.stderr.write(f"ledger: {ledger()!r}\n")


atexit.register(show)
