"""A benchmark that is stopped in the middle takes its server and its load with it."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.measure.cputime import tree
from bench.plan import HERE

pytestmark = pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("cc")), reason="needs wrk and a C compiler")

DEADLINE = 10.0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--servers", "limit", "--scenarios", "hello", "--seconds", "60"]
    command += ["--json", str(tmp_path / "result.json")]
    with subprocess.Popen(command, cwd=HERE.parent, stderr=subprocess.DEVNULL) as bench:
        try:
            family = await_server_and_load(bench.pid)
            bench.send_signal(how)
            assert bench.wait(DEADLINE) == 128 + how
        finally:
            bench.kill()
    deadline = time.monotonic() + DEADLINE
    while left := [pid for pid in family if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)


def await_server_and_load(pid: int) -> list[int]:
    """The harness, the limit program and wrk, once all three run."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        family = tree(pid)
        names = {name(member) for member in family}
        if {"limit", "wrk"} <= names:
            return family
        time.sleep(0.01)
    raise AssertionError("the benchmark has not started its server and load")


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
