"""Signals that are not for this process: they do nothing here, but reach the programs that it starts.

A signal that is ignored (SIG_IGN) stays ignored in started programs: Ctrl-C and HUP would do nothing there, and a shell
cannot even set a trap. A handler is not inherited by them.
"""

import atexit
import signal
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

from fastserve.host.signal_handlers import set_handler


def unhear(numbers: Iterable[signal.Signals]) -> None:
    """Sets a handler that does nothing; interrupted system calls are restarted, as with an ignored signal.

    Not for many signals in a process with faulthandler: Python's handlers run on its alternate stack, which has no room
    for five at a time (`_core.unhear`).
    """
    for number in numbers:
        set_handler(number, _nothing)
        signal.siginterrupt(number, False)
        _unheard.add(number)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _for_good() -> None:
    """Ignores the signals at the very end, when the interpreter would restore their default action, a violent end."""
    for number in _unheard:
        if signal.getsignal(number) is _nothing:
            with suppress(ValueError):  # off the main thread, where Python takes no signals
                signal.signal(number, signal.SIG_IGN)


_unheard: set[signal.Signals] = set()

atexit.register(_for_good)
