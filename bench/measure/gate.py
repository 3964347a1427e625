"""The gate: what every server has to get right before its figures mean anything.

After a check that fails the server is started anew, so that what one of them breaks is not held against another. What
the server fails is marked beside its figures; a process that ends by itself is a crash.
"""

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.loads.strict_client import BrokenAnswerError, SilentError, StrictClient, WireAnswer
from bench.measure.cputime import tree
from bench.measure.sample import Settings, server_command
from bench.plan import HERE, Answer, Scenario, Server
from bench.process import Running, ServerError, cores, free_port, started

GATE = Scenario("gate", "", "gate_asgi", Answer(), apps={"asgi": "gate_asgi", "wsgi": "gate_wsgi"})
HALVES = 72  # more than any server here has threads, so that one thread for each half request is not enough
READY_DEADLINE = 10.0
END_DEADLINE = 2.0


class FailedCheckError(Exception):
    """The message says what the server has done in place of the right thing."""


class CrashError(Exception):
    """A process of the server has ended by itself."""


@dataclass(frozen=True)
class Gate:
    """How a server fared: what it did in the checks that it failed, and how it ended in those that it crashed in.

    With `error` set it could not be tried.
    """

    server: str
    failed: dict[str, str] = field(default_factory=dict)
    crashed: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def passed(self) -> bool:
        return not (self.failed or self.crashed or self.error)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "CRASHED" if self.crashed else "not tried" if self.error else "FAILED"
        lines = [f"{self.server:<24}{verdict}{self.error and f': {self.error}'}"]
        lines += [f"    crashed at {check}: {what}" for check, what in self.crashed.items()]
        lines += [f"    failed {check}: {what}" for check, what in self.failed.items()]
        return "\n".join(lines)


def run_gate(server: Server, settings: Settings, absent: str = "") -> Gate:
    """All checks. Never raises for what the server does wrong; one that is `absent` is not started."""
    gate = Gate(server.name, error=absent)
    left = [] if absent else list(CHECKS)
    while left:
        try:
            with _started(server, settings) as running:
                left = _run_checks(left, running, gate)
        except ServerError as error:
            return Gate(server.name, error=str(error))
    return gate


def gated(servers: Iterable[Server]) -> list[Server]:
    """Those that load an application, which alone can be asked for what the gate asks."""
    return [server for server in servers if server.interface]


