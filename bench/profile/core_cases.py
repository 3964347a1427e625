"""What a request costs in the core, and its scope or environ of that; a WebSocket message; an HTTP/2 stream.

A driver on one connected socket, nothing else. They come 16 in a segment, so that hardly a system call is in the
figures; or one by one, so that each has a connection's turn of its own. Instructions are those of the functions through
which a request goes in, without sending: how often the loop turns, and how many answers leave together, is a matter of
time. They are the difference of a short and a long run, in which what is done once cancels out. Building a scope or
environ is a function inside the core that cannot be timed from without; its instructions can be counted.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bench.measure.cputime import read_cpu, spent
from bench.plan import HERE, Interface, Scenario, load_plan
from bench.process import cores, on_core
from bench.profile import callgrind
from bench.profile.c_rooms import Cost
from bench.profile.dialogues import TEXT, Dialogue, Messages, Requests, Streams

PIPELINED = 16  # in a segment
SHORT, LONG, STEP = 20 * PIPELINED, 120 * PIPELINED, 100 * PIPELINED  # requests, messages or streams
TIMEOUT = 60.0

Edge = tuple[str, str]  # a function of the core, and by whom it is called; "": whoever calls it


@dataclass(frozen=True)
class Case:
    interface: Interface
    app: str  # module in bench/apps
    unit: str  # what is measured
    detail: str
    dialogue: Dialogue
    entries: tuple[Edge, ...]  # none of them is called within another
    sending: str  # a function within the entries that is left out
    product: str = ""  # what is built for the application, once a unit
    builder: str = ""  # the function that does
    size: int = PIPELINED  # of a segment
    believed: bool = True  # what a proxy says of the client

    @property
    def name(self) -> str:
        alone = ", one by one" if self.size == 1 else ""
        return f"{self.interface.upper()} {self.unit}, {self.detail}{alone}"


# The end of a turn sends what it has queued, in the turn or with others. With HTTP/2 it first makes the frames.
LATER: Edge = ("Connection_end_turn", "Driver_send_deferred")
END_OF_TURN, SOCKET = "Connection_end_turn", "fs_outqueue_flush"
ENTRIES: dict[Interface, tuple[Edge, ...]] = {
    "asgi": (("Connection_ready", ""), LATER),
    "wsgi": (("Connection_ready", ""), ("Threads_step", ""), LATER),
}
PRODUCTS: dict[Interface, tuple[str, str]] = {
    "asgi": ("scope", "ScopeBuilder_build"),
    "wsgi": ("environ", "EnvironBuilder_build"),
}
HELLO: dict[Interface, str] = {"asgi": "hello", "wsgi": "wsgi_hello"}

# What proxies add to a request: the client here is one, and the other is in 10.0.0.0/8 (one_connection.py).
PROXIED = {
    "proxied": "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n",
    "proxied twice": "X-Forwarded-For: 203.0.113.9, 10.0.0.7\r\nX-Forwarded-Proto: https\r\n"
    "X-Forwarded-Host: www.example.org\r\n",
}
UNREAD = ", unread"
LONG_HEADS = "20 fields, answer with 15"
ONLY_PIPELINED = {"12 fields", LONG_HEADS, *PROXIED, *(f"{detail}{UNREAD}" for detail in PROXIED)}


class CoreError(Exception):
    """The core did not serve."""


def cases() -> list[Case]:
    pipelined = [*_requests(), *_messages(), *_streams()]
    return [*pipelined, *(_alone(case) for case in pipelined if case.detail not in ONLY_PIPELINED)]


def _alone(case: Case) -> Case:
    """With the end of its turn, but for the system call."""
    return replace(case, sending=SOCKET, product="", builder="", size=1)


def _requests() -> Iterable[Case]:
    scenarios = load_plan().scenarios
    heads = scenarios["heads"]
    requests = {
        "1 field": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
        "12 fields": _request_of(scenarios["browser"]),
    }
    long_heads = Requests(_request_of(heads), heads.answer.text.encode())
    for interface, app in HELLO.items():
        for fields, request in requests.items():
            measured = ENTRIES[interface], END_OF_TURN, *PRODUCTS[interface]
            yield Case(interface, app, "request", fields, Requests(request), *measured)
        yield Case(interface, heads.apps[interface], "request", LONG_HEADS, long_heads, *measured)
        for detail, lines in PROXIED.items():
            request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n{lines}\r\n".encode()
            read = Case(interface, app, "request", detail, Requests(request), *measured)
            yield read
            yield replace(read, detail=detail + UNREAD, believed=False)


def _request_of(scenario: Scenario) -> bytes:
    """As wrk sends it."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in scenario.headers.items())
    return f"GET {scenario.path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n{lines}\r\n".encode()


