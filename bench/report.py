"""The table and the JSON file."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from bench.measure import Sample
from bench.plan import HERE, Interface, Scenario
from bench.rounds import Row, find, ratio

QUIET = 0.05  # share of the server's core for others that is not worth a word
REFERENCES: dict[Interface, tuple[str, str]] = {"asgi": ("limit", "uvicorn"), "wsgi": ("limit", "bjoern")}
FIGURES = ("a second", "p50 µs", "p99 µs", "RSS MiB")


def table(scenarios: list[Scenario], rows: list[Row]) -> str:
    """All scenarios that have rows, one block each; a row with errors is marked and they stand below it."""
    measured = {row.scenario for row in rows}
    blocks = [_block(scenario, rows) for scenario in scenarios if scenario.name in measured]
    noisiest = max((row.foreign for row in rows), default=0.0)
    if noisiest > QUIET:
        blocks.append(f"\nnot a quiet machine: others had up to {noisiest:.0%} of the server's core in a round")
    return "\n".join(blocks)


def machine_lines(machine: dict[str, Any]) -> str:
    """Where the figures come from: the machine, and the versions of each server with its Python."""
    load_average = machine["load_average"][0]
    lines = [f"{machine['cpu']}, Linux {machine['kernel']}, load average {load_average:.2f} before the run"]
    for server, versions in machine["versions"].items():
        lines.append(f"{server}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(lines)


def progress_line(sample: Sample) -> str:
    figure = f"{sample.cpu_us:10.2f} µs" if sample.cpu_us else " " * 9 + "-   "
    return f"  {sample.scenario:<11} {sample.server:<22} {figure}  {sample.error}".rstrip()


def write_json(path: Path | None, machine: dict[str, Any], rows: list[Row], samples: list[Sample]) -> Path:
    """Write everything that a table was made from; to bench/results/<time>.json where no path is given."""
    path = path or HERE / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine,
        "rows": [dataclasses.asdict(row) for row in rows],
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSON file that `write_json` has written."""
    return [Row(**row) for row in json.loads(path.read_text())["rows"]]


def _block(scenario: Scenario, rows: list[Row]) -> str:
    references = REFERENCES[scenario.interface]
    columns = ("server", "CPU µs", "least", "most", *(f"/{name}" for name in references), *FIGURES)
    head = "{:<24}" + "{:>11}" * (len(columns) - 1)
    lines = [f"\n{scenario.name}: {scenario.title} (CPU time for one {scenario.unit})", head.format(*columns)]
    for row in (row for row in rows if row.scenario == scenario.name):
        name = row.server + (" !" if row.errors else "")
        cells = _figures(row, rows, references) if row.cpu_us else ["-"] * (len(columns) - 1)
        lines.append(head.format(name, *cells))
        lines += [f"    ! {error}" for error in dict.fromkeys(row.errors)]
    return "\n".join(lines)


def _figures(row: Row, rows: list[Row], references: tuple[str, ...]) -> list[str]:
    ratios = [ratio(row, find(rows, row.scenario, reference)) for reference in references]
    return [
        f"{row.cpu_us:.2f}",
        f"{row.cpu_least:.2f}",
        f"{row.cpu_most:.2f}",
        *("-" if value is None else f"{value:.3f}" for value in ratios),
        f"{row.per_second:,.0f}",
        *("-" if not latency else f"{latency:,.0f}" for latency in (row.p50_us, row.p99_us)),
        f"{row.rss / 2**20:.1f}",
    ]
