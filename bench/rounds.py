"""Interleaved rounds and their medians."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.measure import Sample, Settings, measure
from bench.plan import Figure, Scenario, Server


@dataclass(frozen=True)
class Row:
    """One server in one scenario: the medians of its rounds, with the extremes of the CPU time.

    `foreign` is the largest share of the server's core that anything else had during a round.
    """

    scenario: str
    server: str
    cpu_us: float
    cpu_least: float
    cpu_most: float
    per_second: float
    p50_us: float
    p99_us: float
    rss: int
    foreign: float
    rounds: int
    errors: list[str]


def run_rounds(
    lineup: Iterable[tuple[Scenario, list[Server]]],
    settings: Settings,
    rounds: int,
    progress: Callable[[Sample], None],
    absent: Mapping[str, str] | None = None,
) -> list[Sample]:
    """Each scenario in turn, its servers A B C A B C …, so that a drift of the machine meets all of them.

    A server that is `absent` is not started: the reason is its error.
    """
    absent = absent or {}
    samples: list[Sample] = []
    for scenario, servers in lineup:
        for _ in range(rounds):
            for server in servers:
                if server.name in absent:
                    samples.append(Sample(scenario.name, server.name, error=absent[server.name]))
                else:
                    samples.append(measure(scenario, server, settings))
                progress(samples[-1])
    return samples


def summarize(samples: list[Sample]) -> list[Row]:
    """One row for each scenario and server, in the order of the samples."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.server), []).append(sample)
    return [_row(group) for group in groups.values()]


def find(rows: list[Row], scenario: str, server: str) -> Row | None:
    return next((row for row in rows if (row.scenario, row.server) == (scenario, server)), None)


def ratio(row: Row, reference: Row | None, figure: Figure = "cpu_us") -> float | None:
    """A figure of `row` to that of `reference`, or None where one of them has none."""
    if reference is None or not getattr(row, figure) or not getattr(reference, figure):
        return None
    value: float = getattr(row, figure) / getattr(reference, figure)
    return value


def _row(group: list[Sample]) -> Row:
    measured = [sample for sample in group if sample.cpu_us] or group
    cpu = [sample.cpu_us for sample in measured]
    return Row(
        scenario=group[0].scenario,
        server=group[0].server,
        cpu_us=median(cpu),
        cpu_least=min(cpu),
        cpu_most=max(cpu),
        per_second=median(sample.per_second for sample in measured),
        p50_us=median(sample.p50_us for sample in measured),
        p99_us=median(sample.p99_us for sample in measured),
        rss=round(median(sample.rss for sample in measured)),
        foreign=max(sample.foreign for sample in measured),
        rounds=len(group),
        errors=[sample.error for sample in group if sample.error],
    )
