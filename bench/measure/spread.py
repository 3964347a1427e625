"""How long connections are spread over workers: by the kernel alone, and by servers that are running."""

import collections
import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.loads.idle import IdleError, raise_descriptor_limit
from bench.measure.check_answer import WrongAnswerError
from bench.measure.sample import Settings, serving
from bench.plan import Plan, Server
from bench.process import HOST, START_DEADLINE, ServerError

COUNTS = (16, 64, 256, 1024)  # connections to a server that is running
WORKERS = 2  # of the servers in the scenario
TIMEOUT = 10.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: nothing of a connection is left behind
REQUEST = b"GET / HTTP/1.1\r\nHost: spread\r\n\r\n"
SCENARIO = "two-cores"
APP = "worker"


@dataclass(frozen=True)
class Spread:
    """The connections of each worker, the fullest first; those without any count too."""

    who: str
    counts: list[int]
    error: str = ""

    @property
    def most(self) -> float:
        """Of the fullest worker, as a multiple of the mean."""
        return max(self.counts) * len(self.counts) / sum(self.counts)

    def __str__(self) -> str:
        if self.error:
            return f"{self.who:<24} {self.error}"
        shown = " ".join(map(str, self.counts)) if len(self.counts) <= 8 else f"{self.counts[0]} to {self.counts[-1]}"
        return f"{self.who:<24} {sum(self.counts):>6} connections: {shown}, the fullest {self.most:.2f} of the mean"


def kernel_spread(workers: int, connections: int) -> Spread:
    """So many sockets share a port, as those of workers do, and get so many connections. Raises IdleError."""
    raise_descriptor_limit(2 * workers * connections + workers)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(_listener(0))]
        port = listeners[0].getsockname()[1]
        listeners += [stack.enter_context(_listener(port)) for _ in range(workers - 1)]
        poller = select.epoll()
        stack.callback(poller.close)
        by_number = {listener.fileno(): listener for listener in listeners}
        for number in by_number:
            poller.register(number, select.EPOLLIN)
        counts = dict.fromkeys(by_number, 0)
        for _ in range(workers * connections):
            stack.enter_context(_connection(port))
            ((number, _),) = poller.poll(TIMEOUT)
            stack.enter_context(by_number[number].accept()[0])
            counts[number] += 1
    return Spread(f"kernel, {workers} sockets", sorted(counts.values(), reverse=True))


def measure_spread(plan: Plan, server: Server, settings: Settings) -> list[Spread]:
    """Of a server with two workers, for each of COUNTS. What it does wrong is in the last one."""
    scenario = replace(plan.scenarios[SCENARIO], app=APP)
    found = []
    for count in COUNTS:
        try:
            with serving(scenario, server, settings) as running:
                _await_workers(running.port)
                found.append(Spread(server.name, _answering(running.port, count)))
        except (ServerError, IdleError, WrongAnswerError, OSError) as error:
            return [*found, Spread(server.name, [], str(error))]
    return found


def _await_workers(port: int) -> None:
    """Until both have answered: the port is open as soon as one of them serves. Raises ServerError."""
    deadline, seen = time.monotonic() + START_DEADLINE, set[int]()
    while len(seen) < WORKERS:
        if time.monotonic() > deadline:
            raise ServerError(f"{len(seen)} of {WORKERS} workers have answered after {START_DEADLINE:.0f} s")
        with _connection(port) as connection:
            seen.add(_worker(connection))


def _answering(port: int, count: int) -> list[int]:
    """So many connections stay open, and each is told which process has it. Raises WrongAnswerError."""
    raise_descriptor_limit(count)
    with contextlib.ExitStack() as stack:
        workers = collections.Counter(_worker(stack.enter_context(_connection(port))) for _ in range(count))
    if len(workers) > WORKERS:
        raise WrongAnswerError(f"{len(workers)} workers in place of {WORKERS}")
    return sorted([*workers.values(), 0][:WORKERS], reverse=True)


def _worker(connection: socket.socket) -> int:
    connection.sendall(REQUEST)
    answer = connection.recv(4096)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or not body.isdigit():
        raise WrongAnswerError(f"{answer[:80]!r} in place of a number")
    return int(body)


@contextlib.contextmanager
def _connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, port), TIMEOUT) as connection:
        try:
            yield connection
        finally:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((HOST, port))
    listener.listen(16)
    return listener
