"""Whether the figures of one run keep what scenarios.toml promises."""

from dataclasses import dataclass

from bench.plan import Threshold
from bench.rounds import Row, find, ratio


@dataclass(frozen=True)
class Verdict:
    """One threshold against one run. `value` is None where a figure is missing."""

    threshold: Threshold
    value: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.value is not None and self.value <= self.threshold.most and not self.reason

    def __str__(self) -> str:
        t = self.threshold
        value = "-" if self.value is None else f"{self.value:.3f}"
        line = f"{'pass' if self.passed else 'FAIL'}  {t.scenario:<11} {t.server} / {t.reference}: "
        line += f"{value} (most {t.most:g})"
        return f"{line}: {self.reason}" if self.reason else line


def judge(threshold: Threshold, rows: list[Row]) -> Verdict:
    """A row with errors never passes: what was measured is not what was meant."""
    row = find(rows, threshold.scenario, threshold.server)
    reference = find(rows, threshold.scenario, threshold.reference)
    if row is None or reference is None:
        return Verdict(threshold, None, "not measured")
    errors = [f"{r.server}: {r.errors[0]}" for r in (row, reference) if r.errors]
    return Verdict(threshold, ratio(row, reference), "; ".join(errors))
