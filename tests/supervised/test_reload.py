"""HUP: new workers, with the configuration and the application as they are now, and nothing lost."""

import os
import signal
from pathlib import Path

import pytest

from kit.client import Client
from kit.script import request
from kit.waiting import until
from supervised.conftest import APPLICATION, CONNECTIONS, WHOLE, Supervise, Write, amount
from supervised.supervised import Load, Supervised, children

IMPORT = "3" if WHOLE else "0.2"


def reload(supervised: Supervised) -> None:
    """HUP, and waits until it is done."""
    start = len(supervised.log.text)
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n", start=start)


def each_has_answered(supervised: Supervised) -> set[str]:
    """Waits until each of the workers that serve has answered somebody who asks beside the load; the answers.

    On a busy machine one may be replaced before the load has come to it.
    """
    found: set[str] = set()

    def all_have() -> bool:
        found.add(supervised.get().decode())
        return {f"1 {pid}" for pid in supervised.workers("serving").values()} <= found

    assert until(all_have)
    return found


@pytest.mark.parametrize("interface", ["app", "wsgi"])
@pytest.mark.parametrize(("workers", "times"), [(2, amount(2, 20)), (1, amount(2, 5))])
def test_nothing_is_lost(supervise: Supervise, interface: str, workers: int, times: int) -> None:
    supervised = supervise(f"served:{interface}", "--workers", str(workers), IMPORT=IMPORT)
    served = set(supervised.wait_for_workers(workers).values())
    with Load(supervised.address, CONNECTIONS) as load:
        answers = each_has_answered(supervised)
        for _ in range(times):
            reload(supervised)
            answers |= each_has_answered(supervised)
            served |= set(supervised.workers("serving").values())
        supervised.wait_for_workers(workers)
        seen = load.end_without_loss()
    assert len(served) == (times + 1) * workers
    assert {f"1 {pid}" for pid in served} == answers | set(seen["bodies"])
    assert supervised.stop() == 0


def test_new_version_is_served(supervise: Supervise, write: Write) -> None:
    supervised = supervise("served:app", "--workers", "2")
    assert supervised.get().startswith(b"1 ")
    write(APPLICATION.replace('VERSION = "1"', 'VERSION = "22"'))
    reload(supervised)
    supervised.wait_for_workers(2)
    assert supervised.get().startswith(b"22 ")


def test_broken_version_leaves_the_old_one_serving(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    supervised = supervise("served:app", "--workers", "2")
    before = supervised.wait_for_workers(2)
    write("import nothing_like_that")
    supervised.signal(signal.SIGHUP)
    log = supervised.log.wait_for("the reload failed, the workers go on as they are: cannot import 'served'")
    assert "ModuleNotFoundError: No module named 'nothing_like_that'" in log
    assert supervised.wait_for_workers(2) == before
    assert supervised.get().startswith(b"1 ")
    write(APPLICATION)
    reload(supervised)
    assert set(supervised.wait_for_workers(2).values()).isdisjoint(before.values())


def configure(directory: Path, *lines: str) -> None:
    (directory / "server.toml").write_text("\n".join(['app = "served:app"', "access_log = false", *lines, ""]))


def listens(address: tuple[str, int]) -> bool:
    try:
        Client(address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_configuration_changes(supervise: Supervise, tmp_path: Path) -> None:
    configure(tmp_path, "workers = 1", 'bind = ["127.0.0.1:0"]')
    supervised = supervise("--config", "server.toml")
    long_line = request("/" + "x" * 500, "Connection: close")
    with Load(supervised.address, CONNECTIONS) as load:
        configure(
            tmp_path, "workers = 3", 'bind = ["127.0.0.1:0", "127.0.0.2:0", "unix:added"]', "limit_request_line = 400"
        )
        reload(supervised)
        supervised.wait_for_workers(3)
        _, added, path = supervised.addresses(3)
        assert {supervised.get(address=added) for _ in range(40)} > {supervised.get(address=path)}
        with supervised.connect() as client:
            assert client.exchange(long_line).status == 414

        configure(tmp_path, "workers = 2", 'bind = ["127.0.0.1:0"]')
        reload(supervised)
        supervised.wait_for_workers(2)
        assert isinstance(added, tuple)
        assert until(lambda: not listens(added))
        assert not (tmp_path / "added").exists()
        with supervised.connect() as client:
            assert client.exchange(long_line).status == 200

        supervised.signal(signal.SIGTTOU).wait_for_workers(1)
        load.end_without_loss()
    assert supervised.stop() == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("workers = -1", "server.toml: workers"),
        ('bind = ["127.0.0.1:0", "192.0.2.1:0"]', "cannot listen on 192.0.2.1:0"),
    ],
)
def test_invalid_configuration_changes_nothing(supervise: Supervise, tmp_path: Path, line: str, reason: str) -> None:
    configure(tmp_path, "workers = 2", "port = 0")
    supervised = supervise("--config", "server.toml")
    before = supervised.wait_for_workers(2)
    configure(tmp_path, line)
    supervised.signal(signal.SIGHUP)
    assert reason in supervised.log.wait_for("not reloaded, the workers go on as they are: ")
    assert supervised.wait_for_workers(2) == before
    assert supervised.get().startswith(b"1 ")
    configure(tmp_path, "workers = 1", "port = 0")
    reload(supervised)
    assert set(supervised.wait_for_workers(1).values()).isdisjoint(before.values())


