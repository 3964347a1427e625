"""Interleaved rounds and their medians."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.measure.sample import Sample, Settings, measure
from bench.plan import Figure, Scenario, Server

DISTURBED = 0.05  # share of the server's core; a quiet machine has 0.01
LATENCIES = ("p50_us", "p90_us", "p99_us", "p999_us")
FIGURES = ("cpu_us", "per_second", *LATENCIES, "rss_rest", "rss", "start_ms", "idle_bytes")


@dataclass(frozen=True)
class Row:
    """One server in one scenario: the medians of its rounds, and in `ranges` the least and the most of each figure.

    `foreign` is the largest share of the server's core that anything else had during a round.
    """

    scenario: str
    server: str
    cpu_us: float
    per_second: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    rss_rest: float
    rss: float
    start_ms: float
    idle_bytes: float
    ranges: dict[str, tuple[float, float]]
    curve: dict[str, float]
    foreign: float
    rounds: int
    errors: list[str]

    @property
    def cpu_least(self) -> float:
        return self.ranges["cpu_us"][0]

    @property
    def cpu_most(self) -> float:
        return self.ranges["cpu_us"][1]

    @property
    def disturbed(self) -> bool:
        return self.foreign > DISTURBED


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


def _middle(name: str, values: list[float]) -> float:
    """The median; of latencies none where a round has none, as it would be that of other rounds."""
    return 0.0 if name in LATENCIES and not all(values) else median(values)


def _row(group: list[Sample]) -> Row:
    measured = [sample for sample in group if sample.cpu_us] or group
    figures = {name: [getattr(sample, name) for sample in measured] for name in FIGURES}
    curves = [sample.curve for sample in measured if sample.curve]
    return Row(
        scenario=group[0].scenario,
        server=group[0].server,
        **{name: _middle(name, values) for name, values in figures.items()},
        ranges={name: (min(values), max(values)) for name, values in figures.items()},
        curve={point: median(curve[point] for curve in curves) for point in (curves[0] if curves else ())},
        foreign=max(sample.foreign for sample in measured),
        rounds=len(group),
        errors=[sample.error for sample in group if sample.error],
    )
