"""Workers that die: others serve and follow, the reason is in the log, and only what the dead one had is lost."""

import os
import random
import re
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastserve.supervisor.slots import Slot
from fastserve.supervisor.wait_status import OutOfMemory
from kit.script import request
from kit.waiting import until
from supervised.conftest import APPLICATION, CONNECTIONS, Supervise, Write, amount
from supervised.supervised import Load, Supervised

ENDED = re.compile(
    r"worker \d+ \(pid (\d+)\) ended unexpectedly: (.+); connections: (\d+), requests in flight: (\d+)\n"
)

CRASHING = """
import ctypes, os, resource, signal

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/segv":
        read_from_nowhere()
    elif path == "/exit":
        os._exit(7)
    elif path == "/fill":
        kept = [b"x" * (1 << 20) for _ in range(int(environ["QUERY_STRING"]))]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

def read_from_nowhere():
    ctypes.string_at(0)
"""


def kill_one(workers: dict[int, int]) -> None:
    os.kill(random.choice([*workers.values()]), signal.SIGKILL)


def wait_for_deaths(supervised: Supervised, count: int) -> None:
    supervised.log.wait(lambda text: len(ENDED.findall(text)) == count)


def test_killed_again_and_again(supervise: Supervise) -> None:
    """As soon as there is one, in the suite; every second, in `make soak`."""
    supervised = supervise("served:app", "--workers", "2")
    times = amount(4, 20)
    with Load(supervised.address, CONNECTIONS) as load:
        for count in range(1, times + 1):
            assert until(lambda: bool(supervised.workers("serving")))
            kill_one(supervised.workers("serving"))
            wait_for_deaths(supervised, count)
            time.sleep(amount(0, 1))
            supervised.get()
        supervised.wait_for_workers(2)
        seen = load.end()
    ended = ENDED.findall(supervised.log.text)
    assert {why for _, why, _, _ in ended} == {"killed by SIGKILL (Killed)"}
    assert len(seen["failures"]) <= sum(int(connections) for _, _, connections, _ in ended)
    assert not [each for each in seen["failures"] if "refused" in each or "timed out" in each]
    assert supervised.stop() == 0


def test_single_worker_is_followed_by_one_that_serves_who_waits(supervise: Supervise) -> None:
    supervised = supervise("served:app", IMPORT="0.5")
    first = supervised.wait_for_workers(1)[0]
    supervised.signal(signal.SIGKILL, first)
    with supervised.connect() as one, supervised.connect() as another:
        answers = [each.send(request("/")).answer() for each in (one, another)]
    second = supervised.wait_for_workers(1)[0]
    assert [each.body for each in answers] == [f"1 {second}".encode()] * 2
    assert second != first


def test_crash_in_c_is_explained(supervise: Supervise, write: Write) -> None:
    write(CRASHING)
    supervised = supervise("served:app", "--workers", "2")
    with supervised.connect() as client:
        pid = int(client.exchange(request("/")).body)
        assert client.send(request("/segv")).gone()
    log = supervised.log.wait_for(", line ")
    (found,) = ENDED.findall(log)
    assert found == (str(pid), "killed by SIGSEGV (Segmentation fault)", "1", "1")
    assert re.search(rf"worker \d \(pid {pid}\) was serving: GET /segv for 0\.\d s", log)
    assert re.search(rf"worker \d \(pid {pid}\):\nFatal Python error: Segmentation fault\n", log)
    assert re.search(r'served\.py", line \d+ in read_from_nowhere', supervised.log.wait_for("in app\n"))
    assert pid not in supervised.wait_for_workers(2).values()


def test_exit_in_a_request_is_explained(supervise: Supervise, write: Write) -> None:
    write(CRASHING)
    supervised = supervise("served:app", "--workers", "2")
    with supervised.connect() as client:
        pid = int(client.exchange(request("/")).body)
        assert client.send(request("/exit?now")).gone()
    log = supervised.log.wait_for("was serving: GET /exit?now for 0.")
    assert ENDED.findall(log) == [(str(pid), "exit status 7", "1", "1")]
    assert pid not in supervised.wait_for_workers(2).values()


CRASHES_SOON = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan" and os.environ["FASTSERVE_SLOT"] == "1":
        asyncio.get_running_loop().call_later(0.05, os._exit, 9)
    await served(scope, receive, send)
