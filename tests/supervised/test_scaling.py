"""TTIN and TTOU: one worker more, one less, and nothing lost."""

import signal
from contextlib import ExitStack
from pathlib import Path

from kit.client import Client
from kit.script import request
from kit.waiting import until
from supervised.conftest import CONNECTIONS, Supervise, Write, amount
from supervised.supervised import Load, Supervised, listening

BLOCKING = """
import os, time
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("none")
    if scope["path"] == "/block":
        print("blocked")
        while not Path("gate").exists():
            time.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": os.environ["FASTSERVE_SLOT"].encode()})
"""


def scale(supervised: Supervised, number: signal.Signals, workers: int) -> None:
    """TTIN or TTOU, and waits until it has been noted: two that are pending are one."""
    start = len(supervised.log.text)
    supervised.signal(number).log.wait_for(f"] {workers} workers\n", start=start)


def connect_to(supervised: Supervised, slot: int) -> Client:
    """A connection that the slot's worker has accepted."""
    while True:
        client = supervised.connect()
        if client.exchange(request("/")).body == str(slot).encode():
            return client
        client.close()


def test_nothing_is_lost(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address, CONNECTIONS) as load:
        for _ in range(amount(1, 10)):
            supervised.signal(signal.SIGTTIN).wait_for_workers(3)
            supervised.signal(signal.SIGTTOU).wait_for_workers(2)
        load.end_without_loss()
    assert supervised.stop() == 0


def test_nothing_is_lost_when_it_goes_to_and_fro(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    up, down = signal.SIGTTIN, signal.SIGTTOU
    with Load(supervised.address, CONNECTIONS) as load:
        for _ in range(amount(1, 5)):
            for number, workers in ((up, 3), (down, 2), (down, 1), (up, 2), (down, 1), (up, 2), (up, 3), (down, 2)):
                scale(supervised, number, workers)
        pids = supervised.wait_for_workers(2)
        load.end_without_loss()
    served = {supervised.get() for _ in range(40)}  # no socket is left that nobody serves
    assert served == {f"1 {pid}".encode() for pid in pids.values()}
    assert supervised.stop() == 0


SLOW_FORK = """
import os, time

def on_starting(supervisor):
    os.register_at_fork(after_in_child=lambda: time.sleep(0.5))
"""


def test_nothing_is_lost_to_a_process_that_was_forked_just_now(supervise: Supervise, tmp_path: Path) -> None:
    """It has copies of all sockets, for half a second here, and they are closed when it comes to that."""
    (tmp_path / "slow_fork.py").write_text(SLOW_FORK)
    supervised = supervise("served:app", "--workers", "2", "--hooks", "slow_fork", "--max-requests", "150")
    supervised.wait_for_workers(2)
    with Load(supervised.address, CONNECTIONS) as load:
        for _ in range(amount(2, 6)):
            supervised.signal(signal.SIGTTIN)
            assert until(lambda: 2 in supervised.workers("serving"))
            assert until(lambda: len(listening(supervised.pid)) == 3)
            supervised.signal(signal.SIGTTOU)
            assert until(lambda: len(listening(supervised.pid)) == 2)
        load.end_without_loss()
    assert supervised.stop() == 0


def test_one_worker_is_the_least(supervise: Supervise) -> None:
    supervised = supervise("served:app")
    supervised.signal(signal.SIGTTOU).log.wait_for("1 workers stay: one worker is the least")
    supervised.wait_for_workers(1)


def test_stop_meanwhile(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    first = supervised.wait_for_workers(2)[0]
    supervised.signal(signal.SIGTTOU).wait_for_workers(1)
    with supervised.connect() as client:  # which keeps the worker for longer than a slot takes to be closed
        assert client.exchange(request("/")).body == f"1 {first}".encode()
        assert supervised.stop() == 0


def test_slot_of_a_blocked_worker_is_emptied_by_others(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    """And as long as the blocked one may have its socket, no new connection comes there."""
    write(BLOCKING)
    supervised = supervise("served:app", "--workers", "2")
    supervised.wait_for_workers(2)
    with ExitStack() as stack:
        blocked = stack.enter_context(connect_to(supervised, 1))
        blocked.send(request("/block"))
        supervised.stdout.wait_for("blocked\n")
        waiting = [stack.enter_context(supervised.connect()).send(request("/")) for _ in range(16)]
        scale(supervised, signal.SIGTTOU, 1)
        assert [each.answer().body for each in waiting] == [b"0"] * 16
        assert [supervised.get() for _ in range(20)] == [b"0"] * 20
        assert not blocked.readable()
        (tmp_path / "gate").touch()
        assert blocked.answer().body == b"1"
    assert {supervised.get() for _ in range(20)} == {b"0"}
    supervised.wait_for_workers(1)
    assert supervised.stop() == 0
