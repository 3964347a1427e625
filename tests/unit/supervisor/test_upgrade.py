"""The upgrade in place: whom a supervisor follows, and when it can have no successor."""

import json
import os
from pathlib import Path

import pytest

from fastserve import Config
from fastserve.host.service import Service
from fastserve.supervisor import upgrade
from fastserve.supervisor.upgrade import VARIABLE, Upgrade


def given(monkeypatch: pytest.MonkeyPatch, pid: int) -> Upgrade:
    """One that was started by a supervisor with this process ID."""
    left = {"pid": pid, "slots": 4, "sockets": {"workers": {"http://127.0.0.1:80": {"fds": [7]}}}}
    monkeypatch.setenv(VARIABLE, json.dumps(left))
    return Upgrade(Service(Config("a:b")))


def test_what_the_predecessor_left_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one = given(monkeypatch, os.getppid())
    assert VARIABLE not in os.environ, "workers and their children are not told"
    assert (one.slots, one.follows, one.others_serve) == (4, True, True)
    assert one.inherited["workers"] == {"http://127.0.0.1:80": {"fds": [7]}}
    assert not one.alone()


def test_a_predecessor_that_has_gone_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fastserve")
    one = given(monkeypatch, os.getpid())  # its parent is another one by now
    assert not one.others_serve
    assert [one.alone(), one.alone()] == [True, False]
    assert caplog.messages == [f"supervisor {os.getpid()} has gone"]


def test_a_first_supervisor_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    one = Upgrade(Service(Config("a:b")))
    assert (one.follows, one.others_serve, one.slots, one.inherited, one.alone()) == (False, False, 0, {}, False)
    assert not one.reap()


def test_no_successor_while_there_is_a_predecessor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = given(monkeypatch, os.getppid())
    one.begin({}, 1, [])
    assert one.successor == 0
    assert caplog.messages == [f"SIGUSR2 is ignored: supervisor {os.getppid()} serves too"]


def test_a_fork_that_fails_gives_the_pid_file_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    service = Service(Config("a:b", pid=str(tmp_path / "pid")))
    assert service.pid_file is not None
    service.pid_file.write()
    monkeypatch.setattr(upgrade, "fork", refused)
    one = Upgrade(service)
    one.begin({}, 1, [])
    assert one.successor == 0
    assert caplog.messages == ["no upgrade: resource temporarily unavailable"]
    assert [each.name for each in tmp_path.iterdir()] == ["pid"]
    service.pid_file.remove()
