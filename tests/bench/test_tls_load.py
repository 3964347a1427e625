"""The load of scenarios over TLS: what it counts on servers that answer rightly, wrongly, refuse, or are too old."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.loads import floor
from bench.loads.counted import Load, LoadError
from bench.loads.floor import build_handshake_load
from bench.loads.load import load_command, run_load
from bench.measure import certificate
from bench.measure.certificate import CertificateError, make_certificate
from bench.measure.check_answer import WrongAnswerError, check_answer
from bench.measure.sample import Settings, measure
from bench.plan import load_plan
from bench.process import free_port, started

PLAN = load_plan()
HANDSHAKES = PLAN.scenarios["tls-handshake"]
FAKE = Path(__file__).with_name("fake_tls.py")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
needs_headers = pytest.mark.skipif(
    shutil.which("cc") is None or not Path("/usr/include/openssl/ssl.h").exists(),
    reason="needs a C compiler and OpenSSL's headers",
)


@contextmanager
def fake(kind: str, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, str(FAKE), str(port), kind, *make_certificate(tmp_path)]
    with started(command, port, 0, tmp_path / "log", tmp_path):
        yield port


def load(port: int) -> Load:
    return run_load(load_command(HANDSHAKES, port, 1), HANDSHAKES.connections, 0, 1)


@needs_headers
def test_every_handshake_is_counted_and_none_resumes_a_session(tmp_path: Path) -> None:
    with fake("right", tmp_path) as port:
        check_answer(HANDSHAKES, port)
        result = load(port)
    assert result.errors == {}
    assert result.requests > HANDSHAKES.connections
    assert 0 < result.p50_us <= result.p99_us <= result.p999_us <= result.curve["100"]


@needs_headers
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("wrong", "status"),
        ("status", "status"),
        ("short", "status"),
        ("resumed", "status"),
        ("refuse", "connect"),
        ("old", "connect"),
    ],
)
def test_what_goes_wrong_is_counted(kind: str, error: str, tmp_path: Path) -> None:
    with fake(kind, tmp_path) as port:
        result = load(port)
    assert result.requests == 0
    assert set(result.errors) == {error}


@pytest.mark.parametrize("kind", ["wrong", "status", "short", "refuse", "old"])
def test_a_server_is_checked_before_it_is_measured(kind: str, tmp_path: Path) -> None:
    with fake(kind, tmp_path) as port, pytest.raises(WrongAnswerError):
        check_answer(HANDSHAKES, port)


@needs_headers
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
@pytest.mark.parametrize("name", ["tls-hello", "tls-handshake"])
def test_our_server_is_measured_over_tls(name: str) -> None:
    sample = measure(PLAN.scenarios[name], PLAN.servers["fastserve-asyncio"], Settings(seconds=1, warm=0))
    assert (sample.error, sample.requests > 0, sample.cpu_us > 0) == ("", True, True)
    assert sample.p50_us > 0


def test_a_certificate_that_cannot_be_made_is_an_error_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "COMMAND", ("openssl", "nonsense"))
    sample = measure(PLAN.scenarios["tls-hello"], PLAN.servers["fastserve-asyncio"], Settings(seconds=1, warm=0))
    assert sample.error.startswith("openssl: ")
    monkeypatch.setattr(certificate, "COMMAND", ("/nonexistent/openssl",))
    with pytest.raises(CertificateError, match="apt install openssl"):
        make_certificate(Path())


def test_a_load_that_cannot_be_built_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "BUILD", tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(LoadError, match="apt install libssl-dev"):
        build_handshake_load()


@needs_headers
def test_the_load_says_how_it_is_used() -> None:
    done = subprocess.run([build_handshake_load()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "load PORT CONNECTIONS SECONDS STATUS BODY\n")
