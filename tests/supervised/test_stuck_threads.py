"""A WSGI worker whose threads do not come back: it turns, and serves nobody. It is replaced, its successor first."""

import re

import pytest

from kit.waiting import FAR, until
from supervised.conftest import Supervise, Write
from supervised.supervised import ADMIN, Supervised, begun

APPLICATION = """
import os, sys, time
from pathlib import Path

def wait(name, seconds=3600):
    sys.stderr.write("in the application\\n")
    end = time.monotonic() + seconds
    while not Path(name).exists() and time.monotonic() < end:
        time.sleep(0.02)

def piecewise(wait):
    yield b"first"
    wait()
    yield b"last"

def chatty():
    while True:
        yield b"more"
        time.sleep(0.05)

def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/wait/"):
        wait(path.rpartition("/")[2])
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path.startswith("/stream/"):
        return piecewise(lambda: wait(path.rpartition("/")[2]))
    if path == "/chatty":
        sys.stderr.write("in the application\\n")
        return chatty()
    return [str(os.getpid()).encode()]
"""
STUCK = re.compile(
    r"worker (\d) \(pid (\d+)\) is replaced: all its threads are late, and none has come back for \d\.\d s; "
    r"its stacks follow(.*)\n"
)
SOON = ("--timeout-worker", "1", "--timeout-graceful-shutdown", "1")
UNREADY = (503, b"no worker has a thread that is not late\n")


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def start(supervise: Supervise, *options: str) -> Supervised:
    supervised = supervise("served:wsgi", *SOON, "--admin", f"unix:{ADMIN}", *options)
    supervised.wait_for_workers(1)
    assert until(lambda: readiness(supervised) == (200, b"ok\n"))
    return supervised


def readiness(supervised: Supervised) -> tuple[int, bytes]:
    answer = supervised.admin("/readyz")
    return answer.status, answer.body


def replaced(supervised: Supervised, before: dict[int, int]) -> dict[int, int]:
    """Waits until the worker has been replaced, and that was said."""
    match = STUCK.search(supervised.log.wait(lambda text: STUCK.search(text) is not None))
    assert match is not None
    assert {int(match[1]): int(match[2])} == before
    supervised.log.wait(lambda text: re.search(r'served.py", line \d+ in (wait|<lambda>)\n', text) is not None)
    assert until(lambda: supervised.workers() not in ({}, before))
    after = supervised.wait_for_workers(1)
    assert int(supervised.get()) == after[0] != before[0]
    assert until(lambda: readiness(supervised) == (200, b"ok\n"))
    ended = 'fastserve_workers_ended_total{cause="stuck_threads"} 1.0\n'
    assert until(lambda: ended in supervised.admin("/metrics").body.decode())
    assert "ended unexpectedly" not in supervised.log.text
    return after


@pytest.mark.parametrize("threads", [1, 3])
def test_worker_that_has_given_up_all_its_threads(supervise: Supervise, threads: int) -> None:
    supervised = start(supervise, "--threads", str(threads), "--timeout-request", "0.3")
    before = supervised.workers()
    clients = [begun(supervised, "/wait/never") for _ in range(threads)]
    for client in clients:
        assert client.answer().status == 504
        client.close()
    assert until(lambda: readiness(supervised) == UNREADY)
    assert [each["threads_overdue"] is not None for each in supervised.seen() if each["pid"] == before[0]] == [True]
    replaced(supervised, before)
    assert [each["threads_overdue"] for each in supervised.seen()] == [None]


def test_clients_that_have_left(supervise: Supervise) -> None:
    """Before anybody was late: nobody is left to be answered, and the threads do not come back all the same."""
    supervised = start(supervise, "--threads", "2", "--timeout-request", "0.3")
    before = supervised.workers()
    for _ in range(2):
        begun(supervised, "/wait/never").reset()
    replaced(supervised, before)


@pytest.mark.parametrize("target", ["/wait/never", "/stream/never"])
def test_timeout_threads(supervise: Supervise, target: str) -> None:
    """It answers for nobody. Whoever waits for an answer has the time of the drain as well."""
    supervised = start(supervise, "--threads", "2", "--timeout-threads", "0.3")
    before = supervised.workers()
    with begun(supervised, target) as first, begun(supervised, target):
        after = replaced(supervised, before)
        assert first.gone()
    assert supervised.workers() == after


def test_successor_comes_first_and_the_old_worker_drains(supervise: Supervise) -> None:
    """A thread that does come back while the worker drains still answers."""
    supervised = start(supervise, "--threads", "1", "--timeout-threads", "0.3", "--timeout-graceful-shutdown", str(FAR))
    before = supervised.workers()
    with begun(supervised, "/wait/release") as client:
        assert until(lambda: len(supervised.seen()) == 2 and "serving" in {each["state"] for each in supervised.seen()})
        assert until(lambda: supervised.workers("draining") == before)
        assert int(supervised.get()) != before[0]
        (supervised.directory / "release").touch()
        answer = client.answer()
        assert (answer.status, int(answer.body)) == (200, before[0])
    supervised.wait_for_workers(1)
    assert "ended" not in supervised.log.text


def test_thread_that_comes_back(supervise: Supervise) -> None:
    """As long as one does, the worker serves. When none does any more, it is replaced."""
    supervised = start(supervise, "--threads", "2", "--timeout-threads", "0.3", "--timeout-worker", "2")
    before = supervised.workers()
    with begun(supervised, "/wait/never"):
        for number in range(4):
            with begun(supervised, f"/wait/{number}") as client:
                assert until(lambda: readiness(supervised) == UNREADY)
                (supervised.directory / str(number)).touch()
                assert int(client.answer().body) == before[0]
            assert until(lambda: readiness(supervised) == (200, b"ok\n"))
        assert STUCK.search(supervised.log.text) is None
        with begun(supervised, "/wait/never"):
            replaced(supervised, before)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (("--timeout-request", "0.3"), "/stream/never"),  # its answer has begun: nobody said how long it may take
        (("--timeout-threads", "0.3"), "/chatty"),
        ((), "/wait/never"),
    ],
)
def test_long_answers_are_no_fault(supervise: Supervise, options: tuple[str, ...], target: str) -> None:
    supervised = start(supervise, "--threads", "2", *options)
    before = supervised.workers()
    with begun(supervised, target), begun(supervised, target), supervised.connect() as third:
        assert not third.readable(3)
        assert readiness(supervised) == (200, b"ok\n")
        assert supervised.wait_for_workers(1) == before
    assert STUCK.search(supervised.log.text) is None


def test_all_of_several_workers(supervise: Supervise) -> None:
    """Ready as long as one worker has a thread."""
    supervised = supervise(
        "served:wsgi", "--workers", "2", "--threads", "1", "--timeout-threads", "0.3", "--timeout-worker", "5",
        "--timeout-graceful-shutdown", "1", "--admin", f"unix:{ADMIN}",
    )  # fmt: skip
    before = supervised.wait_for_workers(2)
    with begun(supervised, "/wait/never"):
        assert until(lambda: any(each["threads_overdue"] for each in supervised.seen()))
        assert readiness(supervised) == (200, b"ok\n")
        supervised.log.wait(lambda text: STUCK.search(text) is not None)
        assert until(lambda: len(set(supervised.workers().values()) & set(before.values())) == 1)
        supervised.wait_for_workers(2)
