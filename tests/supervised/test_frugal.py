"""The supervisor is small, sleeps, and keeps nothing open; a worker has what it needs and no more."""

import os
import re
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from kit.descriptors import opened
from kit.waiting import until
from supervised.conftest import APPLICATION, Supervise, Write, amount
from supervised.supervised import Supervised, listening

LARGEST = 30 << 20


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def wake_ups(pid: int) -> int:
    match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def descriptors(pid: int) -> list[str]:
    """What the process has open, by kind; a socket is one of many."""
    return sorted(re.sub(r"\d+", "", each) for each in opened(pid).values())


def an_extension() -> str:
    """One of Python's that nothing else needs; which of them are files differs from build to build."""
    for name in ("_elementtree", "_lsprof", "_codecs_jp", "_zoneinfo"):
        spec = find_spec(name)
        if spec is not None and spec.has_location:
            return name
    pytest.skip("this Python has all its extension modules built in")


def test_supervisor_loads_little_and_sleeps(supervise: Supervise, write: Write) -> None:
    extension = an_extension()
    write(f"{APPLICATION}import {extension}\n")
    supervised = supervise("served:app", "--workers", "2", "--admin", "unix:admin.sock")
    worker = supervised.wait_for_workers(2)[0]
    assert until(lambda: supervised.admin("/readyz").status == 200)
    for name in ("uvloop/loop", "fastserve/_core", extension):
        assert name in mapped(worker)
        assert name not in mapped(supervised.pid)
    assert resident(supervised.pid) < LARGEST
    seconds = amount(3, 20)
    before = wake_ups(supervised.pid)
    time.sleep(seconds)
    assert wake_ups(supervised.pid) - before < 2 * seconds


def test_nothing_stays_open(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2", "--admin", "unix:admin.sock")
    before, of_worker = at_rest(supervised)
    for _ in range(amount(2, 20)):
        go_through_everything(supervised)
    until(lambda: at_rest(supervised) == (before, of_worker))
    assert at_rest(supervised) == (before, of_worker)


def at_rest(supervised: Supervised) -> tuple[list[str], list[str]]:
    """The descriptors of the supervisor and of a worker, while neither is at work.

    The supervisor looks into /proc for what a worker takes, and a worker that was ready first serves the other's socket
    until that one is ready, too: neither is meant here.
    """
    workers = supervised.wait_for_workers(2)
    assert until(lambda: {each["state"] for each in supervised.seen()} == {"serving"})
    assert until(lambda: all(len(listening(pid)) == 1 for pid in workers.values()))
    return [each for each in descriptors(supervised.pid) if each != "/proc//statm"], descriptors(workers[1])


def go_through_everything(supervised: Supervised) -> None:
    start = len(supervised.log.text)
    workers = supervised.signal(signal.SIGTTIN).wait_for_workers(3)
    supervised.signal(signal.SIGKILL, workers[0]).log.wait_for("ended unexpectedly", start=start)
    supervised.wait_for_workers(3)
    supervised.signal(signal.SIGTTOU).wait_for_workers(2)
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n", start=start)
    supervised.wait_for_workers(2)


def test_worker_has_the_sockets_of_its_slot(supervise: Supervise) -> None:
    supervised = supervise(
        "served:app", "--workers", "2", "--bind", "127.0.0.1:0", "--bind", "127.0.0.2:0", "--admin", "127.0.0.1:0"
    )
    workers = supervised.wait_for_workers(2)
    ports = sorted(int(address[1]) for address in supervised.addresses(2))
    # A sibling has served the sockets of one that came later.
    assert until(lambda: all(len(listening(pid)) == 2 for pid in workers.values()))
    of_worker = [listening(workers[slot]) for slot in (0, 1)]
    assert [sorted(port for port, _ in each) for each in of_worker] == [ports, ports]
    assert of_worker[0].isdisjoint(of_worker[1])
    assert of_worker[0] | of_worker[1] < listening(supervised.pid)
    assert len(listening(supervised.pid)) == 5
