"""A start that fails: exit status 1, the reason once, with the application's frames, and no process left behind."""

import os
import signal
import socket
from pathlib import Path

import pytest

from kit.process import TRACEBACK, tracebacks
from kit.waiting import Stopwatch
from supervised.conftest import APPLICATION, Supervise, Write
from supervised.session import empty
from supervised.supervised import Supervised

ONE_OR_MORE = pytest.mark.parametrize("workers", ["1", "3"])

LIFESPAN = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise OSError("no database")
"""
NO_STARTUP = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


def failed(supervised: Supervised) -> str:
    """Waits for the end of a start that fails; the log."""
    assert supervised.wait() == 1
    assert empty(supervised.pid)
    assert "listening on" not in supervised.log.text
    return supervised.log.text


@ONE_OR_MORE
@pytest.mark.parametrize(
    ("source", "options", "reason", "line", "ours"),
    [
        (
            "def deep():\n    import nothing_like_it\ndeep()",
            (),
            "cannot import 'served': ModuleNotFoundError: ",
            3,
            True,
        ),
        ("application = 1", (), "module 'served' has no attribute 'app'", 0, False),
        (LIFESPAN, ("--lifespan", "on"), "does not support lifespan: it raised OSError: no database", 4, True),
        ("import sys\nsys.exit('no way')", (), "cannot import 'served': SystemExit: no way", 2, True),
        ("import os\nos._exit(0)", (), "ended before it was ready: exit status 0", 0, False),
        ("import ctypes\nctypes.string_at(0)", (), "ended before it was ready: killed by SIGSEGV", 0, False),
    ],
    ids=["import", "attribute", "lifespan", "sys.exit", "os._exit", "crash"],
)
def test_application(
    supervise: Supervise, write: Write, workers: str, source: str, options: tuple[str, ...], reason: str, line: int,
    ours: bool,
) -> None:  # fmt: skip
    path = write(source)
    log = failed(supervise("served:app", "--workers", workers, *options, listens=False))
    assert log.count("[CRITICAL]") == 1
    assert log.count(reason) >= 1
    assert tracebacks(log) == ours
    if ours:
        assert f'{TRACEBACK}:\n  File "{path}", line {line}, in ' in log


def test_startup_that_says_no(supervise: Supervise, write: Write) -> None:
    write(NO_STARTUP)
    log = failed(supervise("served:app", "--workers", "1", listens=False))
    assert "[ERROR] the application's startup failed: no database\n" in log
    assert log.count("[CRITICAL] the application's startup failed") == 1
    assert TRACEBACK not in log


@ONE_OR_MORE
def test_import_that_hangs(supervise: Supervise, write: Write, workers: str) -> None:
    path = write("import time\ndef forever():\n    time.sleep(3600)\nforever()")
    log = failed(supervise("served:app", "--workers", workers, "--timeout-startup", "1", listens=False))
    assert log.count("[CRITICAL]") == 1
    assert "did not become ready within 1 s\n" in log
    assert f'File "{path}", line 3 in forever' in log


def test_startup_that_hangs(supervise: Supervise, write: Write) -> None:
    write("import asyncio\nasync def app(scope, receive, send):\n    await asyncio.sleep(3600)")
    log = failed(supervise("served:app", "--timeout-startup", "1", listens=False))
    assert "did not become ready within 1 s\n" in log


def test_one_worker_of_three_fails(supervise: Supervise, write: Write) -> None:
    """The others, which are ready, are ended as well."""
    write("import os\nassert os.environ['FASTSERVE_SLOT'] != '2', 'not the third'\n" + APPLICATION)
    log = failed(supervise("served:app", "--workers", "3", listens=False))
    assert log.count("[CRITICAL] cannot import 'served': AssertionError: not the third\n") == 1


@ONE_OR_MORE
def test_address_in_use(supervise: Supervise, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        log = failed(supervise("served:app", "--workers", workers, "--port", str(port), listens=False))
    assert log.count(f"[CRITICAL] cannot listen on 127.0.0.1:{port}: address already in use\n") == 1


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "preload"])
def test_what_is_configured_and_cannot_be(supervise: Supervise, tmp_path: Path, preload: tuple[str, ...]) -> None:
    (tmp_path / "broken.py").write_text("raise OSError('no settings')")
    (tmp_path / "settings").write_text("= what")
    cases = {
        ("--hooks", "broken"): "cannot import 'broken': OSError: no settings",
        ("--hooks", "absent"): "there is no module 'absent' in ",
        ("--env-file", "settings"): "--env-file: settings",
        ("--user", "nobody-of-that-name"): "--user nobody-of-that-name: there is no such user",
        ("--pid", "none/server.pid"): "cannot write the PID file ",
        ("--admin", "unix:none/admin.sock"): "none/admin.sock",
        ("--access-log", "--access-logfile", "none/access.log"): "cannot open the access log ",
    }
    started = {case: supervise("served:app", *case, *preload, listens=False) for case in cases}
    for case, reason in cases.items():
        log = failed(started[case])
        assert log.count("[CRITICAL]") == 1, log
        assert reason in log


@pytest.mark.parametrize("options", [("--workers", "3"), ("--preload",)], ids=["in the worker", "preload"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signal_during_the_import(
    supervise: Supervise, write: Write, options: tuple[str, ...], number: signal.Signals, status: int
) -> None:
    write("import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(3600)")
    supervised = supervise("served:app", *options, listens=False)
    supervised.log.wait_for("importing\n")
    watch = Stopwatch()
    assert supervised.signal(number).wait() == status
    assert watch.charged() < 3
    assert empty(supervised.pid)
    assert TRACEBACK not in supervised.log.text
    assert ("[WARNING] interrupted\n" in supervised.log.text) == (number == signal.SIGINT)


def test_signal_during_the_startup(supervise: Supervise, write: Write) -> None:
    write(
        "import asyncio, sys\nasync def app(scope, receive, send):\n"
        "    print('starting', file=sys.stderr, flush=True)\n    await asyncio.sleep(3600)"
    )
    supervised = supervise("served:app", "--workers", "2", listens=False)
    supervised.log.wait_for("starting\n")
    assert supervised.signal(signal.SIGTERM).wait() == 0
    assert empty(supervised.pid)


def test_ctrl_c_in_a_terminal_during_the_import(supervise: Supervise, write: Write) -> None:
    """The terminal sends SIGINT to the workers, too."""
    write("import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(3600)")
    supervised = supervise("served:app", "--workers", "2", listens=False)
    supervised.log.wait(lambda text: text.count("importing") == 2)
    os.killpg(supervised.pid, signal.SIGINT)
    assert supervised.wait() == 130
    assert empty(supervised.pid)
    assert TRACEBACK not in supervised.log.text
