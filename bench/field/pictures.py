"""Pictures of a run, by matplotlib: CPU time as bars with the floor as a line, and latencies by percentile."""

import importlib
import math
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from bench.loads.floor import FLOOR
from bench.measure.results import Result
from bench.measure.rounds import Row, find
from bench.plan import Scenario

KINDS = ("svg", "png")
MISSING = "no pictures: matplotlib is not installed (pip install -r bench/requirements.txt)"
BLUE, GREY, RED = "#2a6f97", "#a3b1bb", "#b3392f"
OWN = "fastserve"


class PicturesError(Exception):
    """There can be no pictures; the message says what to do."""


def draw(
    result: Result, scenarios: Iterable[Scenario], folder: Path, only: Container[str] | None = None
) -> dict[str, list[Path]]:
    """Two pictures for each scenario that has figures, each in all KINDS, by scenario; of these `only` some file names.

    Raises PicturesError.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
        figure = importlib.import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise PicturesError(MISSING) from error
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, list[Path]] = {}
    with matplotlib.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 10}):
        for scenario in scenarios:
            rows = [row for row in result.rows if row.scenario == scenario.name and row.cpu_us]
            stem = folder / scenario.name
            if servers := bars(rows):
                picture = _draw_bars(figure, scenario, servers, find(rows, scenario.name, FLOOR))
                paths.setdefault(scenario.name, []).extend(_save(picture, f"{stem}-cpu", only))
            if lines := curves(rows):
                picture = _draw_curves(figure, scenario, lines)
                paths.setdefault(scenario.name, []).extend(_save(picture, f"{stem}-latency", only))
    return paths


def bars(rows: Iterable[Row]) -> list[Row]:
    """The servers from the cheapest to the dearest, without the floor, which is a line."""
    return sorted((row for row in rows if row.cpu_us and row.server != FLOOR), key=lambda row: row.cpu_us)


def curves(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    """For each server its latencies in milliseconds over nines: 1 is p90, 2 p99, 3 p99.9. The largest has no place."""
    found = {}
    for row in rows:
        points = [(float(percent), value / 1000) for percent, value in row.curve.items() if float(percent) < 100]
        if points and all(latency for _, latency in points):
            found[row.server] = [(-math.log10(1 - percent / 100), latency) for percent, latency in points]
    return found


def _draw_bars(figure: Any, scenario: Scenario, rows: list[Row], floor: Row | None) -> Any:
    picture = figure(figsize=(8, 1.8 + 0.4 * len(rows)), layout="constrained")
    axes = picture.add_subplot()
    middles = [row.cpu_us for row in rows]
    around = [[row.cpu_us - row.cpu_least for row in rows], [row.cpu_most - row.cpu_us for row in rows]]
    colours = [BLUE if row.server.startswith(OWN) else GREY for row in rows]
    axes.barh([row.server for row in rows], middles, xerr=around, color=colours, capsize=2)
    for place, row in enumerate(rows):
        colour = "white" if colours[place] == BLUE else "black"
        axes.annotate(f"{row.cpu_us:.2f}", (0, place), (4, 0), textcoords="offset points", va="center", color=colour)
    if floor:
        axes.axvline(floor.cpu_us, color=RED, linestyle="--", label=f"floor: {floor.cpu_us:.2f} µs")
        picture.legend(loc="outside lower right")
    axes.invert_yaxis()
    axes.set_xlabel(f"µs of CPU per {scenario.unit}, median with least and most; less is better")
    axes.set_title(f"{scenario.name}: {scenario.title}", fontsize=10)
    return picture


def _draw_curves(figure: Any, scenario: Scenario, lines: dict[str, list[tuple[float, float]]]) -> Any:
    picture = figure(figsize=(8, 4.5), layout="constrained")
    axes = picture.add_subplot()
    for server, points in lines.items():
        width = 2.2 if server.startswith(OWN) else 1.2
        axes.plot(*zip(*points, strict=True), label=server, linewidth=width, linestyle=":" if server == FLOOR else "-")
    axes.set_xticks([-math.log10(0.5), 1, 2, 3, 4], ["p50", "p90", "p99", "p99.9", "p99.99"])
    axes.set_yscale("log")
    axes.set_ylabel("latency in ms at full load; less is better")
    axes.set_title(f"{scenario.name}: {scenario.title}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return picture


def _save(picture: Any, stem: str, only: Container[str] | None) -> list[Path]:
    paths = [path for path in (Path(f"{stem}.{kind}") for kind in KINDS) if only is None or path.name in only]
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None  # the same figures make the same file
        picture.savefig(path, dpi=120, metadata=metadata)
    return paths
