"""A server as a process: started in a session of its own on one core, awaited, and always stopped."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_DEADLINE = 15.0
STOP_DEADLINE = 10.0
HOST = "127.0.0.1"
SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))  # where daemons are too


class ServerError(Exception):
    """The server did not start, ended by itself or could not be stopped; the message carries the end of its output."""


@dataclass
class Running:
    """A started server. `log` has its standard output and error."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def require_alive(self) -> None:
        status = self.process.poll()
        if status is not None:
            raise ServerError(f"server ended with status {status}{self.last_words()}")

    def last_words(self, lines: int = 5) -> str:
        text = self.log.read_text(errors="replace").strip().splitlines()[-lines:]
        return "".join(f"\n    {line}" for line in text)


@contextlib.contextmanager
def ending_by_signals() -> Iterator[None]:
    """TERM and INT unwind what runs in this block, so that every server is stopped, and end the program."""
    before = {
        number: signal.signal(number, lambda received, _frame: sys.exit(128 + received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    """A port for one server after the other, which nobody else gets meanwhile, and the one above it with it.

    They are below those that the system gives to whoever asks for any, and the name that the first has among abstract
    Unix sockets is kept until this process ends, so that another bench finds it taken.
    """
    below = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(below // 4 * 2, below - 1, 2), 1000):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0fastserve-bench-{port}")
            with socket.socket() as probe, socket.socket() as above:
                probe.bind((HOST, port))
                above.bind((HOST, port + 1))
        except OSError:
            name.close()
            continue
        _names.append(name)
        return port
    raise ServerError("no port is free")


_names: list[socket.socket] = []


def cores() -> tuple[int, int]:
    """The core for the server and the one for the load; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes that are started in this block run on `core` alone; on every one where that is None."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def started(command: list[str], port: int, core: int | None, log: Path, cwd: Path) -> Iterator[Running]:
    """Run `command` until the block ends; `log` is written anew. Raises ServerError."""
    with log.open("wb") as output, on_core(core):
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=_clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"cannot be started: {error}") from error
    running = Running(process, port, log)
    try:
        _await_port(running)
        yield running
    finally:
        stop(process)


def stop(process: "subprocess.Popen[Any]") -> None:
    """SIGTERM, then SIGKILL for whatever of the process group is left after the deadline; nothing stays behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_DEADLINE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_DEADLINE)


def _clean_environment() -> dict[str, str]:
    """Ours, without what would configure a server behind the plan's back."""
    configures = ("FASTSERVE_", "UVICORN_", "GUNICORN_", "GRANIAN_", "UWSGI_", "ROBYN_", "PYTHON", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(configures)}


def _await_port(running: Running) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        running.require_alive()
        try:
            socket.create_connection((HOST, running.port), timeout=1.0).close()
            return
        except OSError:
            time.sleep(0.02)
    raise ServerError(f"no answer on port {running.port} within {START_DEADLINE:.0f} s{running.last_words()}")
