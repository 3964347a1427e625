"""A worker that does not turn any more: its stacks are logged and what it was serving, and another one follows."""

import re

import pytest

from kit.script import request
from kit.waiting import Stopwatch
from supervised.conftest import Supervise, Write
from supervised.supervised import begun

APPLICATION = """
import ctypes, os, sys, time

def block(path):
    if path != "/":
        sys.stderr.write("in the application\\n")
    if path == "/block":
        time.sleep(3600)
    if path == "/hold":
        ctypes.PyDLL(None).sleep(3600)
    if path == "/pause":
        time.sleep(2)

async def app(scope, receive, send):
    block(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

def wsgi(environ, start_response):
    block(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
LINES = {"/block": 8, "/hold": 10}
STUCK = re.compile(r"worker (\d) \(pid (\d+)\) has not turned for \d\.\d s and is stopped; its stacks follow; (.*)\n")


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


@pytest.mark.parametrize("target", ["/block", "/hold"])
@pytest.mark.parametrize("options", [("served:app", "--lifespan", "off"), ("served:wsgi", "--threads", "1")])
def test_stuck_worker_is_replaced(supervise: Supervise, options: tuple[str, ...], target: str) -> None:
    supervised = supervise(*options, "--workers", "2", "--timeout-worker", "1")
    before = supervised.wait_for_workers(2)
    with begun(supervised, target) as client:
        while not STUCK.search(supervised.log.text):
            supervised.get()  # by the other one; by both, if the connection has come to the stuck one's socket
        assert client.gone()
    match = STUCK.search(supervised.log.text)
    assert match is not None
    slot, pid = int(match[1]), int(match[2])
    assert before[slot] == pid
    assert re.fullmatch(rf"it was serving: GET {target} for \d\.\d s", match[3])
    supervised.log.wait_for(f'served.py", line {LINES[target]} in block\n')
    after = supervised.wait_for_workers(2)
    assert after[1 - slot] == before[1 - slot]
    assert after[slot] != pid
    assert {int(supervised.get()) for _ in range(20)} <= set(after.values())


def test_connections_wait_for_the_successor(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--lifespan", "off", "--timeout-worker", "1")
    before = supervised.wait_for_workers(1)
    with begun(supervised, "/block"):
        waiting = [supervised.connect().send(request("/")) for _ in range(10)]
        answers = [each.answer() for each in waiting]
    for each in waiting:
        each.close()
    assert {answer.status for answer in answers} == {200}
    assert {int(answer.body) for answer in answers} == set(supervised.wait_for_workers(1).values())
    assert before != supervised.workers()
    assert len(STUCK.findall(supervised.log.text)) == 1


def test_threads_that_hang_are_no_reason(supervise: Supervise) -> None:
    """The driver turns as long as a thread is left for it, and it has one more than there may be calls."""
    supervised = supervise("served:wsgi", "--threads", "2", "--timeout-worker", "1")
    before = supervised.wait_for_workers(1)
    with begun(supervised, "/block"), begun(supervised, "/block"), supervised.connect() as third:
        assert not third.send(request("/")).readable(2)
        assert supervised.wait_for_workers(1) == before
    assert "has not turned" not in supervised.log.text


def test_no_limit(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--lifespan", "off", "--timeout-worker", "0")
    before = supervised.wait_for_workers(1)
    watch = Stopwatch()
    assert int(supervised.get("/pause")) == before[0]
    assert watch.elapsed() >= 2
    assert supervised.wait_for_workers(1) == before