def test_second_one_wins_over_one_that_hangs(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    configure(tmp_path, "workers = 2", 'bind = ["127.0.0.1:0"]')
    supervised = supervise("--config", "server.toml")
    before = supervised.wait_for_workers(2)
    configure(tmp_path, "workers = 2", 'bind = ["127.0.0.1:0", "unix:added"]')
    write("import time; time.sleep(3600)")
    supervised.signal(signal.SIGHUP)
    assert until(lambda: len(supervised.workers("starting")) == 1)
    hanging = set(supervised.workers("starting").values())
    assert supervised.get().startswith(b"1 ")
    write(APPLICATION.replace('VERSION = "1"', 'VERSION = "3"'))
    reload(supervised)
    assert set(supervised.wait_for_workers(2).values()).isdisjoint({*before.values(), *hanging})
    assert {supervised.get(address=each)[:2] for each in supervised.addresses(2) * 10} == {b"3 "}
    assert "unexpectedly" not in supervised.log.text


NOT_IN_SLOT_1 = """
if os.environ["FASTSERVE_SLOT"] == "1":
    raise RuntimeError("not here")
"""


def test_second_worker_fails(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    """The first one stays, and whatever is new in the configuration is served by it alone."""
    configure(tmp_path, "workers = 2", 'bind = ["127.0.0.1:0"]')
    supervised = supervise("--config", "server.toml")
    before = supervised.wait_for_workers(2)
    configure(tmp_path, "workers = 2", 'bind = ["127.0.0.1:0", "127.0.0.2:0"]')
    write(APPLICATION.replace('VERSION = "1"', 'VERSION = "2"' + NOT_IN_SLOT_1))
    supervised.signal(signal.SIGHUP)
    log = supervised.log.wait_for("the reload failed after 1 workers, the others go on as they are: ")
    assert "RuntimeError: not here" in log
    after = supervised.wait_for_workers(2)
    assert after[1] == before[1]
    assert after[0] != before[0]
    _, added = supervised.addresses(2)
    assert {supervised.get()[:2] for _ in range(40)} == {b"1 ", b"2 "}
    served = [supervised.get(address=added)[:2] for _ in range(20)]  # 20, so that some come to the other slot's socket
    assert set(served) <= {b"1 ", b"2 "}


@pytest.mark.parametrize("slot", [0, 1])
def test_worker_dies_during_one(supervise: Supervise, write: Write, slot: int) -> None:
    supervised = supervise("served:app", "--workers", "2")
    before = supervised.wait_for_workers(2)
    write(APPLICATION.replace('"IMPORT", "0"', '"", "0.5"'))
    supervised.signal(signal.SIGHUP)
    assert until(lambda: len(children(supervised.pid)) == 3)
    supervised.signal(signal.SIGKILL, before[slot])
    supervised.log.wait_for(f"worker {slot} (pid {before[slot]}) ended unexpectedly")
    seen = set()
    while "reloaded\n" not in supervised.log.text:
        seen |= set(children(supervised.pid))
        assert supervised.process.poll() is None
    assert seen - set(before.values()) == set(supervised.wait_for_workers(2).values())  # one successor each


def test_no_worker_is_left(supervise: Supervise, write: Write) -> None:
    """All have died, no other one can start; a reload after the repair does not wait for the back-off."""
    supervised = supervise("served:app", "--workers", "2", "--admin", "unix:admin.sock")
    assert until((supervised.directory / "admin.sock").exists)
    assert until(lambda: supervised.admin("/readyz").status == 200)
    write("import nothing_like_that")
    for pid in supervised.wait_for_workers(2).values():
        os.kill(pid, signal.SIGKILL)
    for slot in (0, 1):
        supervised.log.wait_for(f"worker {slot} did not start, another attempt in 2 s: cannot import 'served'")
    answer = supervised.admin("/readyz")
    assert (answer.status, answer.body) == (503, b"no worker is ready\n")
    assert supervised.admin("/livez").status == 200
    with supervised.connect() as client:
        client.send(request("/"))
        write(APPLICATION)
        reload(supervised)
        assert client.answer().status == 200
    assert until(lambda: supervised.admin("/readyz").status == 200)
    supervised.wait_for_workers(2)


def test_unix_socket(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2", "--bind", "unix:served")
    with Load(supervised.address, CONNECTIONS) as load:
        answers = each_has_answered(supervised)
        reload(supervised)
        answers |= each_has_answered(supervised)
        supervised.wait_for_workers(2)
        assert len(answers | set(load.end_without_loss()["bodies"])) == 4
    assert supervised.stop() == 0
    assert not Path(str(supervised.address)).exists()


def test_preload_imports_once(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    write(APPLICATION + "\nwith open('imports', 'a') as file:\n    print(os.getpid(), file=file)\n")
    supervised = supervise("served:app", "--workers", "2", "--preload")
    before = supervised.wait_for_workers(2)
    with Load(supervised.address, CONNECTIONS) as load:
        reload(supervised)
        after = supervised.wait_for_workers(2)
        load.end_without_loss()
    assert set(after.values()).isdisjoint(before.values())
    assert (tmp_path / "imports").read_text() == f"{supervised.pid}\n"


ENVIRONMENT = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    seen = os.environ["FASTSERVE_SLOT"], os.environ["FASTSERVE_GENERATION"], environ["wsgi.multiprocess"]
    return [" ".join(map(str, seen)).encode()]
"""


def test_worker_knows_its_place(supervise: Supervise, write: Write) -> None:
    write(ENVIRONMENT)
    supervised = supervise("served:app", "--workers", "2")
    assert {supervised.get() for _ in range(40)} == {b"0 0 True", b"1 0 True"}
    reload(supervised)
    supervised.wait_for_workers(2)
    assert {supervised.get() for _ in range(40)} == {b"0 1 True", b"1 1 True"}


def test_single_worker_knows_that_it_is_alone(supervise: Supervise, write: Write) -> None:
    write(ENVIRONMENT)
    assert supervise("served:app").get() == b"0 0 False"
