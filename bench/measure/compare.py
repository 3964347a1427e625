"""Two runs beside each other: what has changed in CPU time per unit, and whether that is more than their rounds differ.

Absolute times of two runs on a shared machine differ by what else ran there. What a server costs beside the limit
program in the same round does so much less, as a slow minute slows both: `bench check --against` judges that.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.loads.floor import FLOOR
from bench.measure.report import load_warning
from bench.measure.results import Result
from bench.measure.rounds import DISTURBED

ALLOWED = 0.05  # of the CPU time, beyond the spread
FEWEST_ROUNDS = 2  # one has no spread

Costs = Callable[[Result, str, str], list[float]]


@dataclass(frozen=True)
class Spread:
    """What the rounds of one run have given."""

    values: list[float]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def width(self) -> float:
        """From the least to the most, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median

    def overlaps(self, other: "Spread") -> bool:
        return min(self.values) <= max(other.values) and min(other.values) <= max(self.values)


@dataclass(frozen=True)
class Change:
    """One server in one scenario, in both runs; each has a round at least."""

    scenario: str
    server: str
    before: Spread
    after: Spread

    @property
    def value(self) -> float:
        """0.1 is a tenth more than before."""
        return self.after.median / self.before.median - 1

    @property
    def spread(self) -> float:
        return max(self.before.width, self.after.width)

    @property
    def enough(self) -> bool:
        return min(len(self.before.values), len(self.after.values)) >= FEWEST_ROUNDS

    @property
    def telling(self) -> bool:
        return self.enough and not self.before.overlaps(self.after) and abs(self.value) > self.spread

    @property
    def verdict(self) -> str:
        if not self.enough:
            return "one round tells nothing"
        return ("dearer" if self.value > 0 else "cheaper") if self.telling else "no difference"


@dataclass(frozen=True)
class Regression:
    """Whether a server has kept its CPU time beside the floor. Without a `change`, `reason` says why there is none."""

    scenario: str
    server: str
    change: Change | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.change is not None and not self.reason and self.change.value <= ALLOWED + self.change.spread

    def __str__(self) -> str:
        line = f"{'pass' if self.passed else 'FAIL'}  {self.scenario:<11} {self.server} / {FLOOR}"
        if self.change is None:
            return f"{line}: {self.reason}"
        before, after = self.change.before.median, self.change.after.median
        line += f": {before:.3f} before, {after:.3f} now, {self.change.value:+.1%}"
        line += f" (most {ALLOWED:+.0%} and a spread of {self.change.spread:.1%})"
        return f"{line}: {self.reason}" if self.reason else line


def costs(result: Result, scenario: str, server: str) -> list[float]:
    """Microseconds of CPU a unit in each round that has any."""
    return [cost for cost in _by_round(result, scenario, server) if cost]


def costs_beside_floor(result: Result, scenario: str, server: str) -> list[float]:
    """The same as a multiple of the floor's in the same round."""
    pairs = zip(_by_round(result, scenario, server), _by_round(result, scenario, FLOOR), strict=False)
    return [cost / floor for cost, floor in pairs if cost and floor]


def change(before: Result, after: Result, scenario: str, server: str, costs: Costs) -> Change | None:
    """None where a run has no figure."""
    values = [costs(result, scenario, server) for result in (before, after)]
    return Change(scenario, server, Spread(values[0]), Spread(values[1])) if all(values) else None


def compare(before: Result, after: Result) -> str:
    """A table of all servers of both runs, and what else differs between them."""
    head = "{:<12}{:<22}{:>24}{:>24}{:>9}{:>9}  {}"
    lines = [head.format("scenario", "server", "before, CPU µs", "after, CPU µs", "change", f"/{FLOOR}", "")]
    disturbed = {(row.scenario, row.server) for row in [*before.rows, *after.rows] if row.disturbed}
    for scenario, server in _pairs(before, after):
        own = change(before, after, scenario, server, costs)
        if own is None:
            lines.append(head.format(scenario, server, *_sides(before, after, scenario, server), "", "", "").rstrip())
            continue
        beside = change(before, after, scenario, server, costs_beside_floor) if server != FLOOR else None
        share = f"{beside.value:+.1%}" if beside else "-"
        verdict = own.verdict + (" ~" if (scenario, server) in disturbed else "")
        cells = (_text(own.before), _text(own.after), f"{own.value:+.1%}", share, verdict)
        lines.append(head.format(scenario, server, *cells))
    if disturbed:
        lines.append(f"~ disturbed: others had more than {DISTURBED:.0%} of the server's core in a round")
    for when, result in (("before", before), ("after", after)):
        lines += [f"{when}: {warning}" for warning in [load_warning(result.machine)] if warning]
    return "\n".join([*lines, *differences(before.machine, after.machine)])


def regressions(before: Result, after: Result, servers: Iterable[str], scenarios: Iterable[str]) -> list[Regression]:
    """One for each of the servers in each of the scenarios that `before` has figures of, beside its floor."""
    wanted = [(scenario, server) for scenario in scenarios for server in servers if server != FLOOR]
    return [
        _regression(before, after, scenario, server)
        for scenario, server in wanted
        if costs_beside_floor(before, scenario, server)
    ]


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What of the machines and versions is not the same, a line each."""
    for name in ("cpu", "cpus", "system", "kernel", "wrk", "h2load", "seconds", "warm", "rounds"):
        if before.get(name) != after.get(name):
            yield f"{name}: {before.get(name)} before, {after.get(name)} after"
    for server, versions in before["versions"].items():
        now = after["versions"].get(server, versions)
        for name in versions:
            if versions[name] != now.get(name):
                yield f"{server}: {name} {versions[name]} before, {now.get(name)} after"


def _regression(before: Result, after: Result, scenario: str, server: str) -> Regression:
    found = change(before, after, scenario, server, costs_beside_floor)
    if found is None:
        return Regression(scenario, server, reason="was not measured beside the floor")
    if not found.enough:
        return Regression(scenario, server, found, found.verdict)
    named = (server, FLOOR)
    errors = [s.error for s in after.samples if s.scenario == scenario and s.server in named and s.error]
    return Regression(scenario, server, found, errors[0] if errors else "")


def _by_round(result: Result, scenario: str, server: str) -> list[float]:
    """With a zero for a round that failed."""
    return [sample.cpu_us for sample in result.samples if (sample.scenario, sample.server) == (scenario, server)]


def _pairs(before: Result, after: Result) -> list[tuple[str, str]]:
    return list(dict.fromkeys((sample.scenario, sample.server) for sample in [*before.samples, *after.samples]))


def _sides(before: Result, after: Result, scenario: str, server: str) -> list[str]:
    values = [costs(result, scenario, server) for result in (before, after)]
    return [_text(Spread(each)) if each else "-" for each in values]


def _text(spread: Spread) -> str:
    return f"{spread.median:.2f} ({min(spread.values):.2f} – {max(spread.values):.2f})"
