"""What is published of how connections spread: the table of docs/performance.md, and a picture of it."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from bench.field.markdown import grid
from bench.field.pictures import BLUE, GREY, MISSING, RED, PicturesError
from bench.measure.spread_model import CONNECTIONS, POLICIES, WORKERS, Outcome

COLOURS = dict(zip(POLICIES, (GREY, BLUE, RED), strict=True))


def spread_table(outcomes: Iterable[Outcome]) -> str:
    """A line for each number of workers and of connections."""
    titles = ["workers", "connections each", "fullest: hash", "handing over", "handed over"]
    titles += ["p99: hash", "handing over", "even"]
    found = {(each.workers, each.connections, each.policy): each for each in outcomes}
    lines = []
    for workers in WORKERS:
        for connections in CONNECTIONS:
            hashed, handing, even = (found[workers, connections, policy] for policy in POLICIES)
            fullest = [f"{hashed.most:.2f}", f"{handing.most:.2f}", f"{handing.handed_over:.0%}"]
            p99 = [f"{each.p99:,.0f}" for each in (hashed, handing, even)]
            lines.append([str(workers), str(connections), *fullest, *p99])
    return grid(titles, lines)


def draw_spread(outcomes: Iterable[Outcome], path: Path) -> None:
    """p99 over the connections of a worker, a panel for each number of workers. Raises PicturesError."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        figure = importlib.import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise PicturesError(MISSING) from error
    outcomes = list(outcomes)
    with matplotlib.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 10}):
        picture = figure(figsize=(9, 3.4), layout="constrained")
        panels = picture.subplots(1, len(WORKERS), sharey=True)
        for axes, workers in zip(panels, WORKERS, strict=True):
            for policy, colour in COLOURS.items():
                own = [each for each in outcomes if (each.workers, each.policy) == (workers, policy)]
                axes.plot(
                    [each.connections for each in own],
                    [each.p99 for each in own],
                    color=colour,
                    label=policy,
                    marker="o",
                )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(CONNECTIONS, list(map(str, CONNECTIONS)))
            axes.set_title(f"{workers} workers", fontsize=10)
            axes.set_xlabel("connections for each worker")
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("p99 in service times; less is better")
        panels[-1].legend(fontsize=8)
        picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
