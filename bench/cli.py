"""`python -m bench`: run (the default), check, memory, slow and peers."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from bench.floor import build_limit
from bench.load import LoadError, find_wrk
from bench.machine import describe
from bench.measure import Sample, Settings
from bench.memory import measure_memory
from bench.peers import PYTHON as PEER_PYTHON
from bench.peers import build_peers, missing, up_to_date
from bench.plan import DEFAULT_SERVERS, Plan, Scenario, Server, choose, load_plan, participants
from bench.report import machine_lines, progress_line, read_rows, table, write_json
from bench.rounds import Row, run_rounds, summarize
from bench.slow import measure_slow
from bench.thresholds import judge

SLOW_SERVERS = ("fastserve-wsgi-1", "fastserve-wsgi-8")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when all went well, 1 when a row has errors or a threshold is missed, 2 when nothing could run."""
    for number in (signal.SIGTERM, signal.SIGINT):  # unwinds, so that every server is stopped
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    options = _parser().parse_args(arguments)
    try:
        plan = load_plan()
        if options.action == "peers":
            return 1 if _build_peers(options) else 0
        if options.action == "check":
            return _check(plan, options)
        if options.action == "memory":
            return _memory(plan, options)
        if options.action == "slow":
            return _slow(plan, options)
        return _run(plan, options)
    except (LoadError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "check", "memory", "slow", "peers"), default="run")
    parser.add_argument("--scenarios", type=_names, help="comma-separated; all by default")
    parser.add_argument(
        "--servers", type=_names, help=f"comma-separated; the scenario's own, or {','.join(DEFAULT_SERVERS)} by default"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of load in each measurement")
    parser.add_argument("--warm", type=int, default=1, help="seconds of load before each measurement")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has fastserve installed")
    parser.add_argument("--peer-python", default=str(PEER_PYTHON), help="interpreter that has the peers installed")
    parser.add_argument("--json", type=Path, help="where the result is written; bench/results/<time>.json by default")
    parser.add_argument("--results", type=Path, help="check: judge this JSON file in place of a new run")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _run(plan: Plan, options: argparse.Namespace) -> int:
    rows = _measure(plan, options, options.servers)
    return 1 if any(row.errors for row in rows) else 0


def _check(plan: Plan, options: argparse.Namespace) -> int:
    rows = read_rows(options.results) if options.results else _measure(plan, options, None)
    scenarios = options.scenarios or list(plan.scenarios)
    verdicts = [judge(threshold, rows) for threshold in plan.thresholds if threshold.scenario in scenarios]
    print("\n" + "\n".join(map(str, verdicts)))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _memory(plan: Plan, options: argparse.Namespace) -> int:
    servers = choose(plan.servers, options.servers or ["fastserve"], "server")
    settings = _settings(options, servers)
    results = [result for server in servers for result in measure_memory(plan, server, settings)]
    print("\n".join(map(str, results)))
    return 0 if all(result.passed for result in results) else 1


def _slow(plan: Plan, options: argparse.Namespace) -> int:
    find_wrk()
    servers = choose(plan.servers, options.servers or list(SLOW_SERVERS), "server")
    settings = _settings(options, servers)
    results = [
        result
        for server in servers
        for result in measure_slow(plan, server, settings, options.rounds, lambda line: print(line, file=sys.stderr))
    ]
    print("\n".join(map(str, results)))
    return 0 if all(result.passed for result in results) else 1


def _measure(plan: Plan, options: argparse.Namespace, asked: list[str] | None) -> list[Row]:
    find_wrk()
    scenarios = choose(plan.scenarios, options.scenarios or list(plan.scenarios), "scenario")
    lineup = [(scenario, participants(plan, scenario, asked)) for scenario in scenarios]
    servers = list({server.name: server for _, group in lineup for server in group}.values())
    settings = _settings(options, servers)
    machine = describe(servers, settings)
    absent = missing(servers, machine["versions"])
    _fix_work(scenarios)
    samples = run_rounds(lineup, settings, options.rounds, _show, absent)
    rows = summarize(samples)
    path = write_json(options.json, machine, rows, samples)
    print("\n" + machine_lines(machine) + "\n" + table(scenarios, rows))
    print(f"\n{options.rounds} interleaved rounds, medians; all figures in {path}")
    return rows


def _settings(options: argparse.Namespace, servers: list[Server]) -> Settings:
    own = Path(options.peer_python) == PEER_PYTHON
    if any(server.peer for server in servers) and own and not up_to_date():
        _build_peers(options)
    return Settings(options.seconds, options.warm, options.python, options.peer_python, str(build_limit()))


def _build_peers(options: argparse.Namespace) -> list[str]:
    """What pip could not install is said here, and again by each row that misses it."""
    print("bench: building the peers' environment", file=sys.stderr)
    complaints = build_peers(options.python)
    print("".join(f"bench: {complaint}\n" for complaint in complaints), end="", file=sys.stderr)
    return complaints


def _fix_work(scenarios: list[Scenario]) -> None:
    """The same work for every server that computes, through the environment that they inherit."""
    if any(scenario.app == "wsgi_cpu" for scenario in scenarios):
        from bench.apps.wsgi_cpu import TURNS

        os.environ["WSGI_CPU_TURNS"] = str(TURNS)


def _show(sample: Sample) -> None:
    print(progress_line(sample), file=sys.stderr, flush=True)
