"""The table on the terminal: CPU time of a unit leads, the references' columns follow it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.loads.floor import FLOOR
from bench.measure.rounds import DISTURBED, Row, find, ratio
from bench.measure.sample import Sample
from bench.plan import Scenario

LOADED = 0.25  # load average for each core, before a run: what else ran has hardly ended
REFERENCES = (FLOOR, "uvicorn", "bjoern")  # what figures are put beside, where it was measured


@dataclass(frozen=True)
class Column:
    """A figure of a row, and how it is written."""

    title: str
    figure: str
    text: Callable[[float], str]


def whole(value: float) -> str:
    return f"{value:,.0f}" if value else "-"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.1f}" if value else "-"


COLUMNS = (
    Column("a second", "per_second", whole),
    Column("p50 µs", "p50_us", whole),
    Column("p90 µs", "p90_us", whole),
    Column("p99 µs", "p99_us", whole),
    Column("p99.9 µs", "p999_us", whole),
    Column("rest MiB", "rss_rest", mebibytes),
    Column("load MiB", "rss", mebibytes),
    Column("start ms", "start_ms", whole),
    Column("idle B", "idle_bytes", whole),
)


def table(scenarios: list[Scenario], rows: list[Row], failing: frozenset[str] = frozenset()) -> str:
    """All scenarios that have rows, one block each; marks are explained and errors repeated below their rows."""
    measured = {row.scenario for row in rows}
    blocks = [_block(scenario, rows, failing) for scenario in scenarios if scenario.name in measured]
    return "\n".join([*blocks, *(f"\n{remark}" for remark in remarks(rows, failing))])


def remarks(rows: list[Row], failing: frozenset[str] = frozenset()) -> list[str]:
    """What the marks behind the names of servers say, as far as there are any; `failing` have not passed the gate."""
    disturbed = max((row.foreign for row in rows if row.disturbed), default=0.0)
    found = []
    if disturbed:
        share = f"more than {DISTURBED:.0%} of the server's core in a round, {disturbed:.0%} at the most"
        found.append(f"~ disturbed: others had {share}")
    if any(row.errors for row in rows):
        found.append("! with errors: what was measured is not what was meant")
    if any(row.server in failing for row in rows):
        found.append("x has not passed the gate: it answers wrongly where the scenario does not ask")
    return found


def marks(row: Row, failing: frozenset[str] = frozenset()) -> str:
    shown = {" !": bool(row.errors), " ~": row.disturbed, " x": row.server in failing}
    return "".join(mark for mark, is_shown in shown.items() if is_shown)


def machine_lines(machine: dict[str, Any]) -> str:
    """Where the figures come from: the machine, and the versions of each server with its Python."""
    load_average = machine["load_average"][0]
    lines = [f"{machine['cpu']}, Linux {machine['kernel']}, load average {load_average:.2f} before the run"]
    if warning := load_warning(machine):
        lines.append(warning)
    for server, versions in machine["versions"].items():
        lines.append(f"{server}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(lines)


def load_warning(machine: dict[str, Any]) -> str:
    """Of a run on a machine that was not at rest before it."""
    bound = LOADED * machine["cpus"]
    if machine["load_average"][0] <= bound:
        return ""
    return f"LOADED MACHINE: at rest its load average is below {bound:g}; the figures are no reference"


def progress_line(sample: Sample) -> str:
    figure = f"{sample.cpu_us:10.2f} µs" if sample.cpu_us else " " * 9 + "-   "
    return f"  {sample.scenario:<11} {sample.server:<22} {figure}  {sample.error}".rstrip()


def _block(scenario: Scenario, rows: list[Row], failing: frozenset[str]) -> str:
    own = [row for row in rows if row.scenario == scenario.name]
    references = [name for name in REFERENCES if find(own, scenario.name, name)]
    titles = ("server", "CPU µs", "least", "most", *(f"/{name}" for name in references), *(c.title for c in COLUMNS))
    head = "{:<24}" + "{:>10}" * (len(titles) - 1)
    lines = [f"\n{scenario.name}: {scenario.title} (CPU time for one {scenario.unit})", head.format(*titles)]
    for row in own:
        cells = _cells(row, own, references) if row.cpu_us else ["-"] * (len(titles) - 1)
        lines.append(head.format(row.server + marks(row, failing), *cells))
        lines += [f"    ! {error}" for error in dict.fromkeys(row.errors)]
    return "\n".join(lines)


def _cells(row: Row, rows: list[Row], references: list[str]) -> list[str]:
    return [
        *(f"{value:.2f}" for value in (row.cpu_us, row.cpu_least, row.cpu_most)),
        *(ratio_text(row, find(rows, row.scenario, reference)) for reference in references),
        *(column.text(getattr(row, column.figure)) for column in COLUMNS),
    ]


def ratio_text(row: Row, reference: Row | None) -> str:
    value = ratio(row, reference)
    return "-" if value is None else f"{value:.3f}"
