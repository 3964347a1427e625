"""The admin address: what it says of workers that start, serve, hang and go, over TCP and over a Unix socket."""

import json
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from serving.answer import Answer
from serving.client import Address, Client
from serving.script import request
from serving.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Load, Supervised, children, title

APPLICATION = """
import os, sys, time
from pathlib import Path

while not Path("start").exists():
    time.sleep(0.01)

async def app(scope, receive, send):
    if scope["path"] == "/block":
        sys.stderr.write(f"blocked {os.getpid()}\\n")
        while not Path("gate").exists():
            time.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""
ADMIN = re.compile(r"admin pages on http://127\.0\.0\.1:(\d+)\n")


@pytest.fixture(autouse=True)
def application(write: Write, tmp_path: Path) -> None:
    write(APPLICATION)
    (tmp_path / "start").touch()


def start(supervise: Supervise, *options: str, listens: bool = True) -> tuple[Supervised, Address]:
    """The supervisor, and its admin address."""
    supervised = supervise("served:app", "--lifespan", "off", "--admin", "127.0.0.1:0", *options, listens=listens)
    match = ADMIN.search(supervised.log.wait(lambda text: ADMIN.search(text) is not None))
    assert match is not None
    return supervised, ("127.0.0.1", int(match[1]))


def get(admin: Address, page: str) -> Answer:
    with Client(admin) as client:
        return client.exchange(request(page))


def says(admin: Address, page: str, status: int, text: bytes, timeout: float = PATIENCE) -> bool:
    def said() -> bool:
        answer = get(admin, page)
        return (answer.status, answer.body) == (status, text + b"\n")

    return until(said, timeout)


def test_from_the_start_to_the_end(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "start").unlink()
    supervised, admin = start(supervise, listens=False)
    assert says(admin, "/readyz", 503, b"starting")
    assert says(admin, "/livez", 200, b"ok")
    assert "listening on" not in supervised.log.text
    (tmp_path / "start").touch()
    assert says(admin, "/readyz", 200, b"ok")
    supervised.wait_for_workers(1)
    supervised.address = supervised.addresses()[0]
    with supervised.connect().send(request("/block")) as client:
        supervised.log.wait_for("blocked ")
        supervised.signal(signal.SIGTERM)
        assert says(admin, "/readyz", 503, b"stopping")
        assert says(admin, "/livez", 200, b"ok")
        (tmp_path / "gate").touch()
        assert client.answer().status == 200
    assert supervised.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        get(admin, "/livez")


def test_all_workers_are_wedged(supervise: Supervise, tmp_path: Path) -> None:
    supervised, admin = start(supervise, "--workers", "2", "--timeout-worker", "0")
    clients: list[Client] = []

    def all_blocked() -> bool:
        clients.append(supervised.connect().send(request("/block")))
        return all(f"blocked {pid}\n" in supervised.log.text for pid in supervised.workers().values())

    try:
        assert until(all_blocked)
        assert says(admin, "/readyz", 503, b"no worker has shown a sign of life for 2.5 s")
        assert says(admin, "/livez", 200, b"ok")
        workers = json.loads(get(admin, "/workers").body)
        assert [worker["slot"] for worker in workers] == [0, 1]
        for worker in workers:
            assert worker["state"] == "serving"
            assert worker["heartbeat_age"] > 2.5
            assert worker["in_flight"] == 1
            (serving,) = worker["serving"]
            assert serving["request"] == "GET /block"
            assert 2.5 < serving["seconds"] < 30
        (tmp_path / "gate").touch()
        assert {client.answer().status for client in clients} == {200}
        assert says(admin, "/readyz", 200, b"ok")
    finally:
        for client in clients:
            client.close()


def counters(admin: Address) -> dict[str, float]:
    text = get(admin, "/metrics").body.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if re.search(r"_(total|bucket|count|sum)\b", name)}


def test_counters_never_go_back(supervise: Supervise) -> None:
    supervised, admin = start(supervise, "--workers", "2")
    seen = [counters(admin)]
    assert seen[0]["fastserve_requests_total"] == 0
    with Load(supervised.address, 4) as load:
        for _ in range(2):
            begin = len(supervised.log.text)
            supervised.signal(signal.SIGHUP)
            while "reloaded\n" not in supervised.log.text[begin:]:
                seen.append(counters(admin))
        answered = load.end_without_loss()["answered"]
    supervised.wait_for_workers(2)
    seen.append(counters(admin))
    for before, after in pairwise(seen):
        assert {name: value for name, value in before.items() if after[name] < value} == {}
    assert len(seen) > 5
    assert seen[-1]["fastserve_requests_total"] >= answered
    assert seen[-1]['fastserve_responses_total{status="2xx"}'] >= answered
    assert seen[-1]["fastserve_request_duration_seconds_count"] >= answered
    assert seen[-1]['fastserve_workers_ended_total{cause="reload"}'] == 4


def test_unix_socket(supervise: Supervise, tmp_path: Path) -> None:
    path = tmp_path / "admin"
    supervised = supervise("served:app", "--lifespan", "off", "--admin", f"unix:{path}", "--uds-mode", "600")
    assert f"admin pages on unix:{path}\n" in supervised.log.text
    assert says(str(path), "/readyz", 200, b"ok")
    assert path.stat().st_mode & 0o777 == 0o600
    assert supervised.stop() == 0
    assert not path.exists()
    assert list(tmp_path.glob("admin*")) == []


def test_it_is_served_again_when_its_process_ends(supervise: Supervise) -> None:
    supervised, admin = start(supervise)
    assert says(admin, "/readyz", 200, b"ok")
    before = process(supervised)
    supervised.signal(signal.SIGKILL, before)
    supervised.log.wait_for("the admin process ended: killed by SIGKILL (Killed); another one follows\n")
    assert says(admin, "/readyz", 200, b"ok")
    assert process(supervised) != before


def process(supervised: Supervised) -> int:
    (found,) = [pid for pid in children(supervised.pid) if title(pid) == "fastserve: admin (serving)"]
    return found
