"""Whether the figures of one run keep what scenarios.toml promises."""

from dataclasses import dataclass

from bench.measure.rounds import Row, find, ratio
from bench.plan import Threshold


@dataclass(frozen=True)
class Verdict:
    """One threshold against one run. `value` is None where a figure is missing."""

    threshold: Threshold
    value: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        if self.value is None or self.reason:
            return False
        t = self.threshold
        return (t.most is None or self.value <= t.most) and (t.least is None or self.value >= t.least)

    def __str__(self) -> str:
        t = self.threshold
        line = f"{'pass' if self.passed else 'FAIL'}  {t.scenario:<11} {t.server}"
        line += f" / {t.reference}" if t.reference else ""
        line += f" in {t.reference_scenario}" if t.reference_scenario else ""
        line += "" if t.figure == "cpu_us" else f", {t.figure}"
        value = "-" if self.value is None else f"{self.value:.3f}" if t.reference else f"{self.value:,.0f}"
        bound = f"most {t.most:,g}" if t.most is not None else f"least {t.least:,g}"
        line += f": {value} ({bound})"
        return f"{line}: {self.reason}" if self.reason else line


def judge(threshold: Threshold, rows: list[Row]) -> Verdict:
    """A row with errors never passes: what was measured is not what was meant."""
    named = [(threshold.scenario, threshold.server), *([threshold.against] if threshold.against else [])]
    found = [find(rows, scenario, server) for scenario, server in named]
    measured = [row for row in found if row is not None]
    if len(measured) < len(named):
        missing = next(name for name, row in zip(named, found, strict=True) if row is None)
        return Verdict(threshold, None, f"{missing[1]} was not measured in {missing[0]}")
    errors = "; ".join(f"{row.server}: {row.errors[0]}" for row in measured if row.errors)
    value = ratio(measured[0], measured[1], threshold.figure) if threshold.against else _figure(measured[0], threshold)
    return Verdict(threshold, value, errors)


def _figure(row: Row, threshold: Threshold) -> float | None:
    """None for zero: nothing was measured, and a latency of zero would pass."""
    value: float = getattr(row, threshold.figure)
    return value or None
