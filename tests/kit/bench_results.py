"""Results as a run makes them, of figures that a test chooses."""

from typing import Any

from bench.measure.results import Result
from bench.measure.sample import Sample

MACHINE: dict[str, Any] = {
    "command": "python -m bench",
    "time": "2026-01-01T00:00:00+00:00",
    "project": "0123456789ab",
    "system": "Debian",
    "kernel": "6.1",
    "cpu": "Some CPU",
    "cpus": 2,
    "memory": 2**33,
    "server_core": 0,
    "load_core": 1,
    "load_average": [0.1, 0.1, 0.1],
    "wrk": "wrk 4.1.0 [epoll]",
    "h2load": "h2load nghttp2/1.52.0",
    "seconds": 3,
    "warm": 1,
    "rounds": 3,
    "versions": {"fastserve": {"python": "3.11.7", "fastserve": "0.1.0"}},
}


def sample(server: str, cpu_us: float, error: str = "", scenario: str = "hello", **figures: Any) -> Sample:
    return Sample(scenario, server, cpu_us=cpu_us, error=error, **figures)


def result(costs: dict[str, list[float]], machine: dict[str, Any] | None = None, scenario: str = "hello") -> Result:
    """The costs of each server by round, in the order in which rounds interleave."""
    rounds = zip(*costs.values(), strict=True)
    samples = [sample(name, cost, scenario=scenario) for turn in rounds for name, cost in zip(costs, turn, strict=True)]
    return Result(MACHINE | (machine or {}), samples)
