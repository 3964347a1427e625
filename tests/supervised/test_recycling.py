"""Workers that are replaced because they have served enough: ready before drain, one at a time, and nothing lost."""

import re

from kit.waiting import PATIENCE, until
from supervised.conftest import APPLICATION, CONNECTIONS, Supervise, Write, amount
from supervised.supervised import Load, Supervised

EVENT = re.compile(r"worker (\d+) \(pid (\d+)\) is (ready|replaced)")


def replacements(supervised: Supervised) -> int:
    return supervised.log.text.count("is replaced: ")


def check_one_at_a_time(supervised: Supervised) -> None:
    """No worker is replaced before the successor of the last one was ready, in the same slot."""
    pending = None
    for slot, pid, what in EVENT.findall(supervised.log.text):
        if what == "replaced":
            assert pending is None
            pending = slot, pid
        elif pending is not None:
            assert slot == pending[0]
            assert pid != pending[1]
            pending = None


def test_after_so_many_requests(supervise: Supervise) -> None:
    options = ("--max-requests", "500", "--max-requests-jitter", "100", "--log-level", "debug")
    supervised = supervise("served:app", "--workers", "2", *options)
    with Load(supervised.address, CONNECTIONS) as load:
        assert until(lambda: replacements(supervised) >= amount(3, 30), 2 * PATIENCE)
        seen = load.end_without_loss()
    assert "is replaced: max requests" in supervised.log.text
    assert len(seen["bodies"]) > 2
    check_one_at_a_time(supervised)
    assert supervised.stop() == 0


def test_after_some_time(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2", "--max-worker-age", "1", "--log-level", "debug")
    before = set(supervised.wait_for_workers(2).values())
    with Load(supervised.address, 4) as load:
        assert until(lambda: before.isdisjoint(supervised.workers().values()))
        load.end_without_loss()
    assert "is replaced: max age" in supervised.log.text
    check_one_at_a_time(supervised)
    assert supervised.stop() == 0


LEAK = """
kept = []
answer = wsgi

def wsgi(environ, start_response):
    kept.append(b"x" * (int(environ["QUERY_STRING"] or 0) << 20))
    return answer(environ, start_response)
"""


def test_above_so_much_memory(supervise: Supervise, write: Write) -> None:
    write(APPLICATION + LEAK)
    supervised = supervise("served:wsgi", "--max-worker-memory", "200M", "--admin", "unix:admin.sock")
    before = f"1 {supervised.wait_for_workers(1)[0]}".encode()
    assert supervised.get("/?50") == before
    assert until(lambda: supervised.seen()[0]["resident"] > 50 << 20)  # noted, and not too much
    while supervised.get("/?30") == before:
        pass
    supervised.wait_for_workers(1)
    assert "is replaced: max memory" in supervised.log.text
    assert supervised.stop() == 0
