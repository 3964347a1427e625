"""h2load: what is read from what it says, and what a measurement by HTTP/2 is on a server that answers, or does not."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.loads.counted import LoadError
from bench.loads.h2load import find_h2load, h2load_command, parse_h2load
from bench.measure import check_http2
from bench.measure.check_answer import WrongAnswerError
from bench.measure.sample import Settings, load_errors, measure
from bench.plan import HERE, load_plan
from bench.process import free_port, started

PLAN = load_plan()
SERVER = PLAN.servers["fastserve-asyncio"]
FAKE = Path(__file__).with_name("fake_server.py")
SHORT = Settings(seconds=1, warm=0)

SAID = """\
starting benchmark...
Application protocol: h2c
progress: 100% of clients started

finished in 2.01s, 251360.00 req/s, 9.59MB/s
requests: 502720 total, 504768 started, 502720 done, 502720 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 502720 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 19.19MB (20118144) total, 4.32MB (4529920) headers (space savings 90.61%), 6.23MB (6535360) data
                     min         max         mean         sd        +/- sd
time for request:      782us     29.71ms      7.61ms      3.98ms    73.94%
time for connect:       58us      1.20ms       631us       336us    57.81%
"""
CLEAN = "502720 succeeded, 0 failed, 0 errored, 0 timeout"

needs_tools = pytest.mark.skipif(
    not (shutil.which("h2load") and shutil.which("curl") and shutil.which("openssl")),
    reason="needs h2load, curl and openssl",
)


def test_what_it_has_counted_is_read() -> None:
    load = parse_h2load(SAID)
    assert (load.requests, load.duration_us, load.bytes, load.errors) == (502_720, 2_010_000, 20_118_144, {})
    assert load.per_second == pytest.approx(250_109, abs=1)
    assert set(load.curve.values()) == {0}
    assert load.p50_us == load.p999_us == 0


@pytest.mark.parametrize(("text", "us"), [("2.01s", 2_010_000), ("998.20ms", 998_200), ("750us", 750), ("1.5m", 9e7)])
def test_its_duration_has_a_unit(text: str, us: int) -> None:
    assert parse_h2load(SAID.replace("2.01s", text)).duration_us == us


@pytest.mark.parametrize(
    ("counts", "errors"),
    [
        ("0 succeeded, 502720 failed, 0 errored, 0 timeout", "502720 status errors"),
        ("502714 succeeded, 6 failed, 6 errored, 0 timeout", "6 read errors"),
        ("502710 succeeded, 10 failed, 6 errored, 0 timeout", "4 status errors, 6 read errors"),
        ("502719 succeeded, 1 failed, 1 errored, 1 timeout", "1 read errors, 1 timeout errors"),
    ],
)
def test_what_went_wrong_is_counted_by_kind(counts: str, errors: str) -> None:
    assert load_errors(parse_h2load(SAID.replace(CLEAN, counts))) == errors


def test_nothing_answered_is_an_error() -> None:
    assert load_errors(parse_h2load(SAID.replace("502720", "0"))) == "no request was answered"


@pytest.mark.parametrize("cut", ["finished in", "requests:"])
def test_no_report_is_one(cut: str) -> None:
    with pytest.raises(LoadError, match="h2load did not report: "):
        parse_h2load(SAID.replace(cut, "..."))


def test_a_scenario_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    command = h2load_command(PLAN.scenarios["h2c-hello-32"], 8000, 3)
    assert command == ["/bin/h2load", "-t", "1", "-c", "8", "-m", "32", "-D", "3", "http://127.0.0.1:8000/"]
    upload = PLAN.scenarios["h2-upload"]
    *_, option, file, url = h2load_command(replace(upload, upload=1000), 8000, 3)
    assert (option, Path(file).read_bytes(), url) == ("-d", b"x" * 1000, "https://127.0.0.1:8000/")
    assert Path(file).is_relative_to(HERE / "build")
    assert h2load_command(replace(upload, headers={"a": "b"}), 8000, 3)[9:11] == ["-H", "a: b"]


def test_where_it_is_missing_the_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == "h2load" else which(name, **more))
    monkeypatch.setattr(
        check_http2, "_ask", lambda *_: ("HTTP/2 200\ncontent-type: text/plain\ncontent-length: 13", b"Hello, World!")
    )
    sample = measure(PLAN.scenarios["h2c-hello-1"], SERVER, SHORT)
    assert sample.error == "h2load is not on the PATH: install it (apt install nghttp2-client)"
    with pytest.raises(LoadError):
        find_h2load()


@needs_tools
@pytest.mark.parametrize("name", ["h2c-hello-1", "h2c-hello-32", "h2-hello-32", "h2-body-out", "h2-upload"])
def test_our_server_is_measured_by_http2(name: str) -> None:
    sample = measure(PLAN.scenarios[name], SERVER, SHORT)
    assert (sample.error, sample.requests > 0, sample.cpu_us > 0) == ("", True, True)
    assert sample.p50_us == 0


@needs_tools
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 201}, "'HTTP/2 200' in place of HTTP/2 and 201"),
        ({"headers": {"content-type": "text/html"}}, "header content-type is 'text/plain' in place of 'text/html'"),
        ({"text": "Hello, Wally!"}, "a body of 13 bytes in place of 13, or another one"),
    ],
)
def test_an_answer_that_is_another_one_is_refused(answer: dict[str, Any], why: str) -> None:
    scenario = PLAN.scenarios["h2c-hello-1"]
    sample = measure(replace(scenario, answer=replace(scenario.answer, **answer)), SERVER, SHORT)
    assert (sample.error, sample.requests) == (why, 0)


@needs_tools
def test_a_server_without_http2_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with (
        started([sys.executable, str(FAKE), str(port), "right", "0"], port, 0, tmp_path / "log", tmp_path),
        pytest.raises(WrongAnswerError, match="no valid answer"),
    ):
        check_http2.check_http2(PLAN.scenarios["h2c-hello-1"], port)


def test_without_curl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(WrongAnswerError, match="apt install curl"):
        check_http2.check_http2(PLAN.scenarios["h2c-hello-1"], 1)
