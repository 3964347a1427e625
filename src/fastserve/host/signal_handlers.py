"""The signal handlers that the server sets in processes of its own, and what there was before.

A child that the application forks has them as well. They mean nothing there, and would swallow the SIGTERM that is to
end it.
"""

import signal
from typing import Any

_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}


def set_handler(number: int, handler: Any) -> None:
    """Sets the handler of a signal. The first time, what was there is remembered."""
    before = signal.signal(number, handler)
    _before.setdefault(number, before)
    _ours[number] = handler


def give_back() -> None:
    """In a child: signals do what they did before the server began. Handlers that the application has set stay."""
    for number, handler in _ours.items():
        if signal.getsignal(number) == handler:
            before = _before[number]
            signal.signal(number, signal.SIG_DFL if before is None else before)
