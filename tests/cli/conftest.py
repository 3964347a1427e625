"""The command as a real process: run to its end, or launched, watched and stopped by its pid."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import pytest

from kit.process import Output
from kit.waiting import PATIENCE, UNHURRIED

COMMAND = [sys.executable, "-m", "fastserve"]
STAMP = re.compile(r"^\[[^\]]+\] \[\d+\] ", re.MULTILINE)
"""The part of a log line that differs from run to run: time and process."""

HELLO = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only HTTP")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything that configures the server."""
    kept = {name: value for name, value in os.environ.items() if name != "PORT" and not name.startswith("FASTSERVE_")}
    return {**kept, **variables}


class Ended:
    """What a finished command left: its exit status and its two outputs, log lines without time and process."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        self.stderr = STAMP.sub("", done.stderr)


class Launched:
    """A command that serves. A context manager: leaving it kills what still runs."""

    def __init__(self, arguments: list[str], cwd: Path, variables: dict[str, str], keep: tuple[int, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(**{**UNHURRIED, **variables}),
            pass_fds=keep,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.stdout, self.stderr = (Output(_present(each)) for each in (self.process.stdout, self.process.stderr))

    def port(self) -> int:
        """The port that the log names."""
        text = self.stderr.wait(lambda text: re.search(r"listening on http://\S+:\d+\n", text) is not None)
        match = re.search(r"listening on http://\S+:(\d+)\n", text)
        assert match is not None
        return int(match[1])

    def signal(self, number: signal.Signals) -> Self:
        self.process.send_signal(number)
        return self

    def end(self) -> Ended:
        """Waits for the end of the process."""
        status = self.process.wait(PATIENCE)
        for output in (self.stdout, self.stderr):
            output.wait_for_the_end()
        return Ended(subprocess.CompletedProcess([], status, self.stdout.text, self.stderr.text))

    def stop(self) -> Ended:
        return self.signal(signal.SIGTERM).end()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _present(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


Run = Callable[..., Ended]
Launch = Callable[..., Launched]

BOTH_WAYS = pytest.mark.parametrize("way", ["supervised", "alone"], indirect=True)
"""A test of what is promised under a supervisor and without one."""


@pytest.fixture
def way(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The flags of the way in which the command serves: under a supervisor, which is the default, or alone."""
    return ("--no-supervisor",) if getattr(request, "param", "supervised") == "alone" else ()


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., Path]:
    """Writes a module of the application's into the directory where the command runs: module("name", source)."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        return path

    write("hello", HELLO)
    return write


@pytest.fixture
def run(module: Callable[..., Path], tmp_path: Path, way: tuple[str, ...]) -> Run:
    """Runs the command to its end: run("hello:app", "--port", "x", VARIABLE="value")."""

    def ended(*arguments: str, **variables: str) -> Ended:
        return Ended(
            subprocess.run(
                [*COMMAND, *arguments, *way],
                cwd=tmp_path,
                env=environment(**variables),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        )

    return ended


@pytest.fixture
def launch(module: Callable[..., Path], tmp_path: Path, way: tuple[str, ...]) -> Iterator[Launch]:
    """Starts the command on a free port: launch("hello:app", "--lifespan", "off", VARIABLE="value")."""
    started: list[Launched] = []

    def new(*arguments: str, keep: tuple[int, ...] = (), **variables: str) -> Launched:
        elsewhere = {"--uds", "--fd", "--port"} & set(arguments) or {"PORT", "FASTSERVE_PORT"} & set(variables)
        place = [] if elsewhere else ["--port", "0"]
        launched = Launched([*arguments, *place, *way], tmp_path, variables, keep)
        started.append(launched)
        return launched

    yield new
    for each in started:
        each.kill()
