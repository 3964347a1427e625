"""Connections that nobody takes: noticed a moment after they arrive, long before a heartbeat shows that their worker
hangs.

The kernel spreads connections over the slots' sockets by a hash, whether or not the worker behind one turns. The
supervisor watches each socket for a single event (EPOLLONESHOT): the first connection wakes it, and it looks again once
PATIENCE has passed. As long as workers turn this costs some twenty short wake-ups a second while connections come, and
nothing else.
"""

import select
import time
from collections.abc import Mapping
from contextlib import suppress

PATIENCE = 0.05
"""Seconds that a connection may wait before its worker is looked at."""


class Arrivals:
    """Owns an epoll descriptor; the sockets stay others'."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._slots: dict[int, int] = {}
        self._looks: dict[int, float] = {}

    def fileno(self) -> int:
        """Readable when a connection has come to a socket that was armed."""
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()

    def watch(self, slots: Mapping[int, int]) -> None:
        """Watches these from now on: a slot's index by each descriptor. A descriptor is removed before it is closed."""
        for fd in self._slots.keys() - slots.keys():
            with suppress(OSError):
                self._epoll.unregister(fd)
            self._looks.pop(fd, None)
        for fd in slots.keys() - self._slots.keys():
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)
        self._slots = dict(slots)

    def due(self) -> float | None:
        """When the next look is due, by time.monotonic; None while no connection has come."""
        return min(self._looks.values(), default=None)

    def waiting(self) -> set[int]:
        """Returns the slots in which a connection still waits PATIENCE after it came. Never waits itself."""
        moment = time.monotonic()
        self._note(moment)
        due = [fd for fd, when in self._looks.items() if when <= moment]
        for fd in due:
            del self._looks[fd]
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
        return {self._slots[fd] for fd in self._note(moment) if fd in due}

    def _note(self, moment: float) -> list[int]:
        come = [fd for fd, _ in self._epoll.poll(0) if fd in self._slots]
        for fd in come:
            self._looks.setdefault(fd, moment + PATIENCE)
        return come
