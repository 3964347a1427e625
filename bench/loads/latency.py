"""Latencies as they were measured, out of a histogram that wrk has added to.

In wrk's view a client that waits long for an answer should have sent more requests meanwhile, and it adds the latencies
that those would have had ("coordinated omission", stats_correct in wrk's stats.c): for one of N µs those of N - E,
N - 2E and so on down to E, where E is the time between two requests of a connection. That answers how long users wait
who come without regard to each other. Where one call in a thousand takes 50 ms by design, it makes some 3 % of them
slow on any server, and p99 says nothing about the other 999.
"""

from itertools import accumulate

Histogram = dict[int, int]  # how often each latency in microseconds was there


def interval(duration_us: int, requests: int, connections: int) -> int:
    """E, as wrk has counted it; 0 where it has added nothing."""
    turns = requests // connections
    return duration_us // turns if turns else 0


def as_measured(corrected: Histogram, expected: int) -> Histogram:
    """`corrected` without what was added with the interval `expected`.

    What was added to a latency comes from longer ones, so from the longest down each count is right when it is reached.
    """
    histogram = dict(corrected)
    for latency in sorted(corrected, reverse=True):
        if not expected or latency < 2 * expected:
            break
        for added in range(latency - expected, expected, -expected):
            histogram[added] -= histogram[latency]
    return {latency: count for latency, count in histogram.items() if count}


def percentile(histogram: Histogram, percent: float) -> int:
    """The latency that `percent` of all do not exceed."""
    latencies = sorted(histogram)
    up_to = accumulate(histogram[latency] for latency in latencies)
    wanted = sum(histogram.values()) * percent / 100
    return next(latency for latency, count in zip(latencies, up_to, strict=True) if count >= wanted)


def parse(line: str) -> Histogram:
    """`value:count value:count ...`, as bench/loads/wrk/histogram.lua prints it."""
    pairs = (pair.split(":") for pair in line.split())
    return {int(latency): int(count) for latency, count in pairs}