"""


def test_crashes_after_each_start_are_followed_slower_and_slower(supervise: Supervise, write: Write) -> None:
    write(APPLICATION.replace("def app(", "def served(") + CRASHES_SOON)
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address, 4) as load:
        for pause in ("0.2", "0.4", "0.8"):
            supervised.log.wait_for(f"worker 1 was ready only shortly, another one follows in {pause} s\n")
        seen = load.end()
    healthy = supervised.workers()[0]
    assert f"1 {healthy}" in seen["bodies"]
    ended = ENDED.findall(supervised.log.text)
    assert {why for _, why, _, _ in ended} == {"exit status 9"}
    assert len(seen["failures"]) <= sum(int(connections) for _, _, connections, _ in ended)


def test_pauses_are_short_while_nobody_serves() -> None:
    slot = Slot(0)
    assert [slot.start_failed(0.0, others=True) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert slot.start_failed(100.0, others=False) == 2
    assert slot.not_before == 102


LIMITED = (
    CRASHING
    + """
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), -1))
"""
)


def test_limited_memory_fails_a_request_and_not_the_worker(supervise: Supervise, write: Write) -> None:
    write(LIMITED)
    supervised = supervise("served:app")
    before = supervised.get()
    with supervised.connect() as client:
        assert client.exchange(request("/fill?1000")).status == 500
    supervised.log.wait_for("MemoryError")
    assert supervised.get() == before
    assert not ENDED.search(supervised.log.text)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that may have 200 MiB of memory, as a folder."""
    mine = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    root = next((path for _, controllers, path in mine if controllers == "memory"), None)
    if root is None:
        pytest.skip("there is no memory controller of control groups, version 1")
    folder = Path(f"/sys/fs/cgroup/memory{root}/fastserve-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(200 << 20))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    assert until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_kill_for_want_of_memory_is_explained(group: Path, supervise: Supervise, write: Write) -> None:
    write(CRASHING)
    join = ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs"))
    supervised = supervise("served:app", "--workers", "2", wrapper=join)
    with supervised.connect() as client:
        pid = int(client.exchange(request("/")).body)
        assert client.send(request("/fill?1000")).gone()
    log = supervised.log.wait_for("was serving: GET /fill?1000")
    (found,) = ENDED.findall(log)
    assert found[:2] == (str(pid), "killed by the kernel: the memory of its control group was used up")
    kill_one(supervised.wait_for_workers(2))
    wait_for_deaths(supervised, 2)
    assert ENDED.findall(supervised.log.text)[1][1] == "killed by SIGKILL (Killed)"
    supervised.wait_for_workers(2)
    assert supervised.stop() == 0


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/one/two\n", "one/two/memory.events"),
        ("0::/\n", "memory.events"),
        ("4:memory:/one\n0::/\n", "memory/one/memory.oom_control"),
        ("4:memory:/not/shown/here\n", "memory/memory.oom_control"),  # a container sees its own group as the root
        ("7:cpu,memory:/one\n", "memory/one/memory.oom_control"),
        ("1:name=systemd:/\n0::/one\n", "unified/one/memory.events"),
    ],
)
def test_counts_of_the_kernel(tmp_path: Path, groups: str, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "groups").write_text(groups)

    def count(number: int) -> None:
        path.write_text(f"low 9\noom 8\noom_kill {number}\noom_group_kill 7\n")

    count(3)
    memory = OutOfMemory(tmp_path, tmp_path / "groups")
    assert not memory.happened()
    count(5)
    assert [memory.happened() for _ in range(3)] == [True, True, False]
    count(6)
    assert [memory.happened() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("groups", [None, "", "0::/one\n", "4:memory:/\n"])
def test_no_counts_of_the_kernel(tmp_path: Path, groups: str | None) -> None:
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    memory = OutOfMemory(tmp_path, tmp_path / "groups")
    assert not memory.happened()


def test_no_descriptors_left_for_another_worker(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    workers = supervised.wait_for_workers(2)
    limits = resource.prlimit(supervised.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(supervised.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    supervised.signal(signal.SIGKILL, workers[0])
    supervised.log.wait_for("worker 0 cannot be started: too many open files; another attempt in 1 s")
    assert supervised.get() == f"1 {workers[1]}".encode()
    resource.prlimit(supervised.pid, resource.RLIMIT_NOFILE, limits)
    assert supervised.wait_for_workers(2)[1] == workers[1]
    assert supervised.stop() == 0