@contextlib.contextmanager
def _started(server: Server, settings: Settings) -> Iterator[Running]:
    """Raises ServerError for one that does not even begin."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        command = server_command(GATE, server, settings, port, Path(scratch))
        with started(command, port, cores()[0], Path(scratch) / "server.log", HERE.parent) as running:
            _await_answer(running)
            yield running


def _run_checks(names: list[str], running: Running, gate: Gate) -> list[str]:
    """Up to the first that is not passed, which is put down; returns those that are left."""
    for number, name in enumerate(names, 1):
        try:
            _run_check(CHECKS[name], running)
        except FailedCheckError as error:
            gate.failed[name] = str(error)
            return names[number:]
        except CrashError as error:
            gate.crashed[name] = str(error)
            return names[number:]
    return []


def _run_check(check: Callable[[int], None], running: Running) -> None:
    """Raises FailedCheckError and CrashError."""
    processes = set(tree(running.pid))
    failure = ""
    try:
        check(running.port)
    except (BrokenAnswerError, SilentError, FailedCheckError) as error:
        failure = str(error)
    _require_service(running, processes)
    if failure:
        raise FailedCheckError(failure)


def _await_answer(running: Running) -> None:
    """Until a worker answers: the port may be open before there is one."""
    deadline = time.monotonic() + READY_DEADLINE
    while True:
        running.require_alive()
        try:
            _expect(_get(running.port, "/ready"), b"/ready")
            return
        except (BrokenAnswerError, SilentError, FailedCheckError) as error:
            if time.monotonic() > deadline:
                raise ServerError(f"no right answer to an ordinary request: {error}{running.last_words()}") from error
            time.sleep(0.05)


def _require_service(running: Running, processes: set[int]) -> None:
    """The same processes are there, and serve."""
    complaint = ""
    try:
        _expect(_get(running.port, "/after"), b"/after")
    except (BrokenAnswerError, SilentError, FailedCheckError) as error:
        complaint = f"serves nobody afterwards: {error}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(END_DEADLINE)
    status = running.process.poll()
    if status is not None:
        raise CrashError(_ended_by(status))
    if processes - set(tree(running.pid)):
        raise CrashError("a worker has ended")
    if complaint:
        raise FailedCheckError(complaint)


def _ended_by(status: int) -> str:
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def pipelined(port: int) -> None:
    """Two requests in two segments, the second cut anywhere: the first is answered before the rest is there."""
    first, second = _request("/first"), _request("/second")
    for cut in (1, second.index(b" HTTP"), second.index(b"\r\n") + 1, second.index(b"Host") + 2, len(second) - 1):
        with StrictClient(port) as client:
            client.send(first + second[:cut])
            try:
                _expect(client.answer(), b"/first")
            except SilentError as error:
                raise FailedCheckError("the first of two requests waits for the rest of the second") from error
            client.send(second[cut:])
            _expect(client.answer(), b"/second")


def head(port: int) -> None:
    """An answer to HEAD has no body, and the next one on its connection is whole."""
    with StrictClient(port) as client:
        client.send(_request("/head", "HEAD"))
        answer = client.answer("HEAD")
        length = dict(answer.headers).get("content-length", "5")
        if answer.status != 200 or length != "5":
            raise FailedCheckError(f"status {answer.status} and a length of {length} in place of 200 and 5")
        if dict(answer.headers).get("connection", "").lower() == "close":
            if not client.ended():
                raise FailedCheckError("a body after the head")
            return
        client.send(_request("/next"))
        try:
            _expect(client.answer(), b"/next")
        except BrokenAnswerError as error:
            raise FailedCheckError(f"a body after the head: {error}") from error


def cookies(port: int) -> None:
    """Two Cookie fields reach the application as they are, or joined by a semicolon: a comma is part of a value."""
    answer = _get(port, "/cookies", b"Cookie: a=1\r\nCookie: b=2\r\n")
    seen = [pair.strip() for pair in answer.body.replace(b"|", b";").split(b";")]
    if answer.status != 200 or seen != [b"a=1", b"b=2"]:
        raise FailedCheckError(f"the application has seen {answer.body.decode('latin-1')!r}")


def injected(port: int) -> None:
    """A line break in a header value of the application's does not begin another header field."""
    with StrictClient(port) as client:
        client.send(_request("/injected"))
        with contextlib.suppress(BrokenAnswerError):
            client.answer()
        if b"\nx-injected:" in client.received.lower():
            raise FailedCheckError("a line break in a header value reaches the client, as another field")


def broken(port: int) -> None:
    """An answer that the application breaks off cannot be taken for a whole one."""
    with StrictClient(port) as client:
        client.send(_request("/broken"))
        try:
            answer = client.answer()
        except BrokenAnswerError:
            return
        except SilentError as error:
            raise FailedCheckError("an answer that broke off is left open") from error
        if answer.status < 500:
            raise FailedCheckError("an answer that broke off ends as though it were whole")


def half_sent(port: int) -> None:
    """Clients that have sent half a head do not keep others from being served, and are served when they go on."""
    request = _request("/half")
    with contextlib.ExitStack() as stack:
        halves = [stack.enter_context(StrictClient(port)) for _ in range(HALVES)]
        for client in halves:
            client.send(request[:-6])
        try:
            _expect(_get(port, "/other"), b"/other")
        except SilentError as error:
            raise FailedCheckError(f"nobody is served beside {HALVES} half-sent heads") from error
        halves[0].send(request[-6:])
        _expect(halves[0].answer(), b"/half")


CHECKS: dict[str, Callable[[int], None]] = {
    "a pipelined request in two segments": pipelined,
    "HEAD": head,
    "two Cookie fields": cookies,
    "a line break in a header value": injected,
    "an exception in mid-stream": broken,
    "half-sent heads beside other clients": half_sent,
}


def _request(path: str, method: str = "GET", fields: bytes = b"") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: gate\r\n".encode() + fields + b"\r\n"


def _get(port: int, path: str, fields: bytes = b"") -> WireAnswer:
    with StrictClient(port) as client:
        client.send(_request(path, fields=fields))
        return client.answer()


def _expect(answer: WireAnswer, body: bytes) -> None:
    if answer.status != 200 or answer.body != body:
        raise FailedCheckError(f"status {answer.status} with {answer.body[:60]!r} in place of 200 with {body!r}")
