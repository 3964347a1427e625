"""Programs that an application starts hear the signals that it does not hear itself."""

import json
import os
import signal
from pathlib import Path

import pytest

from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import children

APPLICATION = '''
"""/start starts a program and gives its process ID; others tell what one sees of signals, at the import and now."""
import json, os, signal, subprocess, sys

SHOW = """
import json, signal, sys
from pathlib import Path
lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
print(json.dumps([int(lines[name], 16) for name in ("SigIgn", "SigBlk", "SigCgt")]))
"""

def seen():
    return json.loads(subprocess.run([sys.executable, "-S", "-c", SHOW], capture_output=True, check=True).stdout)

IMPORTED = seen()

def answer(path):
    if path == "/start":
        return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]).pid
    return [IMPORTED, seen()]

async def app(scope, receive, send):
    body = json.dumps(answer(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer(environ["PATH_INFO"])).encode()]
'''

UNHEARD = [signal.SIGHUP, signal.SIGINT, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU]
OURS = [*UNHEARD, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD]
WAYS = [(), ("--preload",), ("--no-supervisor",)]

BOTH = pytest.mark.parametrize("app", ["app", "wsgi"])


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


@BOTH
@pytest.mark.parametrize("way", WAYS, ids=["supervised", "preload", "alone"])
def test_nothing_is_ignored_and_nothing_blocked(supervise: Supervise, app: str, way: tuple[str, ...]) -> None:
    supervised = supervise(f"served:{app}", "--lifespan", "off", *way)
    for ignored, blocked, _ in json.loads(supervised.get()):
        assert [number.name for number in OURS if ignored & 1 << (number - 1)] == []
        assert blocked == 0


@BOTH
@pytest.mark.parametrize("number", UNHEARD, ids=[number.name for number in UNHEARD])
def test_a_program_hears_what_the_worker_does_not(supervise: Supervise, app: str, number: signal.Signals) -> None:
    supervised = supervise(f"served:{app}", "--lifespan", "off")
    worker = supervised.wait_for_workers(1)[0]
    pid = int(supervised.get("/start"))
    assert until(lambda: (1 << (signal.SIGINT - 1)) & mask(pid, "SigCgt") != 0)  # Python's own handler: it has started
    os.kill(worker, number)
    supervised.get()
    assert supervised.workers() == {0: worker}
    os.kill(pid, number)
    if number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2):
        assert until(lambda: pid not in children(worker) or state(pid) == "Z")
    else:  # without a terminal these change nothing, unless somebody asks for them
        assert mask(pid, "SigIgn") & 1 << (number - 1) == 0


def mask(pid: int, name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines[name], 16)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


SLOW = """
import os, time

def end():
    os.write(2, b"ending\\n")
    time.sleep(0.3)
    os.write(2, b"ended\\n")

import atexit
atexit.register(end)

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize("way", WAYS, ids=["supervised", "preload", "alone"])
def test_signals_change_nothing_at_the_end(supervise: Supervise, write: Write, way: tuple[str, ...]) -> None:
    write(SLOW)
    supervised = supervise("served:app", "--lifespan", "off", *way)
    supervised.get()
    (pid,) = supervised.workers().values() if "--no-supervisor" not in way else [supervised.pid]
    supervised.signal(signal.SIGTERM)
    supervised.log.wait_for("ending\n", PATIENCE)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if "--no-supervisor" not in way else (signal.SIGTERM,):
        os.kill(pid, number)
    assert supervised.wait() == 0
    assert "ended\n" in supervised.log.text
    assert "unexpectedly" not in supervised.log.text
