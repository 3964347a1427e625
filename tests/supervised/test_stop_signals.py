"""The signals that stop a server, in a row: with a supervisor and alone, on both loops, on one thread and on more."""

import os
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from kit.answer import Answer
from kit.script import request
from kit.waiting import until
from supervised.conftest import Supervise, Write
from supervised.session import empty
from supervised.supervised import Supervised

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT

APPLICATION = '''
import asyncio, signal, sys, time
from pathlib import Path

def stops():
    """What applications ask of the server: sse-starlette, and others."""
    return signal.getsignal(signal.SIGTERM).__self__.should_exit

def gate():
    print("waiting", file=sys.stderr, flush=True)
    while not Path("gate").exists():
        yield 0.01

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        signal.signal(signal.SIGTERM, lambda *_: print("mine", file=sys.stderr, flush=True))
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/exit":
        signal.getsignal(signal.SIGTERM).__self__.should_exit = True
    before = stops()
    for seconds in gate():
        await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{before} {stops()}".encode()})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/exit":
        signal.getsignal(signal.SIGTERM).__self__.should_exit = True
    before = stops()
    for seconds in gate():
        time.sleep(seconds)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{before} {stops()}".encode()]
'''


class Busy:
    """A server with a request in flight, which is answered as soon as `end` says so."""

    def __init__(self, supervise: Supervise, write: Write, directory: Path, *options: str) -> None:
        write(APPLICATION)
        self._gate = directory / "gate"
        self.server: Supervised = supervise(*options)
        self.client = self.server.connect().send(request("/"))
        self.server.log.wait_for("waiting\n")

    def send(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.server.signal(number)

    def ended_by(self, number: signal.Signals) -> bool:
        """Sends it once more, and looks."""
        self.send(number)
        return self.server.process.poll() is not None

    def end(self) -> Answer:
        self._gate.touch()
        return self.client.answer()

    def says(self, text: str) -> str:
        return self.server.log.wait_for(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()


def test_terminated_as_often_as_one_likes(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    """To the server, and to its whole group, as coreutils' `timeout` does; over more than the second of an INT."""
    with Busy(supervise, write, tmp_path, *kind, *way) as busy:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            busy.send(TERM)
            os.killpg(busy.server.pid, TERM)
            time.sleep(0.05)  # two of one number that wait are one
        assert busy.end().body == b"False True"
        assert busy.server.wait() == 0
    assert empty(busy.server.pid)
    assert busy.server.log.text.count("[INFO] stopping\n") == 1
    assert "at once" not in busy.server.log.text


@pytest.mark.parametrize("numbers", [(INT, INT), (QUIT, QUIT), (QUIT, INT)], ids=["INT INT", "QUIT QUIT", "QUIT INT"])
def test_interrupted_twice(
    supervise: Supervise,
    write: Write,
    tmp_path: Path,
    kind: tuple[str, ...],
    way: tuple[str, ...],
    numbers: tuple[signal.Signals, signal.Signals],
) -> None:
    with Busy(supervise, write, tmp_path, *kind, *way) as busy:
        first, second = numbers
        busy.send(first)
        if "1" in kind and way:
            # The one thread is inside the application and says nothing yet; two signals that wait there are one.
            assert until(lambda: busy.ended_by(second))
        else:
            busy.says("[INFO] stopping\n")
            busy.send(second)
        assert busy.server.wait() == 3
        assert busy.client.gone()
    assert empty(busy.server.pid)


def test_interrupted_after_a_termination_that_is_a_second_old(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    with Busy(supervise, write, tmp_path, *kind, *way) as busy:
        busy.send(TERM)
        assert until(lambda: not pending(busy.server.pid, TERM))
        time.sleep(1.1)
        busy.send(INT)
        assert busy.server.wait() == 3
        assert busy.client.gone()
    assert empty(busy.server.pid)


def test_interrupted_together_with_a_termination(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    """Both are the same event: `docker stop` in a terminal, a wrapper that forwards what came to the group."""
    with Busy(supervise, write, tmp_path, *kind, *way) as busy:
        busy.send(TERM, INT)
        assert busy.end().status == 200
        assert busy.server.wait() == 0
    assert "at once" not in busy.server.log.text


def pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent and has not been delivered."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) >> (number - 1) & 1 for line in lines if line.startswith("ShdPnd:"))


def test_application_that_asks_for_the_end(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    write(APPLICATION)
    (tmp_path / "gate").touch()
    server = supervise(*kind, *way)
    worker = server.pid if way else server.wait_for_workers(1)[0]
    server.get("/exit")
    if way:
        assert server.wait() == 0
    else:
        server.log.wait_for(f"(pid {worker}) was told to end by somebody else, another one follows\n")
        assert until(lambda: list(server.workers("serving").values()) not in ([], [worker]))
        assert server.stop() == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_application_with_a_handler_of_its_own(
    supervise: Supervise, write: Write, loop: str, way: tuple[str, ...]
) -> None:
    write(APPLICATION)
    server = supervise("served:app", "--loop", loop, "--lifespan", "on", *way)
    assert server.stop() == 0
    assert server.log.text.count("mine\n") == 1
