"""What wrk has added to its latencies is found and taken away, and nothing else."""

import random

import pytest

from bench.loads.latency import as_measured, interval, parse, percentile


def corrected(measured: dict[int, int], expected: int) -> dict[int, int]:
    """What wrk makes of them: every latency of two intervals or more adds those of the requests that were not sent."""
    histogram = dict(measured)
    for latency, count in measured.items():
        if latency >= 2 * expected:
            missed = latency - expected
            while missed > expected:
                histogram[missed] = histogram.get(missed, 0) + count
                missed -= expected
    return histogram


@pytest.mark.parametrize("seed", range(5))
def test_what_was_added_is_taken_away(seed: int) -> None:
    choose = random.Random(seed)
    measured = {choose.randrange(1, 60_000): choose.randrange(1, 100) for _ in range(500)}
    added = corrected(measured, 700)
    assert sum(added.values()) > 10 * sum(measured.values())
    assert as_measured(added, 700) == measured


def test_nothing_is_taken_from_latencies_that_wrk_leaves_alone() -> None:
    assert as_measured({10: 5, 1399: 1}, 700) == {10: 5, 1399: 1}
    assert as_measured({10: 5, 50_000: 1}, 0) == {10: 5, 50_000: 1}


def test_one_slow_call_in_a_thousand_is_not_in_p99() -> None:
    measured = {800: 99_900, 50_000: 100}
    assert percentile(corrected(measured, 800), 99) > 20_000
    assert percentile(as_measured(corrected(measured, 800), 800), 99) == 800


@pytest.mark.parametrize(("percent", "latency"), [(50, 20), (99, 30), (100, 40), (1, 10)])
def test_a_percentile_is_a_latency_that_so_many_do_not_exceed(percent: float, latency: int) -> None:
    assert percentile({40: 1, 10: 10, 20: 60, 30: 29}, percent) == latency


def test_the_interval_is_the_time_between_two_requests_of_a_connection() -> None:
    assert interval(2_019_400, 73_036, 64) == 1769
    assert interval(1_000_000, 63, 64) == 0


def test_a_histogram_is_read() -> None:
    assert parse("10:3 2000:1") == {10: 3, 2000: 1}
