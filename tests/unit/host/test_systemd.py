"""What systemd hears, and what comes of a systemd that does not listen."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fastserve.host.systemd import Notifier
from kit.waiting import PATIENCE


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind(str(tmp_path / "notify"))
        yield receiver


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets systemd's variables; those that are not named are not there."""

    def given(**values: str) -> None:
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.setenv(name, values.get(name, ""))
            if name not in values:
                monkeypatch.delenv(name)

    return given


def test_what_systemd_hears(systemd: socket.socket, variables: Callable[..., None]) -> None:
    variables(NOTIFY_SOCKET=systemd.getsockname())
    notifier = Notifier()
    notifier.ready()
    notifier.status("serving,\n4 workers")
    notifier.main_pid(17)
    notifier.watchdog()
    notifier.stopping()
    heard = [systemd.recv(1024).decode() for _ in range(5)]
    assert heard == ["READY=1", "STATUS=serving, 4 workers", "MAINPID=17", "WATCHDOG=1", "STOPPING=1"]


def test_a_reload_carries_the_time_at_which_it_began(systemd: socket.socket, variables: Callable[..., None]) -> None:
    import time

    variables(NOTIFY_SOCKET=systemd.getsockname())
    before = time.monotonic_ns() // 1000
    Notifier().reloading()
    first, second = systemd.recv(1024).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_an_abstract_address(variables: Callable[..., None]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind("")  # Linux chooses an abstract name
        variables(NOTIFY_SOCKET="@" + receiver.getsockname()[1:].decode())
        Notifier().ready()
        assert receiver.recv(1024) == b"READY=1"


def test_workers_do_not_inherit_the_variables_but_a_successor_gets_them(variables: Callable[..., None]) -> None:
    variables(NOTIFY_SOCKET="/run/x", WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    notifier = Notifier()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert notifier.watchdog_interval == 1.5
    assert notifier.variables() == {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000"}


def test_without_systemd_nothing_is_said(variables: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    variables()
    notifier = Notifier()
    notifier.ready()
    assert (notifier.watchdog_interval, notifier.variables(), caplog.records) == (0, {}, [])


@pytest.mark.parametrize(
    ("values", "warnings"),
    [
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 1),
        ({"WATCHDOG_USEC": "0"}, 1),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, 1),
    ],
)
def test_what_is_not_for_us_is_not_served(
    variables: Callable[..., None], values: dict[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    variables(**values)
    notifier = Notifier()
    notifier.ready()
    assert (notifier.watchdog_interval, notifier.variables(), len(caplog.records)) == (0, {}, warnings)


def test_a_socket_that_is_gone_is_logged_once_and_again_after_it_was_back(
    variables: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gone"
    variables(NOTIFY_SOCKET=str(path))
    notifier = Notifier()
    notifier.ready()
    notifier.ready()
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot notify systemd at {path}: No such file or directory"
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        notifier.ready()
    notifier.ready()
    assert len(caplog.records) == 2


def test_a_systemd_that_does_not_read_holds_the_supervisor_for_a_second_at_most(
    systemd: socket.socket, variables: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    variables(NOTIFY_SOCKET=systemd.getsockname())
    notifier = Notifier()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sender.sendto(b"x", systemd.getsockname())
    notifier.ready()
    assert len(caplog.records) == 1
