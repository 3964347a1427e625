"""What each signal does: to the supervisor, to a worker, and to all of them at once, as a terminal sends it."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Self

import pytest

from kit.answer import Answer
from kit.client import Client
from kit.descriptors import opened
from kit.script import request
from kit.waiting import until
from supervised.conftest import Supervise, Write
from supervised.session import empty
from supervised.supervised import Load, Supervised, children, title
from supervised.test_upgrade import take_back, upgraded

APPLICATION = """
import asyncio, os, sys, time
from pathlib import Path

GATE = Path("gate")

def say(text):
    sys.stderr.write(text + "\\n")  # in one piece: others write, too

async def app(scope, receive, send):
    if scope["path"] == "/wait":
        say("waiting")
        while not GATE.exists():
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        say("waiting")
        while not GATE.exists():
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

BOTH = pytest.mark.parametrize("app", ["app", "wsgi"])


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


class Waiting:
    """A request that the application answers as soon as `end` says so."""

    def __init__(self, supervised: Supervised, directory: Path) -> None:
        start = len(supervised.log.text)
        self._gate = directory / "gate"
        self.client = supervised.connect().send(request("/wait"))
        supervised.log.wait_for("waiting\n", start=start)

    def end(self) -> Answer:
        self._gate.touch()
        return self.client.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def start(supervise: Supervise, app: str, *options: str, workers: int = 2) -> Supervised:
    lifespan = ("--lifespan", "off") if app == "app" else ()
    supervised = supervise(f"served:{app}", *lifespan, "--workers", str(workers), *options)
    supervised.wait_for_workers(workers)
    return supervised


def refuses(supervised: Supervised) -> bool:
    def refused() -> bool:
        try:
            with supervised.connect():
                return False
        except ConnectionError:
            return True

    return until(refused)


@pytest.mark.parametrize(("app", "number"), [("app", signal.SIGTERM), ("wsgi", signal.SIGINT), ("app", signal.SIGQUIT)])
def test_graceful_stop(supervise: Supervise, tmp_path: Path, app: str, number: signal.Signals) -> None:
    supervised = start(supervise, app)
    with Waiting(supervised, tmp_path) as waiting:
        supervised.signal(number)
        assert refuses(supervised)
        assert waiting.end().status == 200
    assert supervised.wait() == 0
    assert empty(supervised.pid)
    assert supervised.log.text.endswith("[INFO] stopped\n")
    assert supervised.log.text.count("[INFO] stopping\n") == 1


@pytest.mark.parametrize(("app", "number"), [("wsgi", signal.SIGTERM), ("app", signal.SIGINT)])
def test_signal_to_all(supervise: Supervise, tmp_path: Path, app: str, number: signal.Signals) -> None:
    supervised = start(supervise, app)
    with Waiting(supervised, tmp_path) as waiting:
        os.killpg(supervised.pid, number)
        assert refuses(supervised)
        assert waiting.end().status == 200
    assert supervised.wait() == 0
    assert empty(supervised.pid)
    assert "another one follows" not in supervised.log.text
    assert "ERROR" not in supervised.log.text


@BOTH
def test_second_interrupt_forces(supervise: Supervise, tmp_path: Path, app: str) -> None:
    supervised = start(supervise, app, "--timeout-graceful-shutdown", "60")
    with Waiting(supervised, tmp_path) as waiting:
        supervised.signal(signal.SIGINT)
        assert refuses(supervised)
        supervised.signal(signal.SIGINT)
        assert supervised.wait() == 3
        assert waiting.client.gone()
    assert empty(supervised.pid)
    assert "[WARNING] stopping at once\n" in supervised.log.text


