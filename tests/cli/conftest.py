"""The command as a real process: run to its end, or launched, watched and stopped by its pid."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.process import ServerProcess, environment
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


class Ended:
    """What a finished command left: its exit status and its two outputs, log lines without time and process."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        self.stderr = STAMP.sub("", done.stderr)


class Launched(ServerProcess):
    """The command, of which nothing is known but its arguments."""

    def __init__(self, arguments: list[str], cwd: Path, variables: dict[str, str], keep: tuple[int, ...] = ()) -> None:
        variables = environment(**{**UNHURRIED, **variables})
        super().__init__([*COMMAND, *arguments], variables, directory=cwd, descriptors=keep)

    def named_port(self) -> int:
        """The port that the log names."""
        self.wait_until_it_listens()
        return self.port

    def end(self) -> Ended:
        """Waits for the end of the process."""
        return Ended(subprocess.CompletedProcess([], self.wait(), self.stdout.text, self.stderr.text))

    def stop(self) -> Ended:
        return self.signal(signal.SIGTERM).end()


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
