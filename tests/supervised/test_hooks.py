"""The hooks: called in their order, with what is, in the process that they are for."""

import ast
import signal
from pathlib import Path
from typing import Any

import pytest

from fastserve.app.hooks import HOOKS
from kit.process import tracebacks
from supervised.conftest import Supervise
from supervised.session import empty

NOTING = """
import dataclasses, os
from pathlib import Path

HERE = Path("noted").absolute()

def note(name, info):
    with HERE.open("a") as file:
        file.write(f"{(name, os.getpid(), dataclasses.asdict(info))!r}\\n")
""" + "".join(f"\ndef {name}(info):\n    note({name!r}, info)\n" for name in HOOKS)

FAILING = "".join(f"\ndef {name}(info):\n    raise OSError('in {name}')\n" for name in HOOKS if name != "on_starting")


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "noting.py").write_text(NOTING)
    return tmp_path / "noted"


def test_a_life(supervise: Supervise, hooks: Path) -> None:
    supervised = supervise("served:app", "--hooks", "noting")
    old = supervised.wait_for_workers(1)[0]
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    new = supervised.wait_for_workers(1)[0]
    assert supervised.stop() == 0
    noted: list[tuple[str, int, dict[str, Any]]] = [ast.literal_eval(line) for line in hooks.read_text().splitlines()]
    facts = {"pid": supervised.pid, "workers": 1, "addresses": (f"http://127.0.0.1:{supervised.port}",)}
    clean = "exit status 0 (a clean stop)"
    assert noted == [
        ("on_starting", supervised.pid, facts),
        ("pre_fork", supervised.pid, {"slot": 0, "pid": 0, "generation": 0, "exit": ""}),
        ("post_fork", old, {"slot": 0, "pid": old, "generation": 0, "exit": ""}),
        ("when_ready", supervised.pid, facts),
        ("on_reload", supervised.pid, facts),
        ("pre_fork", supervised.pid, {"slot": 0, "pid": 0, "generation": 1, "exit": ""}),
        ("post_fork", new, {"slot": 0, "pid": new, "generation": 1, "exit": ""}),
        ("worker_exit", supervised.pid, {"slot": 0, "pid": old, "generation": 0, "exit": clean}),
        ("worker_exit", supervised.pid, {"slot": 0, "pid": new, "generation": 1, "exit": clean}),
        ("on_exit", supervised.pid, facts),
    ]


def test_failures_are_logged_and_change_nothing(supervise: Supervise, hooks: Path) -> None:
    supervised = supervise("served:app", "--hooks", "failing")
    supervised.wait_for_workers(1)
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    assert supervised.get().startswith(b"1 ")
    supervised.wait_for_workers(1)
    assert supervised.stop() == 0
    log = supervised.log.text
    calls = {"pre_fork": 2, "post_fork": 2, "when_ready": 1, "on_reload": 1, "worker_exit": 2, "on_exit": 1}
    assert {name: log.count(f"[ERROR] the hook {name} failed\n") for name in calls} == calls
    assert {name: log.count(f"OSError: in {name}\n") for name in calls} == calls
    assert tracebacks(log) == sum(calls.values())


@pytest.mark.parametrize("alone", [(), ("--no-supervisor",)], ids=["supervisor", "alone"])
@pytest.mark.parametrize("failure", ["raise OSError('no database')", "import sys; sys.exit('no database')"])
def test_start_is_refused(supervise: Supervise, tmp_path: Path, failure: str, alone: tuple[str, ...]) -> None:
    (tmp_path / "refusing.py").write_text(f"def on_starting(info):\n    {failure}\n")
    supervised = supervise("served:app", "--hooks", "refusing", "--pid", "server.pid", *alone, listens=False)
    assert supervised.wait() == 1
    assert empty(supervised.pid)
    assert supervised.log.text.count("[CRITICAL] the hook on_starting failed: ") == 1
    assert "no database\nTraceback" in supervised.log.text
    assert not (tmp_path / "server.pid").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_hook_that_waits_can_be_interrupted(
    supervise: Supervise, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    source = "import sys, time\ndef on_starting(info):\n    print('waiting', file=sys.stderr, flush=True)\n"
    (tmp_path / "waiting.py").write_text(f"{source}    time.sleep(3600)\n")
    options = ("--hooks", "waiting", "--pid", "server.pid", "--uds", "server.sock")
    supervised = supervise("served:app", *options, listens=False)
    supervised.log.wait_for("waiting\n")
    assert supervised.signal(number).wait() == status
    assert list(tmp_path.glob("server.*")) == []
