"""How many connections each worker gets, and what a request waits there: a model, the same each time it is run.

The kernel's hash is as good as a die (bench/measure/spread.py throws it). A worker that accepts compares itself with
its siblings as ext/core/kernel/sibling.pxi does, by open connections: who computes has hardly a request in flight. All
of the connections stay long, ask equally often, and each has been replaced once by the time that counts. A worker
serves one request at a time, for a time that is exponential with a mean of 1; UTILIZATION is what all are asked for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import fmean

MARGIN, SHARE = 4, 8  # SPREAD_MARGIN and SPREAD_SHARE
WORKERS = (8, 32, 128)
CONNECTIONS = (8, 32, 128)  # for each worker, on average
UTILIZATION = 0.7
DURATION = 4000.0  # in service times; what is overloaded waits the longer, the longer it lasts
SEEDS = 3

Choose = Callable[[list[int], Random], tuple[int, bool]]


@dataclass(frozen=True)
class Outcome:
    """Means of the seeds."""

    workers: int
    connections: int  # for each worker
    policy: str
    most: float  # of the fullest worker, as a multiple of the mean
    handed_over: float  # share of the connections
    p99: float  # from a request to its answer, in service times


def by_hash(open_now: list[int], random: Random) -> tuple[int, bool]:
    """The worker of the next connection, and whether it was handed over."""
    return int(random.random() * len(open_now)), False


def handing_over(open_now: list[int], random: Random) -> tuple[int, bool]:
    accepting, _ = by_hash(open_now, random)
    least, fewest = accepting, open_now[accepting]
    if fewest < MARGIN:
        return accepting, False
    for worker, count in enumerate(open_now):
        if fewest > count + max(MARGIN, count // SHARE):
            least, fewest = worker, count
    return least, least != accepting


def evenly(open_now: list[int], _random: Random) -> tuple[int, bool]:
    """What nobody can do better."""
    return open_now.index(min(open_now)), False


POLICIES: dict[str, Choose] = {"hash": by_hash, "handing over": handing_over, "even": evenly}


def simulate() -> list[Outcome]:
    """Every number of workers with every number of connections, by every policy."""
    return [
        outcome(workers, connections, policy)
        for workers in WORKERS
        for connections in CONNECTIONS
        for policy in POLICIES
    ]


def outcome(workers: int, connections: int, policy: str) -> Outcome:
    most, handed, latencies = [], [], []
    for seed in range(SEEDS):
        random = Random(f"{workers} {connections} {seed}")
        counts, moved = spread(workers, workers * connections, POLICIES[policy], random)
        most.append(max(counts) / connections)
        handed.append(moved)
        latencies.append(percentile(queues(counts, connections, random), 99))
    return Outcome(workers, connections, policy, fmean(most), fmean(handed), fmean(latencies))


def spread(workers: int, connections: int, choose: Choose, random: Random) -> tuple[list[int], float]:
    """How many each worker has when all are open and each place has been taken anew; the share that was handed over."""
    counts, places, moved = [0] * workers, [0] * connections, 0
    for turn in range(2):
        for place in range(connections):
            if turn:
                counts[places[place]] -= 1
            worker, was_moved = choose(counts, random)
            counts[worker] += 1
            places[place] = worker
            moved += was_moved
    return counts, moved / (2 * connections)


def queues(counts: list[int], mean: int, random: Random) -> list[float]:
    """Latencies of all requests, a queue for each worker (Lindley's recursion)."""
    latencies: list[float] = []
    for count in counts:
        now, done = 0.0, 0.0
        rate = UTILIZATION * count / mean
        while rate and (now := now + exponential(random) / rate) < DURATION:
            done = max(done, now) + exponential(random)
            latencies.append(done - now)
    return latencies


def exponential(random: Random) -> float:
    return -math.log(1 - random.random())


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
