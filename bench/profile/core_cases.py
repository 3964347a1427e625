"""What a request costs in the core, and its scope or environ of that: a driver on one connected socket, nothing else.

Requests come 16 in a segment, so that hardly a system call is in the figures. Instructions are those of the functions
through which a request goes in, without sending: how often the loop turns, and how many answers leave together, is a
matter of time. They are the difference of a short and a long run, in which what is done once cancels out. Building a
scope or environ is a function inside the core that cannot be timed from without; its instructions can be counted.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.measure.cputime import read_cpu, spent
from bench.plan import HERE, Interface, load_plan
from bench.process import cores, on_core
from bench.profile import callgrind
from bench.profile.c_rooms import Cost

PIPELINED = 16
SHORT, LONG, STEP = 20, 120, 100  # segments
TIMEOUT = 60.0
END_OF_ANSWER = b"Hello, World!"


@dataclass(frozen=True)
class Case:
    interface: Interface
    fields: str  # what the request has
    request: bytes
    entries: tuple[str, ...]  # functions of the core; none of them is called within another
    product: str  # what is built for the application
    builder: str  # the function that does


SENDING, LATER = "Connection_end_turn", "Driver_send_deferred"  # the latter is not within an entry
INTERFACES: tuple[tuple[Interface, tuple[str, ...], str, str], ...] = (
    ("asgi", ("Connection_ready",), "scope", "ScopeBuilder_build"),
    ("wsgi", ("Connection_ready", "Threads_step"), "environ", "EnvironBuilder_build"),
)


class CoreError(Exception):
    """The core did not serve."""


def cases() -> list[Case]:
    browser = load_plan().scenarios["browser"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in browser.headers.items())
    requests = {
        "1 field": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
        "12 fields": f"GET {browser.path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n{lines}\r\n".encode(),
    }
    return [
        Case(interface, fields, request, entries, product, builder)
        for interface, entries, product, builder in INTERFACES
        for fields, request in requests.items()
    ]


def nanoseconds(case: Case, milliseconds: int) -> float:
    """CPU time of a request, the least of many averages. Raises CoreError, or VanishedError when the core crashes."""
    with _connected() as (ours, theirs), on_core(cores()[0]):
        process = subprocess.Popen(
            _command(case, theirs),
            cwd=HERE.parent,
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        with process:
            try:
                os.sched_setaffinity(0, {cores()[1]})
                client = Client(ours, process)
                client.ask(case.request, STEP)
                best, end = float("inf"), time.monotonic() + milliseconds / 1000
                while best == float("inf") or time.monotonic() < end:
                    before = read_cpu(process.pid)
                    client.ask(case.request, STEP)
                    best = min(best, spent(before, read_cpu(process.pid)) / (STEP * PIPELINED))
                return best
            finally:
                process.kill()


def instructions(case: Case) -> tuple[float, float]:
    """Of a whole request, and of building its scope or environ. Raises CoreError or CallgrindError."""
    short, long = (run_counted(case, segments) for segments in (SHORT, LONG))
    requests = (LONG - SHORT) * PIPELINED

    def more(function: str, caller: str = "") -> callgrind.Calls:
        before, after = short.calls(function, caller), long.calls(function, caller)
        return callgrind.Calls(after.count - before.count, after.instructions - before.instructions)

    built = more(case.builder)
    if built.count != requests:
        raise callgrind.CallgrindError(f"{case.builder} was called {built.count} times for {requests} requests")
    sending = more(SENDING).instructions - more(SENDING, LATER).instructions
    whole = sum(more(entry).instructions for entry in case.entries) - sending
    return whole / requests, built.instructions / requests


def run_counted(case: Case, segments: int) -> callgrind.Counts:
    with _connected() as (ours, theirs):
        environment = os.environ | {"PYTHONHASHSEED": "0"}  # dicts and sets of strings are laid out alike
        with callgrind.counted(
            _command(case, theirs), cwd=HERE.parent, pass_fds=[theirs.fileno()], env=environment
        ) as (process, counts):
            theirs.close()
            Client(ours, process).ask(case.request, segments)
            ours.close()
    return counts[0]


def costs(milliseconds: int) -> Iterable[Cost]:
    """Each as soon as it is known."""
    for case in cases():
        whole, built = instructions(case) if callgrind.available() else (None, None)
        yield Cost(f"{case.interface.upper()} request, {case.fields}", nanoseconds(case, milliseconds), whole)
        yield Cost(f"{case.product} of it, {case.fields}", None, built)


class Client:
    """Waits for the core to be ready; then asks, and reads the whole answer of a segment before the next is sent."""

    def __init__(self, ours: socket.socket, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            said = process.stderr.read().strip()[-500:] if process.stderr else ""
            raise CoreError(f"bench.profile.one_connection ended with status {process.wait()}: {said}")
        self._socket = ours

    def ask(self, request: bytes, segments: int) -> None:
        segment = request * PIPELINED
        for _ in range(segments):
            self._socket.sendall(segment)
            left = PIPELINED
            rest = b""
            while left:
                piece = self._socket.recv(65536)
                if not piece:
                    raise CoreError(f"the connection was closed with {left} answers missing")
                rest += piece
                left = PIPELINED - rest.count(END_OF_ANSWER)


def _command(case: Case, theirs: socket.socket) -> list[str]:
    return [sys.executable, "-m", "bench.profile.one_connection", case.interface, str(theirs.fileno())]


@contextlib.contextmanager
def _connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    with ours, theirs:
        yield ours, theirs
