"""Requests that wait, as the processes of a real server have them, and as the admin address shows them."""

from collections.abc import Sequence

import pytest

from kit.client import Client
from kit.script import request
from kit.waiting import until
from supervised.conftest import Supervise, Write
from supervised.supervised import ADMIN, Supervised, begun

APPLICATION = """
import asyncio, sys, time
from pathlib import Path

def begin(path):
    if path != "/":
        sys.stderr.write("in the application\\n")
    if path == "/block":
        while not Path("go").exists():
            time.sleep(0.01)

async def app(scope, receive, send):
    begin(scope["path"])
    while scope["path"] == "/wait" and not Path("go").exists():
        await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

def wsgi(environ, start_response):
    begin(environ["PATH_INFO"].replace("wait", "block"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
ASYNCIO = ("served:app", "--lifespan", "off", "--loop", "asyncio")
UVLOOP = ("served:app", "--lifespan", "off", "--loop", "uvloop")


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def metric(supervised: Supervised, name: str) -> float:
    lines = supervised.admin("/metrics").body.decode().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{name} "))
    return float(value)


def close(clients: Sequence[Client]) -> None:
    for client in clients:
        client.close()


@pytest.mark.parametrize("served", [ASYNCIO, UVLOOP, ("served:wsgi", "--threads", "1")])
def test_requests_that_were_read_late(supervise: Supervise, served: tuple[str, ...]) -> None:
    supervised = supervise(*served, "--queue-timeout", "0.2", "--admin", f"unix:{ADMIN}")
    supervised.wait_for_workers(1)
    with supervised.connect() as kept, begun(supervised, "/block") as first:
        late = [supervised.connect().send(request("/")) for _ in range(5)]
        assert not late[-1].readable(0.6)  # nobody looks
        (supervised.directory / "go").touch()
        assert first.answer().status == 200
        for client in late:
            answer = client.answer()
            assert (answer.status, answer.get(b"retry-after")) == (503, b"1")
        assert kept.exchange(request("/")).status == 200
    close(late)
    assert supervised.get() == b"hello"
    assert metric(supervised, "fastserve_requests_queued_too_long_total") == 5
    assert supervised.log.text.count("they have waited for 0.2 seconds") == 1


@pytest.mark.parametrize("served", [ASYNCIO, UVLOOP, ("served:wsgi", "--threads", "4")])
def test_queue_is_shown(supervise: Supervise, served: tuple[str, ...]) -> None:
    supervised = supervise(*served, "--limit-concurrency", "1", "--limit-queue", "3", "--admin", f"unix:{ADMIN}")
    supervised.wait_for_workers(1)
    with begun(supervised, "/wait") as first, supervised.connect() as last:
        waiting = [supervised.connect().send(request("/")) for _ in range(3)]
        assert until(lambda: metric(supervised, "fastserve_requests_queued") == 3)
        assert until(lambda: metric(supervised, "fastserve_queue_oldest_seconds") > 0)
        (worker,) = supervised.seen()
        assert worker["queued"] == 3
        assert worker["queue_age"] > 0
        assert last.exchange(request("/")).status == 503
        (supervised.directory / "go").touch()
        assert [client.answer().status for client in (first, *waiting)] == [200] * 4
    close(waiting)
    assert until(lambda: metric(supervised, "fastserve_requests_queued") == 0)
    assert metric(supervised, "fastserve_requests_overloaded_total") == 1
    assert [(each["queued"], each["queue_age"]) for each in supervised.seen()] == [(0, None)]


def test_queue_for_threads_is_shown(supervise: Supervise) -> None:
    supervised = supervise("served:wsgi", "--threads", "2", "--admin", f"unix:{ADMIN}")
    supervised.wait_for_workers(1)
    with begun(supervised, "/wait"), begun(supervised, "/wait"):
        waiting = [supervised.connect().send(request("/")) for _ in range(3)]
        assert until(lambda: metric(supervised, "fastserve_requests_queued") == 3)
        (supervised.directory / "go").touch()
        assert [client.answer().status for client in waiting] == [200] * 3
    close(waiting)
