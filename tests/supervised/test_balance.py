"""Connections are spread over the workers by the kernel, and what each has is known."""

from contextlib import ExitStack

from kit.client import Client
from kit.script import request
from kit.waiting import until
from supervised.conftest import Supervise
from supervised.supervised import listening


def test_every_worker_has_its_share(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "4", "--admin", "unix:admin.sock")
    workers = supervised.wait_for_workers(4)
    assert until(lambda: all(len(listening(pid)) == 1 for pid in workers.values()))  # nobody stands in for another
    with ExitStack() as stack:
        clients: list[Client] = [stack.enter_context(supervised.connect()) for _ in range(256)]
        answers = [each.exchange(request("/")).body for each in clients]
        seen = supervised.seen()
        assert {each["slot"]: each["connections"] for each in seen} == {
            each["slot"]: answers.count(f"1 {each['pid']}".encode()) for each in seen
        }
        assert len(seen) == 4
        assert all(32 <= each["connections"] <= 128 for each in seen), seen
        assert sum(each["requests"] for each in seen) == 256
    assert until(lambda: not any(each["connections"] for each in supervised.seen()))
