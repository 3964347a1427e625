"""A load of its own process: connections that ask again as soon as they are answered, and count whatever they lose.

    python -m kit.closed_loop ADDRESS CONNECTIONS [TARGET]

ADDRESS is HOST:PORT or the path of a Unix socket. Half of the connections are kept alive as long as the server wants,
the others ask once each. Prints "running" after the first answers; ends when its standard input does, and then prints
what it saw as JSON.
"""

import collections
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from kit.answer import BrokenAnswer
from kit.client import Address, Client
from kit.script import request
from kit.waiting import PATIENCE

MOST_FAILURES = 1000


@dataclass
class Seen:
    """What one load saw."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    """Connections that were refused or reset, answers that broke off or had another status than 200."""
    late: int = 0
    """Requests that came later than a server that stops waits for one: asked once more, as any client does."""
    bodies: dict[str, int] = field(default_factory=dict)
    """How often each body came."""
    slowest: float = 0.0
    """Seconds from a connection or request to its answer."""


class ClosedLoop:
    """The threads, one for each connection."""

    def __init__(self, address: Address, connections: int, target: str) -> None:
        self._address = address
        self._target = target
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began = threading.Event()
        self._bodies: collections.Counter[str] = collections.Counter()
        self._seen = Seen()
        self._threads = [threading.Thread(target=self._ask, args=(bool(i % 2),)) for i in range(connections)]

    def run(self) -> Seen:
        """Until the standard input ends."""
        for each in self._threads:
            each.start()
        self._began.wait(PATIENCE)
        print("running", flush=True)
        sys.stdin.read()
        self._stop.set()
        for each in self._threads:
            each.join()
        self._seen.bodies = dict(self._bodies)
        return self._seen

    def _ask(self, keep_alive: bool) -> None:
        data = request(self._target, *([] if keep_alive else ["Connection: close"]))
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                with Client(self._address) as client:
                    while self._one(client, data, begun) and not self._stop.is_set():
                        begun = time.monotonic()
            except (BrokenAnswer, OSError) as error:
                kind, notes = "kept" if keep_alive else "once", getattr(error, "__notes__", "")
                self._failed(f"{time.monotonic():.3f} {kind}: {error!r} {notes}")

    def _one(self, client: Client, data: bytes, begun: float) -> bool:
        """Whether the connection can be used again."""
        answer = client.ask(data)
        if answer is None:
            with self._lock:
                self._seen.late += 1
            return False
        with self._lock:
            self._seen.answered += 1
            self._seen.slowest = max(self._seen.slowest, time.monotonic() - begun)
            self._bodies[answer.body.decode("latin-1")] += 1
        self._began.set()
        if answer.status != 200:
            self._failed(f"status {answer.status}")
        return not answer.closes

    def _failed(self, what: str) -> None:
        with self._lock:
            if len(self._seen.failures) < MOST_FAILURES:
                self._seen.failures.append(what)
        self._stop.wait(0.01)  # a server that is gone is not hammered


def main() -> None:
    address, connections, *target = sys.argv[1:]
    host, colon, port = address.rpartition(":")
    where: Address = (host, int(port)) if colon else address
    print(json.dumps(asdict(ClosedLoop(where, int(connections), *(target or ["/"])).run())))


if __name__ == "__main__":
    main()
