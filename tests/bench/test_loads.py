"""The loads of what users do: a mix at an even rate, many clients over a proxy's connections, bodies, a slow crowd."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.loads.counted import Load, LoadError
from bench.loads.crowd import slow_crowd
from bench.loads.floor import build_mixed_load
from bench.loads.load import load_command, run_load
from bench.loads.scrape import scraping
from bench.measure.sample import Settings, crowd_error, measure
from bench.plan import Answer, Crowd, Mix, Scenario, Server, load_plan
from bench.process import free_port, started
from kit.waiting import until

PLAN = load_plan()
FAKE = Path(__file__).with_name("mixed_server.py")
HELLO = Answer(headers={"content-length": "13"}, text="Hello, World!")
MIXED = Scenario("mixed", "", "", HELLO, connections=16, mix=Mix(500, {"/": 900, "/5": 90, "/200": 10}))

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@contextmanager
def fake(mode: str, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with started([sys.executable, str(FAKE), str(port), mode], port, 0, tmp_path / "log", tmp_path):
        yield port


def load(scenario: Scenario, port: int, seconds: float = 1) -> Load:
    return run_load(load_command(scenario, port, seconds), scenario.connections, 0, seconds)


@pytest.mark.alone(measures=True)
@needs_compiler
def test_a_mix_has_its_rate_and_latencies_of_the_fast_ones_alone(tmp_path: Path) -> None:
    with fake("right", tmp_path) as port:
        fast = load(replace(MIXED, mix=Mix(50, {"/": 500, "/200": 500})), port, 2)
        slow = load(replace(MIXED, mix=Mix(50, {"/200": 500, "/": 500})), port, 2)
    assert fast.errors == slow.errors == {}
    assert fast.per_second == pytest.approx(50, rel=0.2)  # of both kinds; some are under way at the end
    assert 0 < fast.p50_us <= fast.p99_us <= fast.curve["100"]
    assert fast.p50_us < 200_000 <= slow.p50_us


@needs_compiler
@pytest.mark.parametrize(("mode", "error"), [("error", "status"), ("closes", "read")])
def test_what_goes_wrong_in_a_mix_is_counted(mode: str, error: str, tmp_path: Path) -> None:
    with fake(mode, tmp_path) as port:
        result = load(MIXED, port)
    assert result.errors[error] > 0
    assert result.requests == 0


@needs_compiler
def test_an_answer_of_a_mix_that_does_not_end_as_it_should_is_none(tmp_path: Path) -> None:
    with fake("wrong", tmp_path) as port:
        assert load(MIXED, port).requests == 0


@needs_compiler
def test_a_latency_counts_from_when_the_request_was_due(tmp_path: Path) -> None:
    queued = replace(MIXED, connections=1, mix=Mix(400, {"/": 500, "/5": 500}))  # 2.5 ms each, when one takes 2.5
    with fake("right", tmp_path) as port:
        assert load(queued, port, 2).p50_us > 2000  # each by itself takes a fraction of it


@needs_compiler
@pytest.mark.parametrize(("kinds", "why"), [(["/:900"], "not a thousand"), (["/"], "no PATH:SHARE")])
def test_a_mix_that_is_none_is_refused(kinds: list[str], why: str) -> None:
    command = [str(build_mixed_load()), "1", "1", "1", "200", "x", "10", *kinds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert why in done.stderr


@needs_wrk
def test_requests_over_a_proxy_are_those_of_many_clients(tmp_path: Path) -> None:
    scenario = replace(PLAN.scenarios["proxied"], connections=4, script_args=("203.0.113.7", "5"))
    with fake("tells", tmp_path) as port:
        assert load(scenario, port).requests > 10
    heads = {line for line in (tmp_path / "log").read_text().splitlines() if line}
    assert len(heads) == 5
    for number in range(1, 6):
        (head,) = (head for head in heads if f"X-Forwarded-For: 203.0.113.{number}" in head.split(" | "))
        assert f"X-Real-IP: 203.0.113.{number}" in head.split(" | ")
        assert "Host: www.example.com" in head.split(" | ")


@needs_wrk
@pytest.mark.parametrize("name", ["api", "upload-form"])
def test_a_body_is_sent_as_it_is(name: str, tmp_path: Path) -> None:
    scenario = replace(PLAN.scenarios[name], connections=1)
    with fake("right", tmp_path) as port:
        assert load(scenario, port).requests > 0
    told = set((tmp_path / "log").read_text().splitlines())
    assert told == {f"{scenario.headers['Content-Type']} {len(scenario.payload)}"}


CROWD = Crowd(connections=20, path="/sized/30000", bytes=30_000, per_second=40_000)
CROWDED = Scenario("crowded", "", "", HELLO, connections=2, crowd=CROWD)


def test_a_crowd_takes_its_answers_at_its_pace_and_asks_again(tmp_path: Path) -> None:
    crowd = Crowd(connections=20, path="/sized/5000", bytes=5000, per_second=8000)
    with fake("tells", tmp_path) as port, slow_crowd(port, crowd) as count:
        assert until(lambda: (tmp_path / "log").read_text().count("\n") >= 40)
    assert count.behind == 0
    assert count.moved >= 20 * 5000


def test_who_gets_hardly_anything_is_counted(tmp_path: Path) -> None:
    with fake("starves", tmp_path) as port, slow_crowd(port, CROWD) as count:
        pass
    assert count.behind == 20
    assert crowd_error(CROWDED, count) == "20 of 20 slow clients got less than half of their pace"


@pytest.mark.parametrize(("mode", "why"), [("error", "500"), ("closes", "closed"), ("wrong", "other bytes")])
def test_a_wrong_answer_ends_the_crowd(mode: str, why: str, tmp_path: Path) -> None:
    with fake(mode, tmp_path) as port, pytest.raises(LoadError, match=why), slow_crowd(port, CROWD):
        raise AssertionError("nobody has been answered")


@contextmanager
def answering(address: str, answer: bytes) -> Iterator[list[bytes]]:
    """A Unix socket that answers each request so; what was asked is in the list."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


