"""The memory runs: what they count, and that a server which answers wrongly does not pass."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.loads.floor import build_limit
from bench.loads.idle import IdleError, idle_connections
from bench.measure.memory import MemoryResult, measure_memory
from bench.measure.sample import Settings, server_command
from bench.plan import Answer, MemoryPlan, load_plan
from bench.process import free_port, started

SMALL = MemoryPlan(
    idle_connections=300, idle_bytes_each=1024, cut_requests=640, aborted_connections=64, returns_within=1_048_576
)


@pytest.fixture
def results() -> list[MemoryResult]:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    plan = replace(load_plan(), memory=SMALL)
    return measure_memory(plan, plan.servers["limit"], Settings(limit=str(build_limit())))


def test_idle_connections_are_counted_and_a_wrong_answer_fails(results: list[MemoryResult]) -> None:
    idle, cut = results
    assert idle.passed, str(idle)
    assert 0 <= idle.value < 1024
    assert not cut.passed, "the limit program does not read chunks: it cannot answer the cut requests rightly"
    assert "client: " in str(cut)


def test_an_answer_that_never_comes_is_reported(tmp_path: Path) -> None:
    plan, port = load_plan(), free_port()
    expected = plan.scenarios["hello"]
    closing = replace(expected, answer=Answer(text="something else"), limit=("--close",))
    command = server_command(closing, plan.servers["limit"], Settings(limit=str(build_limit())), port, tmp_path)
    with (
        started(command, port, 0, tmp_path / "log", tmp_path),
        pytest.raises(IdleError, match="closed after"),
        idle_connections(expected, port, 3),
    ):
        pytest.fail("they were answered")


@pytest.mark.parametrize(("value", "error", "passed"), [(1024, "", True), (1025, "", False), (0, "gone", False)])
def test_a_result_passes_up_to_its_limit_and_never_with_an_error(value: int, error: str, passed: bool) -> None:
    assert MemoryResult("fastserve", "idle", value, 1024, error).passed is passed