@pytest.mark.parametrize(("app", "workers"), [("app", 1), ("wsgi", 2)])
def test_end_of_each_worker(supervise: Supervise, tmp_path: Path, app: str, workers: int) -> None:
    supervised = start(supervise, app, workers=workers)
    before = supervised.wait_for_workers(workers)
    with Load(supervised.address, 4) as load, Waiting(supervised, tmp_path) as waiting:
        for pid in before.values():
            supervised.signal(signal.SIGTERM, pid)
            supervised.log.wait_for(f"(pid {pid}) was told to end by somebody else, another one follows\n")
        assert until(lambda: set(supervised.workers("serving").values()).isdisjoint(before.values()))
        assert waiting.end().status == 200
        after = supervised.wait_for_workers(workers)
        load.end_without_loss()
    assert set(after.values()).isdisjoint(before.values())
    assert "ERROR" not in supervised.log.text


@BOTH
def test_worker_ignores_what_is_the_supervisors(supervise: Supervise, app: str) -> None:
    supervised = start(supervise, app)
    before = supervised.wait_for_workers(2)
    log = supervised.log.text
    for pid in before.values():
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGINT):
            supervised.signal(number, pid)
    assert {int(supervised.get()) for _ in range(20)} <= set(before.values())
    assert supervised.wait_for_workers(2) == before
    assert supervised.log.text == log


LOGGING = {
    "version": 1,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "server.log"}},
    "loggers": {"fastserve": {"handlers": ["file"], "level": "DEBUG"}},
}


@BOTH
def test_logs_are_opened_again(supervise: Supervise, tmp_path: Path, app: str) -> None:
    (tmp_path / "log.json").write_text(json.dumps(LOGGING))
    log, access = tmp_path / "server.log", tmp_path / "access.log"
    options = ("--log-config", "log.json", "--access-log", "--access-logfile", "access.log", "--admin", "unix:admin")
    supervised = supervise(f"served:{app}", "--workers", "2", *options, "--bind", "unix:server", listens=False)
    supervised.wait_for_workers(2)
    for path in (log, access):
        path.rename(f"{path}.1")
    supervised.signal(signal.SIGUSR1)
    assert until(lambda: log.exists() and access.exists())
    workers = supervised.wait_for_workers(2).values()
    assert until(lambda: all(writes(pid, access) and writes(pid, log) for pid in workers))
    assert writes(supervised.pid, log)
    with Client(str(tmp_path / "server")) as client:
        assert client.exchange(request("/after")).status == 200
    assert until(lambda: "/after" in access.read_text())
    assert supervised.stop() == 0
    assert log.read_text().endswith("stopped\n")
    assert "/after" not in Path(f"{access}.1").read_text()


def writes(pid: int, path: Path) -> bool:
    """Whether the process has the file open."""
    return str(path) in opened(pid).values()


