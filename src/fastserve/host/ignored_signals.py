"""Signals that are not for this process: nothing happens, and programs that it starts hear them.

What is ignored (SIG_IGN) stays ignored in a program that is started: Ctrl-C and HUP would do nothing there, and a shell
cannot even set a trap. A handler does not pass over to it.
"""

import atexit
import signal
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

from fastserve.host.signal_handlers import set_handler


def unhear(numbers: Iterable[signal.Signals]) -> None:
    """System calls that such a signal interrupts are begun anew, as they would be if it were ignored.

    Not for many in a process with faulthandler: handlers of Python's run on its stack, where five of them at the same
    time do not fit (`_core.unhear`).
    """
    for number in numbers:
        set_handler(number, _nothing)
        signal.siginterrupt(number, False)
        _unheard.add(number)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _for_good() -> None:
    """At the very end the interpreter gives signals their default action back, which would be another end."""
    for number in _unheard:
        if signal.getsignal(number) is _nothing:
            with suppress(ValueError):  # off the main thread, where Python takes no signals
                signal.signal(number, signal.SIG_IGN)


_unheard: set[signal.Signals] = set()

atexit.register(_for_good)
