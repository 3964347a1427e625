"""The admin address: what it says of workers that start, serve, hang and go, over TCP and over a Unix socket."""

import json
import os
import re
import signal
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from kit.answer import Answer
from kit.client import Address, Client
from kit.script import request
from kit.waiting import PATIENCE, until
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
        return client.exchange(request(page).replace(b"Host: test", b"Host: localhost"))


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

    def complete() -> bool:
        """A client has its answer before that is counted, and a worker ends before the supervisor hears of it."""
        seen.append(counters(admin))
        ended = seen[-1]['fastserve_workers_ended_total{cause="reload"}'] == 4
        return ended and seen[-1]["fastserve_request_duration_seconds_count"] >= answered

    assert until(complete)
    for before, after in pairwise(seen):
        assert {name: value for name, value in before.items() if after[name] < value} == {}
    assert len(seen) > 5
    assert seen[-1]["fastserve_requests_total"] >= answered
    assert seen[-1]['fastserve_responses_total{status="2xx"}'] >= answered


def test_unix_socket(supervise: Supervise, tmp_path: Path) -> None:
    path = tmp_path / "admin"
    supervised = supervise("served:app", "--lifespan", "off", "--admin", f"unix:{path}", "--uds-mode", "600")
    supervised.log.wait_for(f"admin pages on unix:{path}\n")
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


def ask(admin: Address, page: str, host: str, *fields: str) -> int:
    with Client(admin) as client:
        return client.exchange(request(page, *fields).replace(b"Host: test", f"Host: {host}".encode())).status


def test_names_that_it_is_asked_for_by(supervise: Supervise) -> None:
    """What a proxy says of the name does not count, though it is one of those that are trusted elsewhere."""
    supervised, admin = start(supervise, "--admin-host", "ops.example")
    assert says(admin, "/readyz", 200, b"ok")
    for host, status in (("ops.example:9000", 200), ("127.0.0.1", 200), ("evil.example", 421)):
        assert ask(admin, "/workers", host) == ask(admin, "/metrics", host) == status
        assert ask(admin, "/readyz", host) == 200
    assert ask(admin, "/metrics", "evil.example", "X-Forwarded-Host: localhost") == 421
    assert ask(admin, "/metrics", "localhost", "X-Forwarded-Host: evil.example") == 200
    assert "whoever reaches the admin address" not in supervised.log.text


def test_tokens(supervise: Supervise, tmp_path: Path) -> None:
    """They are read again at a reload, without a connection that is refused meanwhile."""
    tokens = tmp_path / "tokens"
    tokens.write_text("0ne\n")
    supervised, admin = start(supervise, "--admin-token-file", "tokens")
    assert says(admin, "/readyz", 200, b"ok")
    assert ask(admin, "/workers", "localhost") == ask(admin, "/metrics", "localhost") == 401
    assert ask(admin, "/workers", "localhost", "Authorization: Bearer 0ne") == 200
    tokens.write_text("")
    supervised.signal(signal.SIGHUP).log.wait_for("not reloaded, the workers go on as they are: --admin-token-file: ")
    assert ask(admin, "/workers", "localhost", "Authorization: Bearer 0ne") == 200
    tokens.write_text("tw0\n")
    supervised.signal(signal.SIGHUP).log.wait_for("the tokens of the admin address are read again")
    assert until(lambda: ask(admin, "/workers", "localhost", "Authorization: Bearer tw0") == 200)
    assert ask(admin, "/workers", "localhost", "Authorization: Bearer 0ne") == 401
    assert "0ne" not in supervised.log.text


def test_tokens_that_are_not_there(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--admin", "127.0.0.1:0", "--admin-token-file", "absent", listens=False)
    assert supervised.wait() == 1
    assert "--admin-token-file: cannot read absent: no such file or directory" in supervised.log.text


@pytest.mark.parametrize(("options", "warned"), [((), True), (("--admin-token-file", "tokens"), False)])
def test_warning_where_everybody_reads(
    supervise: Supervise, tmp_path: Path, options: tuple[str, ...], warned: bool
) -> None:
    (tmp_path / "tokens").write_text("0ne\n")
    supervised = supervise("served:app", "--lifespan", "off", "--admin", "0.0.0.0:0", *options)
    assert ("whoever reaches the admin address reads its pages" in supervised.log.text) is warned


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_tokens_that_only_root_may_read() -> None:
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "served.py").write_text("async def app(scope, receive, send): ...")
        (directory / "tokens").write_text("0ne\n")
        (directory / "tokens").chmod(0o600)
        options = ("--user", "nobody", "--admin", "127.0.0.1:0", "--admin-token-file", "tokens", "--lifespan", "off")
        with Supervised("served:app", *options, directory=directory) as supervised:
            match = ADMIN.search(supervised.log.text)
            assert match is not None
            admin = ("127.0.0.1", int(match[1]))
            assert ask(admin, "/workers", "localhost", "Authorization: Bearer 0ne") == 200
            before = process(supervised)
            (directory / "tokens").write_text("tw0\n")
            supervised.signal(signal.SIGHUP)
            assert until(lambda: ask(admin, "/workers", "localhost", "Authorization: Bearer tw0") == 200)
            assert process(supervised) != before
            assert supervised.stop() == 0


def process(supervised: Supervised) -> int:
    (found,) = [pid for pid in children(supervised.pid) if title(pid) == "fastserve: admin (serving)"]
    return found
