"""`python -m bench adopt RESULT`: a run becomes the reference that README.md and docs/performance.md show."""

import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bench.field.markdown import grid
from bench.field.publish import publish
from bench.loads.floor import FLOOR
from bench.measure.report import LOADED
from bench.measure.results import FOLDER, NAME, Result, read_result
from bench.measure.rounds import Row, find, ratio
from bench.plan import HERE, Plan

REFERENCE = FOLDER / "reference"
README, PERFORMANCE = HERE.parent / "README.md", HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"

OWN: Mapping[str, str] = {"fastserve": "", "fastserve-wsgi-8": " with 8 threads", "fastserve-wsgi-1": " with 1 thread"}
"""Ours, the first that was measured, and what is said of it; 8 threads are the default."""

SHOWN = "readme"
"""The set of README's table."""


def adopt(path: Path, plan: Plan) -> list[Path]:
    """Copies the result with its report, and writes the figures into the pages. Returns what was written.

    Raises ValueError for a result that has no figures of ours, a page without its marks, or pictures that cannot be
    drawn.
    """
    result = read_result(path)
    if not shown(result, plan):
        raise ValueError(f"{path} has none of README's scenarios: {', '.join(plan.sets[SHOWN].scenarios)}")
    pages = {
        README: replaced(README.read_text(), "figures", readme_figures(result, plan)),
        PERFORMANCE: replaced(PERFORMANCE.read_text(), "who is ahead", ahead(result, plan)),
    }
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir(parents=True)
    kept = REFERENCE / NAME
    kept.write_text(without_places(path.read_text()))
    result = read_result(kept)
    report, complaint = publish(result, plan, REFERENCE, [picture_of(name) for name in plan.sets[SHOWN].pictures])
    if complaint:
        raise ValueError(complaint)
    for page, text in pages.items():
        page.write_text(text)
    return [kept, report, *pages]


def picture_of(scenario: str) -> str:
    """The one that is kept in the reference; of the others there are the figures, and `python -m bench pictures`."""
    return f"{scenario}-cpu.svg"


def without_places(text: str) -> str:
    """A result says nothing about where the project and the temporary files of its machine are."""
    text = text.replace(f"{HERE.parent}/", "")
    return re.sub(rf"{re.escape(tempfile.gettempdir())}/bench-\w+/", "", text)


def replaced(page: str, name: str, text: str) -> str:
    """`page` with `text` between the marks of this name. Raises ValueError where it has none."""
    begin, end = BEGIN.format(name), END.format(name)
    if begin not in page or end not in page:
        raise ValueError(f"no {begin} ... {end} in the page")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"


def between(page: str, name: str) -> str:
    """What stands between the marks of this name."""
    return page.partition(BEGIN.format(name) + "\n")[2].partition("\n" + END.format(name))[0]


def shown(result: Result, plan: Plan) -> list[tuple[str, Row]]:
    """README's scenarios with the row of ours."""
    pairs = ((name, _ours(result, name)) for name in plan.sets[SHOWN].scenarios)
    return [(name, row) for name, row in pairs if row]


def readme_figures(result: Result, plan: Plan) -> str:
    """Ours beside the floor, and the cheapest and the best known of the peers, in microseconds of CPU."""
    lines = []
    for name, own in shown(result, plan):
        scenario = plan.scenarios[name]
        peers = _peers(result, plan, name)
        floor, uvicorn = find(result.rows, name, FLOOR), find(result.rows, name, "uvicorn")
        best = f"{peers[0].server} {_figure(peers[0])}" if peers else ""
        lines.append(
            [
                ("WSGI: " if OWN[own.server] else "")
                + scenario.title
                + (f", per {scenario.unit}" if scenario.unit == "MiB" else ""),
                _figure(own) + OWN[own.server],
                _figure(floor),
                _ratio(own, floor),
                best,
                _figure(uvicorn),
                _ratio(own, uvicorn),
            ]
        )
    titles = ["µs of CPU", "fastserve", "floor", "to the floor", "cheapest peer", "uvicorn", "to uvicorn"]
    pictures = ", ".join(f"[{name}](bench/results/reference/{picture_of(name)})" for name in plan.sets[SHOWN].pictures)
    return "\n\n".join([grid(titles, lines), _caveats(result), f"Pictures: {pictures}."])


def _caveats(result: Result) -> str:
    machine = result.machine
    load = machine["load_average"][0]
    loaded = load > LOADED * machine["cpus"]
    python = machine["versions"].get("fastserve", {}).get("python", "")
    state = f"which was not at rest before it (load average {load:.2f})" if loaded else "which was at rest before it"
    disturbed = [row for row in result.rows if row.disturbed]
    words = [
        f"Medians of {machine['rounds']} interleaved rounds of {machine['seconds']} s, made by `{machine['command']}`",
        f"on {machine['cpus']} cores of {machine['cpu']}, Linux {machine['kernel']}, Python {python}, {state}.",
        "The server had one core and the load the other.",
    ]
    if disturbed:
        share = f"{len(disturbed)} of {len(result.rows)} rows"
        words.append(f"In {share} something else had more than 5 % of the server's core in a round.")
    return "\n".join(words)


def ahead(result: Result, plan: Plan) -> str:
    """Each scenario in which a peer costs less than we do, whether it passes the gate or not, with the reason."""
    reasons = tomllib.loads((HERE / "reasons.toml").read_text())
    lines = []
    for name in plan.scenarios:
        own = _ours(result, name)
        for peer in _peers(result, plan, name) if own else ():
            if own and peer.cpu_us < own.cpu_us:
                reason = reasons.get(name, {}).get(peer.server) or reasons["any"].get(peer.server, reasons["other"])
                mark = " (has not passed the gate)" if peer.server in result.failing else ""
                lines.append([name, f"{peer.server}{mark}", f"{peer.cpu_us / own.cpu_us:.2f}", reason])
    if not lines:
        return "In no scenario of the reference is a peer ahead."
    return grid(["scenario", "ahead", "of our CPU time", "because"], lines, "---")


def _ours(result: Result, name: str) -> Row | None:
    rows = (find(result.rows, name, server) for server in OWN)
    return next((row for row in rows if row and row.cpu_us), None)


def _peers(result: Result, plan: Plan, name: str) -> list[Row]:
    """Those that have figures without errors, the cheapest first."""
    peers = {
        server.name for server in plan.servers.values() if server.peer and (server.interface or server.name == "picows")
    }
    rows = [row for row in result.rows if row.scenario == name and row.server in peers]
    return sorted((row for row in rows if row.cpu_us and not row.errors), key=lambda row: row.cpu_us)


def _figure(row: Row | None) -> str:
    return "" if row is None or not row.cpu_us else f"{row.cpu_us:.2f}" if row.cpu_us < 100 else f"{row.cpu_us:,.0f}"


def _ratio(row: Row, reference: Row | None) -> str:
    value = ratio(row, reference)
    return "" if value is None else f"{value:.2f}"
