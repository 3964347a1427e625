"""Clients of a fleet: connections that are new, kept, and kept with pauses. They count what is lost or done twice."""

import itertools
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from fleet.application import PIECE, PIECES
from fleet.balancer import H2, TCP
from kit.answer import BrokenAnswer
from kit.client import Address, Client
from kit.script import request

ONCE, KEPT, PAUSED = HABITS = ("once", "kept", "paused")
SOURCE = "127.0.0.8"
"""The address of the clients, which the servers have to see."""

THINKS = 0.02
"""Seconds at most between two requests; all of this shares the machine's processors."""

PAUSES = {TCP: 0.5}
"""The longest of a paused connection, where it is not PAUSE. One that is passed on comes to its end a second after the
worker has been told to go, and nobody can say in advance that a request will cross with that."""

PAUSE = 3.0
LARGE = 100_000


class Load:
    """Threads that ask until the end. A context manager; `answered` and `failures` can be looked at meanwhile.

    addresses: by the manner in which HAProxy reaches the servers.
    changes: the file in which the servers note each change.
    connections: of each habit at each address.
    """

    def __init__(self, addresses: dict[str, tuple[str, int]], changes: Path, connections: int) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._changes = changes
        self._changed: set[int] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(manner, habit, address, random.Random(f"{manner} {habit} {each}")))
            for manner, address in addresses.items()
            for habit in HABITS
            for each in range(connections)
        ]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for each in self._threads:
            each.join()

    def done_otherwise_than_once(self) -> list[str]:
        """Changes that were confirmed and not made, or made more than once."""
        done = Counter(map(int, self._changes.read_text().split()))
        return [f"change {each} was made {done[each]} times" for each in self._changed | set(done) if done[each] != 1]

    def _ask(self, manner: str, habit: str, address: Address, chance: random.Random) -> None:
        asked = 0
        while not self._end.is_set():
            try:
                with Client(address, source=SOURCE) as client:
                    asked = 0
                    while self._one(client, manner, habit, chance) and not self._end.is_set():
                        asked += 1
                        self._end.wait(chance.uniform(0, PAUSES.get(manner, PAUSE) if habit == PAUSED else THINKS))
                        if client.readable():
                            break
            except (BrokenAnswer, OSError) as error:
                self._failed(f"{manner} {habit}, request {asked + 1} of its connection: {error!r}"[:400])

    def _one(self, client: Client, manner: str, habit: str, chance: random.Random) -> bool:
        """Whether the connection can be used again."""
        fields = ["Connection: close"] if habit == ONCE else []
        begin, number = "", 0
        match chance.randrange(6):
            case 0:
                data = request("/slow", *fields)
            case 1:
                data = request("/stream", *fields)
                begin = PIECE.decode() * PIECES
            case 2 | 3 as size:
                number = next(self._numbers)
                body = b"x" * (LARGE if size == 2 else 100)
                data = request(f"/change?{number}", *fields, method="POST", body=body)
            case _:
                data = request("/", *fields)
        answer = client.exchange(data)
        with self._lock:
            self.answered[manner] += 1
            if number:
                self._changed.add(number)
        wanted = f"{begin}{'2' if manner == H2 else '1.1'} {SOURCE}" + (f":{client.port}" if manner == TCP else "")
        end = " " + body.decode() if number else ""
        text = answer.body.decode("latin-1")
        if answer.status != 200 or not text.startswith(wanted) or not text.endswith(end):
            self._failed(f"{manner} {habit}: {data[:40]!r} got {answer.status} {text[:100]!r} … {text[-40:]!r}")
        return not answer.closes

    def _failed(self, what: str) -> None:
        with self._lock:
            self.failures.append(f"{time.monotonic():.3f} {what}")
        self._end.wait(0.05)