def _messages() -> Iterable[Case]:
    measured = ENTRIES["asgi"], END_OF_TURN
    yield Case("asgi", "ws_echo", "WebSocket message", f"{len(TEXT)} bytes", Messages(), *measured)


def _streams() -> Iterable[Case]:
    for interface, app in HELLO.items():
        measured = ENTRIES[interface], SOCKET, *PRODUCTS[interface]
        yield Case(interface, app, "HTTP/2 stream", "1 field", Streams(), *measured)


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
                client = Client(ours, process, case)
                client.ask(STEP)
                best, end = float("inf"), time.monotonic() + milliseconds / 1000
                while best == float("inf") or time.monotonic() < end:
                    before = read_cpu(process.pid)
                    client.ask(STEP)
                    best = min(best, spent(before, read_cpu(process.pid)) / STEP)
                return best
            finally:
                process.kill()


def instructions(case: Case) -> tuple[float, float | None]:
    """Of a whole unit, and of building its scope or environ, if it has one. Raises CoreError or CallgrindError."""
    short, long = (run_counted(case, units) for units in (SHORT, LONG))
    units = LONG - SHORT

    def more(function: str, caller: str = "") -> callgrind.Calls:
        before, after = short.calls(function, caller), long.calls(function, caller)
        return callgrind.Calls(after.count - before.count, after.instructions - before.instructions)

    sending = more(case.sending)
    if not sending.count:
        raise callgrind.CallgrindError(f"{case.sending}, which is to be left out, was never called")
    whole = sum(more(*entry).instructions for entry in case.entries) - sending.instructions
    if not case.builder:
        return whole / units, None
    built = more(case.builder)
    if built.count != units:
        raise callgrind.CallgrindError(f"{case.builder} was called {built.count} times for {units} of {case.name}")
    return whole / units, built.instructions / units


def run_counted(case: Case, units: int) -> callgrind.Counts:
    with _connected() as (ours, theirs):
        environment = os.environ | {"PYTHONHASHSEED": "0"}  # dicts and sets of strings are laid out alike
        with callgrind.counted(
            _command(case, theirs), cwd=HERE.parent, pass_fds=[theirs.fileno()], env=environment
        ) as (process, counts):
            theirs.close()
            Client(ours, process, case).ask(units)
            ours.close()
    return counts[0]


def costs(milliseconds: int) -> Iterable[Cost]:
    """Each as soon as it is known."""
    for case in cases():
        whole, built = instructions(case) if callgrind.available() else (None, None)
        yield Cost(case.name, nanoseconds(case, milliseconds), whole)
        if case.product:
            yield Cost(f"{case.product} of it, {case.detail}", None, built)


class Client:
    """Waits for the core to be ready; then asks, and reads the whole answer of a segment before the next is sent."""

    def __init__(self, ours: socket.socket, process: "subprocess.Popen[str]", case: Case) -> None:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            said = process.stderr.read().strip()[-500:] if process.stderr else ""
            raise CoreError(f"bench.profile.one_connection ended with status {process.wait()}: {said}")
        self._socket = ours
        self._case = case
        self._segments = 0
        if case.dialogue.opening:
            ours.sendall(case.dialogue.opening)
            self._read(case.dialogue.opened, 1)

    def ask(self, units: int) -> None:
        for _ in range(units // self._case.size):
            self._socket.sendall(self._case.dialogue.segment(self._segments, self._case.size))
            self._read(self._case.dialogue.ends, self._case.size)
            self._segments += 1

    def _read(self, end: bytes, count: int) -> None:
        """That many answers, each of which ends with `end`."""
        left, found = count, b""
        while left:
            piece = self._socket.recv(65536)
            if not piece:
                raise CoreError(f"the connection was closed with {left} answers missing")
            found += piece
            left = count - found.count(end)


def _command(case: Case, theirs: socket.socket) -> list[str]:
    served = [case.interface, case.app, str(theirs.fileno()), *(["believed"] if case.believed else [])]
    return [sys.executable, "-m", "bench.profile.one_connection", *served]


@contextlib.contextmanager
def _connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    with ours, theirs:
        yield ours, theirs
