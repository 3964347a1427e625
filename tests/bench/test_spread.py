"""How connections spread: the model, what the kernel does, and two workers of ours."""

import re
import shutil
from pathlib import Path
from random import Random

import pytest

from bench.field.spread import spread_table
from bench.measure import spread as measured
from bench.measure.sample import Settings, measure
from bench.measure.spread import kernel_spread, measure_spread
from bench.measure.spread_model import (
    MARGIN,
    POLICIES,
    SHARE,
    evenly,
    handing_over,
    outcome,
    percentile,
    queues,
    simulate,
    spread,
)
from bench.plan import load_plan

PLAN = load_plan()
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_connection_is_lost(policy: str) -> None:
    counts, moved = spread(8, 100, POLICIES[policy], Random(1))
    assert sum(counts) == 100
    assert 0 <= moved < 1
    assert moved == 0 or policy == "handing over"


def test_evenly_is_even() -> None:
    assert set(spread(8, 64, evenly, Random(1))[0]) == {8}


@pytest.mark.parametrize(
    ("own", "other", "worker"), [(3, 0, 0), (4, 0, 0), (5, 0, 1), (36, 32, 0), (37, 32, 1), (67, 60, 0), (68, 60, 1)]
)
def test_a_connection_is_handed_over_to_who_has_clearly_fewer(own: int, other: int, worker: int) -> None:
    class First(Random):
        def random(self) -> float:
            return 0.0  # the first worker accepts

    assert handing_over([own, other], First()) == (worker, worker == 1)


def test_the_rule_is_that_of_the_core() -> None:
    source = (ROOT / "ext" / "core" / "kernel" / "sibling.pxi").read_text()
    found = dict(re.findall(r"(SPREAD_\w+) = (\d+)", source))
    assert found == {"SPREAD_MARGIN": str(MARGIN), "SPREAD_SHARE": str(SHARE)}


def test_a_queue_waits_as_the_theory_has_it() -> None:
    latencies = queues([1000] * 100, 1000, Random(1))
    assert percentile(latencies, 50) == pytest.approx(2.31, rel=0.05)  # M/M/1: ln 2 / 0.3
    assert percentile(latencies, 99) == pytest.approx(15.35, rel=0.05)  # ln 100 / 0.3


def test_a_worker_without_connections_has_no_requests() -> None:
    assert queues([0, 0], 1, Random(1)) == []


def test_an_outcome_is_the_same_again() -> None:
    assert outcome(8, 8, "handing over") == outcome(8, 8, "handing over")


def test_the_page_has_what_the_model_gives() -> None:
    assert spread_table(simulate()) in (ROOT / "docs" / "performance.md").read_text()


def test_the_kernel_gives_every_connection_to_one_socket() -> None:
    found = kernel_spread(4, 16)
    assert (len(found.counts), sum(found.counts)) == (4, 64)
    assert 1 <= found.most <= 4
    assert "64 connections: " in str(found)


def test_our_workers_are_about_even_and_all_are_counted_without_handing_over_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measured, "COUNTS", (256,))
    (balanced,) = measure_spread(PLAN, PLAN.servers["fastserve-2"], Settings())
    (by_hash,) = measure_spread(PLAN, PLAN.servers["fastserve-2-kernel"], Settings())
    assert (balanced.error, by_hash.error) == ("", "")
    assert sum(balanced.counts) == sum(by_hash.counts) == 256
    assert by_hash.counts[1] > 64  # both workers were there: the kernel's die has a deviation of 8
    assert balanced.counts[0] - balanced.counts[1] <= 48


def test_a_server_that_does_not_start_is_an_error() -> None:
    (found,) = measure_spread(PLAN, PLAN.servers["limit"], Settings(limit="/bin/false"))
    assert "server ended with status 1" in str(found)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_scenario_may_have_every_core() -> None:
    sample = measure(PLAN.scenarios["two-cores"], PLAN.servers["fastserve-2"], Settings(seconds=1, warm=0))
    assert (sample.error, sample.requests > 0, sample.foreign) == ("", True, 0.0)