def test_logs_are_opened_again_by_a_worker_that_starts(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    supervised = start(supervise, "app", "--access-log", "--access-logfile", "access.log")
    write(APPLICATION.replace("GATE =", "while not Path('start').exists(): time.sleep(0.01)\nGATE ="))
    supervised.signal(signal.SIGHUP)
    assert until(lambda: any(title(pid).endswith("(starting)") for pid in children(supervised.pid)))
    access = tmp_path / "access.log"
    access.rename(tmp_path / "access.log.1")
    supervised.signal(signal.SIGUSR1)
    assert until(access.exists)
    (tmp_path / "start").touch()
    supervised.log.wait_for("reloaded\n")
    workers = supervised.wait_for_workers(2).values()
    assert until(lambda: all(writes(pid, access) for pid in workers))


@pytest.mark.parametrize("addresses", [["127.0.0.1:0"], ["127.0.0.1:0", "127.0.0.2:0"]])
def test_stop_during_a_reload(supervise: Supervise, write: Write, tmp_path: Path, addresses: list[str]) -> None:
    file = tmp_path / "fastserve.toml"
    file.write_text("bind = ['127.0.0.1:0']\nlifespan = 'off'")
    supervised = supervise("served:app", "--config", "fastserve.toml")
    supervised.wait_for_workers(1)
    file.write_text(f"bind = {addresses}\nlifespan = 'off'")
    write("import time\ntime.sleep(3600)")
    supervised.signal(signal.SIGHUP)
    assert until(lambda: any(title(pid).endswith("(starting)") for pid in children(supervised.pid)))
    assert supervised.stop() == 0
    assert empty(supervised.pid)
    assert supervised.log.text.endswith("[INFO] stopped\n")
    assert "ERROR" not in supervised.log.text


def test_workers_outlive_no_supervisor(supervise: Supervise, tmp_path: Path) -> None:
    supervised = start(supervise, "app", "--admin", "unix:admin")
    with Waiting(supervised, tmp_path) as waiting:
        os.kill(supervised.pid, signal.SIGKILL)
        supervised.process.wait()
        assert refuses(supervised)
        assert waiting.end().status == 200
    assert empty(supervised.pid)
    supervised.log.wait_for_the_end()
    assert "CRITICAL" not in supervised.log.text
    assert supervised.log.text.count("the supervisor is gone\n") == 3
    with socket.create_server(supervised.address):
        pass  # the address is free


def test_drain_delay(supervise: Supervise, tmp_path: Path) -> None:
    supervised = start(supervise, "app", "--admin", "unix:admin", "--drain-delay", "2")
    assert ready(tmp_path) == 200
    supervised.signal(signal.SIGTERM).log.wait_for("[INFO] stopping\n")
    assert until(lambda: ready(tmp_path) == 503)
    assert int(supervised.get()) in supervised.workers("serving").values()
    with Waiting(supervised, tmp_path) as waiting:
        assert refuses(supervised)
        assert ready(tmp_path) == 503
        assert waiting.end().status == 200
    assert supervised.wait() == 0
    assert not (tmp_path / "admin").exists()


def test_admin_address_outlives_a_signal_to_all(supervise: Supervise, tmp_path: Path) -> None:
    supervised = start(supervise, "app", "--admin", "unix:admin")
    assert ready(tmp_path) == 200
    with Waiting(supervised, tmp_path) as waiting:
        os.killpg(supervised.pid, signal.SIGTERM)
        assert until(lambda: title(supervised.pid).startswith("fastserve: supervisor (stopping"))
        assert [ready(tmp_path) for _ in range(20)] == [503] * 20
        assert waiting.end().status == 200
    assert supervised.wait() == 0


def ready(directory: Path) -> int:
    """The status of the admin address' answer."""
    with Client(str(directory / "admin")) as client:
        return client.exchange(request("/readyz")).status


IGNORED = "SIGWINCH is ignored: it ends the workers only while an upgrade's successor (SIGUSR2) runs\n"


def test_a_window_that_is_resized_ends_nobody(supervise: Supervise, tmp_path: Path) -> None:
    """`docker attach` passes WINCH on to a server that has no terminal."""
    supervised = start(supervise, "app")
    before = supervised.wait_for_workers(2)
    for _ in range(3):
        supervised.signal(signal.SIGWINCH).log.wait_for(IGNORED)
        assert int(supervised.get()) in before.values()
    assert supervised.wait_for_workers(2) == before
    assert supervised.log.text.count(IGNORED) == 1


def test_rest_and_return(supervise: Supervise, tmp_path: Path) -> None:
    """In an upgrade WINCH ends the workers and keeps the address; HUP starts others."""
    supervised = start(supervise, "app")
    before = supervised.wait_for_workers(2)
    with upgraded(supervised) as new:
        supervised.signal(signal.SIGWINCH)
        assert until(lambda: not supervised.workers())
        supervised.get()
        supervised.signal(signal.SIGHUP)
        assert until(lambda: len(supervised.workers("serving")) == 2)
        assert set(before.values()).isdisjoint(supervised.workers().values())
        take_back(supervised, new)
    assert IGNORED not in supervised.log.text


def test_reload_says_what_it_does_not_change(supervise: Supervise, tmp_path: Path) -> None:
    file = tmp_path / "fastserve.toml"
    file.write_text("port = 0\nlifespan = 'off'")
    supervised = supervise("served:app", "--config", "fastserve.toml")
    file.write_text("port = 0\nlifespan = 'off'\numask = '077'\nuser = '65534'\ntimeout-keep-alive = 3")
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    warning = "[WARNING] not changed by a reload but by a restart, or SIGUSR2: user, umask\n"
    assert supervised.log.text.count(warning) == 1
