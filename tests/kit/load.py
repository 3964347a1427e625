"""A small load client: several keep-alive connections, each with one request at a time, that count what they lose."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kit.answer import BrokenAnswer
from kit.client import Address, Client
from kit.process import Server
from kit.script import request
from kit.waiting import PATIENCE, Stopwatch


@dataclass
class Tally:
    """What the connections of one load saw."""

    answered: int = 0
    said_close: int = 0
    late: int = 0
    """Requests that came later than a server that stops waits for one."""
    lost: list[str] = field(default_factory=list)
    """A request that had been sent and got no whole answer."""


class Load:
    """Threads that ask until the server says Connection: close, or refuses a new connection.

    Parameters:
        address: of the server.
        connections: how many ask at the same time.
        data: one request.
    """

    def __init__(self, address: Address, connections: int, data: bytes | None = None) -> None:
        self._address = address
        self._data = data or request("/")
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.tally = Tally()
        self._answered: set[Client] = set()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(connections)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for_answers(self, count: int, timeout: float = PATIENCE) -> None:
        """Waits for this many answers of all connections together, and at least one of each."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._have_answered(count), timeout), self.tally

    def _have_answered(self, count: int) -> bool:
        return self.tally.answered >= count and len(self._answered) == len(self._threads)

    def join(self, timeout: float = PATIENCE) -> Tally:
        for thread in self._threads:
            thread.join(timeout)
            assert not thread.is_alive()
        return self.tally

    def _ask(self) -> None:
        with Client(self._address) as client:
            while self._one(client):
                pass

    def _one(self, client: Client) -> bool:
        try:
            answer = client.ask(self._data)
        except (BrokenAnswer, OSError) as error:
            with self._changed:
                self.tally.lost.append(repr(error))
                self._changed.notify_all()
            return False
        with self._changed:
            if answer is None:
                self.tally.late += 1
                return False
            self.tally.answered += 1
            self._answered.add(client)
            self.tally.said_close += answer.closes
            if answer.status != 200:
                self.tally.lost.append(f"status {answer.status}")
            self._changed.notify_all()
        return not answer.closes


@contextmanager
def others_are_served(server: Server, prompt: float) -> Iterator[None]:
    """Another client asks all the time; no answer may take `prompt` seconds, none may fail."""
    stop, failures, slowest, count = threading.Event(), [], [0.0], [0]

    def ask() -> None:
        try:
            with server.connect() as client:
                while not stop.is_set() or not count[0]:
                    watch = Stopwatch()
                    assert client.exchange(request("/")).body == b"ok"
                    slowest[0] = max(slowest[0], watch.charged())
                    count[0] += 1
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert slowest[0] < prompt
