"""report.md: everything that a reader needs to judge a run, and to make it again."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from bench.measure.report import COLUMNS, REFERENCES, Column, load_warning, marks, ratio_text, remarks
from bench.measure.results import Result
from bench.measure.rounds import Row, find
from bench.plan import Duty, Plan, Scenario

NONE: Mapping[str, Iterable[str]] = MappingProxyType({})
METHOD = """\
Medians, with the least and the most of the rounds behind them. CPU time is that of the server's whole process tree;
resident memory is that of the tree before any load, and in the middle of it. Latencies are those at full load."""

GATE = """\
What every server is asked before it is measured: a pipelined request in two segments, HEAD, two Cookie fields, a line
break in a header value of the application's, an exception in mid-stream, half-sent heads beside other clients."""
DUTIES = """\
What a server does in this run beside answering, and what it leaves out. Deadlines are those for silent, slow and
stalled clients, limits those of head and body; a reload is a new application without a lost request."""


def markdown(result: Result, plan: Plan, pictures: Mapping[str, Iterable[str]] = NONE, remark: str = "") -> str:
    """`pictures` are file names beside the report, by scenario; the `remark` is on them."""
    rows = result.rows
    measured = list(dict.fromkeys(row.scenario for row in rows))
    scenarios = [scenario for scenario in plan.scenarios.values() if scenario.name in measured]
    unknown = ", ".join(name for name in measured if name not in plan.scenarios)
    parts = [
        "# CPU time per request",
        _machine(result.machine),
        remark,
        *(_scenario(each, rows, result.failing, pictures.get(each.name, ())) for each in scenarios),
        f"Not shown, as bench/scenarios.toml has them no more: {unknown}." if unknown else "",
        _gates(result),
        _duties(plan.duties, list(dict.fromkeys(row.server for row in rows))),
        _versions(result.machine),
        _commands(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(titles: Sequence[str], lines: Iterable[Sequence[str]], align: str = "---:") -> str:
    """A Markdown table; `align` is that of all columns but the first."""
    heads = [titles, ["---", *[align] * (len(titles) - 1)]]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in [*heads, *lines])


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _machine(machine: dict[str, Any]) -> str:
    loads = [machine["wrk"].partition(" Copyright")[0], machine.get("h2load", "")]
    where = [
        machine["cpu"],
        f"{machine['cpus']} cores",
        f"{machine['memory'] / 2**30:.1f} GiB",
        machine["system"],
        f"Linux {machine['kernel']}",
        f"load average before the run {machine['load_average'][0]:.2f}",
    ]
    how = [
        f"server on core {machine['server_core']}",
        f"load on core {machine['load_core']} by {' or '.join(filter(None, loads))}",
        f"{machine['rounds']} interleaved rounds of {machine['seconds']} s after {machine['warm']} s of warm-up",
    ]
    paragraphs = [
        f"{machine['time']}, fastserve at `{machine['project'] or 'unknown'}`: `{machine['command']}`",
        f"{', '.join(where)}; {', '.join(how)}.",
        f"**{warning}**" if (warning := load_warning(machine)) else "",
        METHOD,
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _scenario(scenario: Scenario, rows: list[Row], failing: frozenset[str], pictures: Iterable[str]) -> str:
    own = [row for row in rows if row.scenario == scenario.name]
    references = [name for name in REFERENCES if find(own, scenario.name, name)]
    titles = ["server", f"CPU µs per {scenario.unit}", *(f"/ {name}" for name in references)]
    titles += [column.title for column in COLUMNS]
    lines = [[row.server + marks(row, failing), *_figures(row, own, references)] for row in own]
    errors = [f"- {row.server}: {error}" for row in own for error in dict.fromkeys(row.errors)]
    shown = [f"![{scenario.name}]({name})" for name in pictures]
    parts = [
        f"## {scenario.name}",
        scenario.title,
        grid(titles, lines),
        *remarks(own, failing),
        "\n".join(errors),
        *shown,
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(row: Row, rows: list[Row], references: list[str]) -> list[str]:
    if not row.cpu_us:
        return ["-"] * (1 + len(references) + len(COLUMNS))
    ratios = [ratio_text(row, find(rows, row.scenario, reference)) for reference in references]
    return [_spread(row, _CPU), *ratios, *(_spread(row, column) for column in COLUMNS)]


def _spread(row: Row, column: Column) -> str:
    middle, least, most = (column.text(value) for value in (getattr(row, column.figure), *row.ranges[column.figure]))
    return middle if least == most or middle == "-" else f"{middle} ({least} – {most})"


_CPU = Column("CPU µs", "cpu_us", "{:.2f}".format)


def _gates(result: Result) -> str:
    """What stands under `x`, and who has none."""
    lines = []
    for gate in result.gates:
        wrong = {f"crashed at {check}": what for check, what in gate.crashed.items()} | gate.failed
        words = [gate.error] if gate.error else [f"{check}: {what}" for check, what in wrong.items()]
        lines.append([gate.server, "; ".join(words) or "passed"])
    return f"## Gate\n\n{GATE}\n\n{grid(['server', 'failed'], lines, '---')}" if lines else ""


def _duties(duties: Mapping[str, Duty], servers: list[str]) -> str:
    """What each server does beside answering; whoever does less is faster for it."""
    kept = [field.name for field in fields(Duty)]
    lines = [[server, *(getattr(duties[server], name) for name in kept)] for server in servers if server in duties]
    titles = ["server", *(name.replace("_", " ") for name in kept)]
    return f"## Duties\n\n{DUTIES}\n\n{grid(titles, lines, '---')}" if lines else ""


def _versions(machine: dict[str, Any]) -> str:
    lines = [
        [server, ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())]
        for server, versions in machine["versions"].items()
    ]
    return "## Versions\n\n" + grid(["server", "versions"], lines, "---") if lines else ""


def _commands(result: Result) -> str:
    """One of each server and one of each scenario's load; ports and temporary folders are those of its measurement."""
    servers: dict[str, list[str]] = {}
    loads: dict[str, list[str]] = {}
    for sample in result.samples:
        if sample.command:
            servers.setdefault(sample.server, sample.command)
        if sample.load_command:
            loads.setdefault(sample.scenario, sample.load_command)
    lists = ["\n".join(f"- {name}: `{shlex.join(words)}`" for name, words in each.items()) for each in (servers, loads)]
    return "## Command lines\n\n" + "\n\n".join(lists) if servers else ""
