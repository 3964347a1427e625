"""The slow clients against a fake server, and what their results say."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure.sample import Settings
from bench.measure.slow import SlowClientError, SlowResult, measure_slow, slow_client
from bench.plan import HERE, Server, SlowTransfer, load_plan
from bench.process import cores, free_port, started

FAKE = Path(__file__).with_name("slow_server.py")
UPLOAD = SlowTransfer("POST", "/upload", bytes=100_000, per_second=200_000, grows_by=2**20)
DOWNLOAD = SlowTransfer("GET", "/download?100000", bytes=100_000, per_second=200_000, grows_by=2**20)
TRANSFERS = pytest.mark.parametrize("transfer", [UPLOAD, DOWNLOAD], ids=["upload", "download"])
GONE = "BrokenPipeError|ConnectionResetError|RemoteDisconnected"
DEADLINE = 10.0


def serve(mode: str, folder: Path) -> Iterator[int]:
    port = free_port()
    with started([sys.executable, str(FAKE), str(port), mode], port, cores()[0], folder / "log", HERE.parent):
        yield port


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    yield from serve("right", tmp_path)


def run_to_its_end(port: int, transfer: SlowTransfer) -> tuple[int, str, str]:
    words = (port, transfer.method, transfer.path, transfer.bytes, transfer.per_second)
    command = [sys.executable, "-m", "bench.loads.slow_client", *map(str, words)]
    with subprocess.Popen(
        command, cwd=HERE.parent, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        try:
            return client.wait(DEADLINE), client.stdout.read(), client.stderr.read()
        finally:
            client.kill()


@TRANSFERS
def test_the_whole_is_moved_at_its_pace(port: int, transfer: SlowTransfer) -> None:
    start = time.monotonic()
    status, output, complaint = run_to_its_end(port, transfer)
    assert (status, output) == (0, "ready\n100000\n"), complaint
    assert time.monotonic() - start >= 0.45  # the last piece is due after all the others' time


@TRANSFERS
def test_it_ends_when_it_is_no_longer_wanted(port: int, transfer: SlowTransfer) -> None:
    endless = replace(transfer, bytes=10**12, path=transfer.path.replace("100000", str(10**12)))
    with slow_client(port, endless) as client:
        pass
    assert 0 <= client.moved < 10**7


@TRANSFERS
@pytest.mark.parametrize(("mode", "why"), [("error", "status 500"), ("closes", GONE)])
def test_a_server_that_fails_is_an_error(transfer: SlowTransfer, mode: str, why: str, tmp_path: Path) -> None:
    for port in serve(mode, tmp_path):
        status, _, complaint = run_to_its_end(port, transfer)
        assert status == 1
        assert re.search(why, complaint)


@pytest.mark.parametrize(
    ("transfer", "why"), [(UPLOAD, "were answered with"), (DOWNLOAD, "of 100000 bytes")], ids=["upload", "download"]
)
def test_a_wrong_answer_is_an_error(transfer: SlowTransfer, why: str, tmp_path: Path) -> None:
    for port in serve("wrong", tmp_path):
        status, _, complaint = run_to_its_end(port, transfer)
        assert status == 1
        assert why in complaint


def test_an_error_of_the_client_is_raised_at_the_end_of_the_block(tmp_path: Path) -> None:
    for port in serve("error", tmp_path):
        with pytest.raises(SlowClientError, match="status 500"), slow_client(port, DOWNLOAD):
            raise AssertionError("the transfer has not begun")


@pytest.mark.alone(measures=True)
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
@pytest.mark.parametrize(("mode", "passed"), [("right", True), ("hoards", False)])
def test_memory_that_a_slow_upload_takes_is_seen(mode: str, passed: bool) -> None:
    upload = replace(UPLOAD, bytes=10**9, per_second=8 * 2**20, grows_by=2**21)
    plan = replace(load_plan(), slow={"upload": upload})
    server = Server("fake", (sys.executable, str(FAKE), "{port}", mode))
    lines: list[str] = []
    (result,) = measure_slow(plan, server, Settings(seconds=1, warm=1), 1, lines.append)
    assert result.error == ""
    assert len(result.without) == 2
    assert len(result.beside) == len(lines) == 1
    assert result.moved > 4 * 2**20
    assert result.flat is passed


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_server_that_fails_is_in_the_result() -> None:
    server = Server("fake", (sys.executable, str(FAKE), "{port}", "error"))
    results = measure_slow(load_plan(), server, Settings(seconds=1, warm=0), 1, lambda _: None)
    assert [result.transfer for result in results] == ["slow upload", "slow download"]
    assert not any(result.passed for result in results)
    assert all("status errors" in str(result) for result in results)


@pytest.mark.parametrize(
    ("beside", "without", "unchanged"),
    [
        ([520, 540, 560], [500, 510, 490, 550], True),  # 540 against 505: the rounds without it are 60 apart
        ([570, 580, 560], [500, 510, 490, 550], False),
        ([550], [500, 500], True),  # a tenth is noise even where two rounds agree
        ([551], [500, 500], False),
        ([500, 9000, 9000], [500, 500, 500, 500], False),  # the spread beside it excuses nothing
        ([500], [500, 1000, 500], True),
        ([500], [500, 1001, 500], False),  # too noisy to tell
    ],
)
def test_p99_is_unchanged_within_the_spread_of_rounds_without(
    beside: list[int], without: list[int], unchanged: bool
) -> None:
    result = SlowResult("fastserve", "slow upload", 0, without, beside)
    assert result.unchanged is result.passed is unchanged


@pytest.mark.parametrize(("during", "after", "flat"), [(110, 100, True), (111, 100, False), (100, 111, False)])
def test_memory_is_flat_up_to_what_may_be_gained(during: int, after: int, flat: bool) -> None:
    result = SlowResult("fastserve", "slow upload", 10, [500], [500], before=100, during=during, after=after)
    assert result.flat is result.passed is flat