METRICS = b"HTTP/1.1 200 OK\r\n\r\n# HELP requests\nrequests_total 4711\n"


def test_metrics_are_asked_for_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.loads.scrape.EVERY", 0.01)
    address = str(tmp_path / "admin")
    with answering(address, METRICS) as asked, scraping(address) as scrapes:
        assert until(lambda: scrapes.count >= 3)
    assert asked[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert scrapes.error == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [(METRICS.replace(b"200 OK", b"403 Forbidden"), "403 Forbidden"), (METRICS[:40], "without any"), (b"", "''")],
)
def test_an_answer_without_metrics_is_an_error(answer: bytes, why: str, tmp_path: Path) -> None:
    address = str(tmp_path / "admin")
    with answering(address, answer), pytest.raises(LoadError, match=why), scraping(address) as scrapes:
        assert until(lambda: scrapes.error != "")


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="metrics: "), scraping(str(tmp_path / "nobody")) as scrapes:
        assert until(lambda: scrapes.error != "")


@needs_wrk
@pytest.mark.parametrize("server", ["fastserve-observed", "fastserve-unproxied"])
def test_our_servers_are_measured(server: str) -> None:
    scenario = PLAN.scenarios["observed" if server == "fastserve-observed" else "proxied"]
    sample = measure(scenario, PLAN.servers[server], Settings(seconds=1, warm=0))
    assert (sample.error, sample.requests > 0) == ("", True)


@needs_wrk
def test_metrics_that_are_not_there_are_the_error_of_a_row() -> None:
    server = replace(PLAN.servers["fastserve-observed"], metrics="{scratch}/nowhere")
    assert "metrics: " in measure(PLAN.scenarios["observed"], server, Settings(seconds=1, warm=0)).error


@needs_wrk
def test_a_server_that_reads_what_it_should_leave_alone_is_refused() -> None:
    server: Server = replace(PLAN.servers["fastserve"], answers={"forwarded": "http 127.0.0.1"})
    sample = measure(PLAN.scenarios["proxied"], server, Settings(seconds=1, warm=0))
    assert "in place of '14'" in sample.error


@needs_wrk
def test_a_crowd_is_beside_the_load_and_its_memory_is_not_that_at_rest() -> None:
    scenario = replace(PLAN.scenarios["slow-clients"], crowd=Crowd(50, "/262144", 262_144, 10_240))
    sample = measure(scenario, PLAN.servers["fastserve"], Settings(seconds=1, warm=0))
    assert (sample.error, sample.requests > 0, 0 < sample.rss_rest <= sample.rss) == ("", True, True)
