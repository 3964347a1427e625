"""USR2: another supervisor with the same sockets, taken or taken back, and nothing lost."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.waiting import PATIENCE, until
from supervised.conftest import CONNECTIONS, Supervise, Write
from supervised.supervised import WORKER, Load, Supervised, children, title


@contextmanager
def upgraded(supervised: Supervised) -> Iterator[int]:
    """USR2, and waits until the new supervisor serves; its process ID. It is ended in the end."""
    start = len(supervised.log.text)
    supervised.signal(signal.SIGUSR2).log.wait_for("serving beside supervisor", start=start)
    new = [pid for pid in children(supervised.pid) if title(pid).startswith("fastserve: supervisor")]
    assert len(new) == 1
    try:
        yield new[0]
    finally:
        if title(new[0]):
            supervised.signal(signal.SIGTERM, new[0])
        assert until(lambda: title(new[0]) == "")


def workers_of(pid: int) -> list[int]:
    return [each for each in children(pid) if WORKER.match(title(each))]


def finish(supervised: Supervised) -> None:
    """The old supervisor goes."""
    supervised.signal(signal.SIGQUIT)
    assert supervised.process.wait(PATIENCE) == 0


def take_back(supervised: Supervised, new: int) -> None:
    start = len(supervised.log.text)
    supervised.signal(signal.SIGQUIT, new).log.wait_for("has ended, this one goes on", start=start)


def test_old_one_goes(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address, CONNECTIONS) as load, upgraded(supervised):
        finish(supervised)
        assert until(lambda: b" " in supervised.get())
        load.end_without_loss()


def test_new_one_goes(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address, CONNECTIONS) as load, upgraded(supervised) as new:
        supervised.signal(signal.SIGWINCH).wait_for_workers(0)
        supervised.signal(signal.SIGHUP).wait_for_workers(2)
        take_back(supervised, new)
        load.end_without_loss()
    supervised.wait_for_workers(2)
    assert supervised.stop() == 0


def everybody(supervised: Supervised) -> set[int]:
    """Returns the processes that answer on separate connections, enough of them that each socket gets some."""
    return {int(supervised.get().split()[1]) for _ in range(60)}


@pytest.mark.parametrize("workers", [1, 3])
def test_with_another_number_of_workers(supervise: Supervise, tmp_path: Path, workers: int) -> None:
    file = tmp_path / "server.toml"
    text = 'app = "served:app"\naccess_log = false\nport = 0\nworkers = {}\n'
    file.write_text(text.format(2))
    supervised = supervise("--config", "server.toml")
    with Load(supervised.address, CONNECTIONS) as load:
        file.write_text(text.format(workers))
        with upgraded(supervised) as new:
            take_back(supervised, new)
        assert everybody(supervised) == set(supervised.wait_for_workers(2).values())
        with upgraded(supervised) as new:
            finish(supervised)
            assert len(workers_of(new)) == workers
            assert everybody(supervised) == set(workers_of(new))
            load.end_without_loss()


def test_new_one_that_does_not_start(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    supervised = supervise("served:app", "--workers", "2", "--pid", "server.pid")
    workers = supervised.wait_for_workers(2)
    write("import nothing_like_that")
    log = supervised.signal(signal.SIGUSR2).log.wait_for("has ended, this one goes on")
    assert "cannot import 'served': ModuleNotFoundError: No module named 'nothing_like_that'" in log
    assert supervised.wait_for_workers(2) == workers
    assert until(lambda: not (tmp_path / "server.pid.oldbin").exists())
    assert (tmp_path / "server.pid").read_text() == f"{supervised.pid}\n"
    assert supervised.stop() == 0
    assert not (tmp_path / "server.pid").exists()


def test_pid_files(supervise: Supervise, tmp_path: Path) -> None:
    path, aside = tmp_path / "server.pid", tmp_path / "server.pid.oldbin"
    supervised = supervise("served:app", "--pid", "server.pid")
    with upgraded(supervised) as new:
        assert (path.read_text(), aside.read_text()) == (f"{new}\n", f"{supervised.pid}\n")
        take_back(supervised, new)
        assert until(lambda: not aside.exists())
        assert path.read_text() == f"{supervised.pid}\n"
    with upgraded(supervised) as new:
        finish(supervised)
        assert path.read_text() == f"{new}\n"
        assert not aside.exists()
    assert not path.exists()


def test_no_third_one(supervise: Supervise) -> None:
    supervised = supervise("served:app")
    with upgraded(supervised) as new:
        supervised.signal(signal.SIGUSR2).log.wait_for(f"SIGUSR2 is ignored: supervisor {new} serves too")
        supervised.signal(signal.SIGUSR2, new).log.wait_for(f"SIGUSR2 is ignored: supervisor {supervised.pid} serves")
        supervised.signal(signal.SIGTTIN).log.wait_for("1 workers stay: another supervisor serves too")
        finish(supervised)


def test_admin_address_goes_along(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2", "--admin", "unix:admin.sock")
    before = set(supervised.wait_for_workers(2).values())
    with upgraded(supervised) as new:
        finish(supervised)
        after = {each["pid"] for each in supervised.seen()}
        assert after == set(workers_of(new))
        assert after.isdisjoint(before)
        assert until(lambda: supervised.admin("/readyz").status == 200)
    assert not (supervised.directory / "admin.sock").exists()


def test_unix_socket_goes_along(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2", "--bind", "unix:served")
    path = Path(str(supervised.address))
    with Load(supervised.address, CONNECTIONS) as load, upgraded(supervised):
        finish(supervised)
        assert path.exists()
        assert supervised.get().startswith(b"1 ")
        load.end_without_loss()
    assert not path.exists()
