"""The load of WebSocket scenarios: what it counts on servers that echo rightly, wrongly, refuse, or die."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.loads.counted import Load
from bench.loads.floor import build_websocket_floor, build_websocket_load
from bench.loads.load import load_command, run_load
from bench.measure.check_answer import WrongAnswerError
from bench.measure.check_websocket import check_websocket
from bench.measure.sample import Settings, measure
from bench.plan import Scenario, load_plan
from bench.process import free_port, started

PLAN = load_plan()
FAKE = Path(__file__).with_name("fake_websocket.py")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@contextmanager
def fake(kind: str, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with started([sys.executable, str(FAKE), str(port), kind], port, 0, tmp_path / "log", tmp_path):
        yield port


def load(scenario: Scenario, port: int, seconds: float = 1) -> Load:
    return run_load(load_command(scenario, port, seconds), scenario.connections, 0, seconds)


@pytest.mark.parametrize("name", ["ws-echo-32", "ws-echo-64k", "ws-deflate-4k"])
def test_every_echo_is_counted(name: str, tmp_path: Path) -> None:
    kind = "deflate" if "deflate" in name else "right"
    with fake(kind, tmp_path) as port:
        check_websocket(PLAN.scenarios[name], port)
        result = load(PLAN.scenarios[name], port)
    assert result.errors == {}
    assert result.requests > 64
    assert 0 < result.p50_us <= result.p99_us <= result.p999_us <= result.curve["100"]


@pytest.mark.parametrize(("kind", "error"), [("wrong", "status"), ("refuse", "connect"), ("die", "read")])
def test_what_goes_wrong_is_counted(kind: str, error: str, tmp_path: Path) -> None:
    with fake(kind, tmp_path) as port:
        assert load(PLAN.scenarios["ws-echo-32"], port).errors[error] > 0


@pytest.mark.parametrize(("kind", "text"), [("wrong", "other bytes"), ("refuse", "no WebSocket")])
def test_a_server_is_checked_before_it_is_measured(kind: str, text: str, tmp_path: Path) -> None:
    with fake(kind, tmp_path) as port, pytest.raises(WrongAnswerError, match=text):
        check_websocket(PLAN.scenarios["ws-echo-32"], port)


def test_the_floor_is_measured_without_an_error() -> None:
    settings = Settings(seconds=1, warm=0, websocket_floor=str(build_websocket_floor()))
    for name in ("ws-echo-32", "ws-echo-64k"):
        sample = measure(PLAN.scenarios[name], PLAN.servers["limit"], settings)
        assert (sample.error, sample.requests > 0, sample.cpu_us > 0) == ("", True, True)


def test_the_load_says_how_it_is_used() -> None:
    done = subprocess.run([build_websocket_load()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "load PORT CONNECTIONS SECONDS SIZE [--text] [--deflate]\n")
