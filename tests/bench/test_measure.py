"""The harness against servers whose cost or fault is known."""

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.loads import load
from bench.loads.latency import Histogram
from bench.measure.rounds import run_rounds, summarize
from bench.measure.sample import Settings, measure
from bench.plan import Scenario, Server

pytestmark = [
    pytest.mark.alone(measures=True),
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed"),
]

GROWS_BY = 64 * 2**20  # as fake_server.py has it

Fake = Callable[[str, int], Server]
Children = Callable[[], list[int]]


@pytest.mark.parametrize("cost_us", [500, 2000])
def test_cpu_time_of_a_request_is_right(fake: Fake, scenario: Scenario, settings: Settings, cost_us: int) -> None:
    sample = measure(scenario, fake("right", cost_us * 1000), settings)
    assert sample.error == ""
    assert sample.requests > 50
    assert sample.cpu_us == pytest.approx(cost_us, rel=0.05)


def test_memory_is_that_of_the_tree_at_rest_and_under_load(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    sample = measure(scenario, fake("grows", 500_000), settings)
    assert sample.error == ""
    assert sample.rss - sample.rss_rest == pytest.approx(GROWS_BY, rel=0.05)


def test_latencies_are_those_of_the_load(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    sample = measure(scenario, fake("right", 2_000_000), settings)
    assert sample.error == ""
    assert sample.p50_us == pytest.approx(4e6 / sample.per_second, rel=0.5)  # four connections, one after the other
    assert sample.p50_us <= sample.p90_us <= sample.p99_us <= sample.p999_us
    assert list(sample.curve.values()) == sorted(sample.curve.values())
    assert (sample.curve["90"], sample.curve["99.9"]) == (sample.p90_us, sample.p999_us)


def test_latencies_that_wrk_does_not_find_are_none(
    fake: Fake, scenario: Scenario, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "percentile", lambda _histogram, percent: 0 if percent == 99.9 else 10)
    sample = measure(replace(scenario, script="histogram.lua"), fake("right", 1_000_000), settings)
    assert sample.error == ""
    assert sample.p50_us == sample.p999_us == 0
    assert set(sample.curve.values()) == {0}


def test_a_unit_smaller_than_a_request_divides_its_cost(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    tenths = Scenario(**{**vars(scenario), "unit": "tenth", "units": 10})
    sample = measure(tenths, fake("right", 2_000_000), settings)
    assert sample.error == ""
    assert sample.cpu_us == pytest.approx(200, rel=0.05)
    assert sample.per_second == pytest.approx(10 * sample.requests, rel=0.3)


@pytest.mark.parametrize(("mode", "why"), [("wrong", "other bytes"), ("short", "5 bytes in place of 13")])
def test_a_server_that_answers_wrongly_is_refused(
    fake: Fake, scenario: Scenario, settings: Settings, mode: str, why: str
) -> None:
    sample = measure(scenario, fake(mode, 0), settings)
    assert why in sample.error
    assert sample.requests == 0
    assert sample.cpu_us == 0


def test_errors_under_load_mark_the_row(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    sample = measure(scenario, fake("error", 1_000_000), settings)
    assert "status errors" in sample.error
    assert summarize([sample])[0].errors == [sample.error]


def test_a_server_that_dies_under_load_is_reported(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    assert "ended with status 3" in measure(scenario, fake("dies", 100_000), settings).error


def test_a_server_that_does_not_start_is_reported_with_its_last_words(scenario: Scenario, settings: Settings) -> None:
    server = Server("broken", ("/bin/sh", "-c", "echo no such module; exit 7"))
    error = measure(scenario, server, settings).error
    assert "ended with status 7" in error
    assert "no such module" in error


def test_missing_access_log_lines_are_reported(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    server = Server(**{**vars(fake("right", 1_000_000)), "access_log": "{log}"})
    assert "0 lines in the access log" in measure(scenario, server, settings).error


def test_a_result_does_not_say_where_the_project_is(fake: Fake, scenario: Scenario, settings: Settings) -> None:
    sample = measure(scenario, fake("right", 1_000_000), settings)
    assert "tests/bench/fake_server.py" in sample.command
    assert "bench/loads/wrk/report.lua" in sample.load_command


def test_rounds_interleave_and_leave_no_process_behind(
    fake: Fake, scenario: Scenario, settings: Settings, children: Children
) -> None:
    before = children()
    servers = [fake("right", 1_000_000), fake("dies", 100_000)]
    samples = run_rounds([(scenario, servers)], settings, 2, lambda _: None)
    assert [sample.server for sample in samples] == ["fake-right", "fake-dies", "fake-right", "fake-dies"]
    assert children() == before
    right, dies = summarize(samples)
    assert right.cpu_least <= right.cpu_us <= right.cpu_most
    assert right.errors == []
    assert len(dies.errors) == 2


def test_a_script_with_a_histogram_counts_every_request_once(
    fake: Fake, scenario: Scenario, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def percentile(histogram: Histogram, _percent: float) -> int:
        seen.append(sum(histogram.values()))
        return 1

    monkeypatch.setattr(load, "percentile", percentile)
    sample = measure(replace(scenario, script="histogram.lua"), fake("right", 1_000_000), settings)
    assert sample.error == ""
    assert sample.p99_us == 1
    assert set(seen) == {sample.requests}
