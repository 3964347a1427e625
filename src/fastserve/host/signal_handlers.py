"""The signal handlers that the server sets in processes of its own, and the handlers before them.

A child that the application forks inherits them. They mean nothing there, and would swallow the SIGTERM that should
end it.
"""

import signal
from typing import Any

_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}


def set_handler(number: int, handler: Any) -> None:
    """Sets the handler of a signal. The first time, remembers the earlier one."""
    before = signal.signal(number, handler)
    _before.setdefault(number, before)
    _ours[number] = handler


def give_back() -> None:
    """In a child: restores the handlers from before the server. Handlers that the application has set stay."""
    for number, handler in _ours.items():
        if signal.getsignal(number) == handler:
            before = _before[number]
            signal.signal(number, signal.SIG_DFL if before is None else before)
