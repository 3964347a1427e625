"""`python -m bench`: run, the default; check, compare, adopt, report, pictures, gate, memory, slow, spread, peers."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.field.adopt import adopt
from bench.field.peers import build_peers, missing, up_to_date
from bench.field.pictures import PicturesError, draw
from bench.field.publish import publish
from bench.field.spread import draw_spread, spread_table
from bench.loads.counted import LoadError
from bench.loads.floor import FLOOR, build_limit, build_websocket_floor
from bench.loads.idle import IdleError
from bench.loads.load import find_wrk
from bench.measure.budget import Work
from bench.measure.compare import compare, regressions
from bench.measure.gate import Gate, gated, run_gate
from bench.measure.lineup import ALL, OWN, Lineup, asked_for, lineup, servers_of
from bench.measure.machine import describe, versions
from bench.measure.memory import measure_memory
from bench.measure.report import machine_lines, progress_line, table
from bench.measure.results import Result, default_path, read_result, write_result
from bench.measure.rounds import run_rounds
from bench.measure.sample import Sample, Settings
from bench.measure.slow import measure_slow
from bench.measure.spread import kernel_spread, measure_spread
from bench.measure.spread_model import WORKERS, simulate
from bench.measure.thresholds import judge
from bench.plan import DEFAULT_SERVERS, PEER_PYTHON, Plan, Scenario, Server, choose, load_plan
from bench.process import ending_by_signals

SLOW_SERVERS = ("fastserve-wsgi-1", "fastserve-wsgi-8")
SPREAD_SERVERS = ("fastserve-2", "fastserve-2-kernel")
KERNEL_CONNECTIONS = 32  # for each socket
ROUNDS = 3
SECONDS = 3
EPILOG = """\
run       measure; the table is printed, and written with result, report and pictures to bench/results
check     judge a run by the thresholds of scenarios.toml, or by an earlier result (--against)
compare   two results: what has changed by more than the rounds differ
adopt     make a result the reference, and write its figures into README.md and docs/performance.md
report    write the report and the pictures of a result anew, beside it
pictures  draw every picture of a result, beside it, and leave its report as it is
gate      what every server has to get right before its figures mean anything: by default ours, `all` for every one
memory    what idle connections cost, and whether broken ones leave anything behind
slow      what a slow client costs the others
spread    how connections spread over workers: by the kernel, by ours, and what it does to latencies, by a model
peers     build the peers' environment

Programs of their own, each with its --help:
python -m bench.micro     what single things cost in the C rooms and the core
python -m bench.perf      where a server's time goes, as a flame graph
"""


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when all went well, 1 when a row has errors or a threshold is missed, 2 when nothing could run."""
    options = parse(arguments)
    try:
        with ending_by_signals():
            plan = load_plan()
            return ACTIONS[options.action](plan, with_set(plan, options))
    except (LoadError, IdleError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Exits where they cannot be understood."""
    parser = _parser()
    options = parser.parse_args(arguments)
    wanted = {"compare": 2, "report": 1, "pictures": 1, "adopt": 1}.get(options.action, 0)
    if len(options.files) != wanted:
        parser.error(f"{options.action} takes {wanted} files, not {len(options.files)}")
    if options.within and (options.rounds or options.seconds):
        parser.error("--within chooses --rounds and --seconds itself")
    return options


def with_set(plan: Plan, options: argparse.Namespace) -> argparse.Namespace:
    """Fills in what was not given, from the set or by default. Raises ValueError for an unknown set."""
    if options.set:
        [chosen] = choose(plan.sets, [options.set], "set")
        options.scenarios = options.scenarios or list(chosen.scenarios)
        options.servers = options.servers or list(chosen.servers) or None
        if not (options.rounds or options.seconds):
            options.within = options.within or chosen.within
    options.rounds = options.rounds or ROUNDS
    options.seconds = options.seconds or SECONDS
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="run")
    parser.add_argument(
        "files", nargs="*", type=Path, help="compare: two results, the older first; report, pictures, adopt: one"
    )
    parser.add_argument("--set", metavar="NAME", help="of sets.toml: what is not given here is taken from there")
    parser.add_argument("--scenarios", type=_names, help="comma-separated; all by default")
    parser.add_argument(
        "--servers",
        type=_names,
        help=f"comma-separated; `{OWN}` leaves out the peers, `{ALL}` adds every peer that can take part; "
        f"the scenario's own, or {','.join(DEFAULT_SERVERS)} by default",
    )
    parser.add_argument("--rounds", type=int, help=f"interleaved; {ROUNDS} by default")
    parser.add_argument("--seconds", type=int, help=f"of load in each measurement; {SECONDS} by default")
    parser.add_argument("--within", type=float, metavar="MINUTES", help="as many rounds and seconds as fit")
    parser.add_argument("--warm", type=int, default=1, help="seconds of load before each measurement")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has fastserve installed")
    parser.add_argument("--peer-python", default=str(PEER_PYTHON), help="interpreter that has the peers installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, and nothing else")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="spread: draw the model's figures there")
    parser.add_argument("--results", type=Path, metavar="FILE", help="check: judge this result in place of a new run")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help="check: fail where CPU time beside the limit program is more than 5 %% and the spread above this result's",
    )
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _run(plan: Plan, options: argparse.Namespace) -> int:
    result = _measure(plan, options, lineup(plan, options.scenarios, options.servers), gate=True)
    started = (sample for sample in result.samples if sample.command)  # one that is not installed is no failure
    return 1 if any(sample.error for sample in started) else 0


def _check(plan: Plan, options: argparse.Namespace) -> int:
    if options.against:
        return _check_against(plan, options)
    judged = {threshold.scenario for threshold in plan.thresholds}
    scenarios = options.scenarios or [name for name in plan.scenarios if name in judged]
    result = read_result(options.results) if options.results else _measure(plan, options, lineup(plan, scenarios, None))
    verdicts = [judge(threshold, result.rows) for threshold in plan.thresholds if threshold.scenario in scenarios]
    print("\n" + "\n".join(map(str, verdicts)))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _check_against(plan: Plan, options: argparse.Namespace) -> int:
    """Our own servers beside the floor, in the scenarios of the earlier result."""
    earlier = read_result(options.against)
    known = {(sample.scenario, sample.server) for sample in earlier.samples}
    scenarios = options.scenarios or list(dict.fromkeys(sample.scenario for sample in earlier.samples))
    own = [server for server in plan.servers.values() if server.name == FLOOR or "fastserve" in server.packages]
    groups = [
        (scenario, taking)
        for scenario in choose(plan.scenarios, scenarios, "scenario")
        if (scenario.name, FLOOR) in known
        and len(taking := [server for server in own if (scenario.name, server.name) in known]) > 1
    ]
    if not groups:
        raise ValueError(f"{options.against} has no server of ours beside {FLOOR} in {', '.join(scenarios)}")
    judged = [scenario.name for scenario, _ in groups]
    if others := ", ".join(name for name in scenarios if name not in judged):
        print(f"bench: not judged, as {options.against} has no {FLOOR} beside ours there: {others}", file=sys.stderr)
    result = read_result(options.results) if options.results else _measure(plan, options, groups)
    verdicts = regressions(earlier, result, [server.name for server in own], judged)
    print("\n" + "\n".join(map(str, verdicts)))
    return 0 if verdicts and all(verdict.passed for verdict in verdicts) else 1


def _compare(_plan: Plan, options: argparse.Namespace) -> int:
    before, after = map(read_result, options.files)
    print(compare(before, after))
    return 0


def _report(plan: Plan, options: argparse.Namespace) -> int:
    (path,) = options.files
    _publish(plan, read_result(path), path.parent)
    return 0


def _pictures(plan: Plan, options: argparse.Namespace) -> int:
    (path,) = options.files
    try:
        drawn = draw(read_result(path), plan.scenarios.values(), path.parent)
    except PicturesError as error:
        raise ValueError(error) from error
    print("\n".join(str(picture) for pictures in drawn.values() for picture in pictures))
    return 0


def _adopt(plan: Plan, options: argparse.Namespace) -> int:
    (path,) = options.files
    print("\n".join(map(str, adopt(path, plan))))
    return 0


def _publish(plan: Plan, result: Result, folder: Path) -> None:
    path, complaint = publish(result, plan, folder)
    print(f"{path}" + (f"\n{complaint}" if complaint else ""))


def _peers(_plan: Plan, options: argparse.Namespace) -> int:
    return 1 if _build_peers(options) else 0


def _gate(plan: Plan, options: argparse.Namespace) -> int:
    servers = gated(asked_for(plan, options.servers))
    settings = _settings(options, servers)
    absent = missing(servers, {server.name: versions(server, settings) for server in servers})
    passed = True
    for server in servers:
        gate = run_gate(server, settings, absent.get(server.name, ""))
        print(gate, flush=True)
        passed = passed and gate.passed
    return 0 if passed else 1


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


def _spread(plan: Plan, options: argparse.Namespace) -> int:
    for workers in WORKERS:
        print(kernel_spread(workers, KERNEL_CONNECTIONS), flush=True)
    servers = choose(plan.servers, options.servers or list(SPREAD_SERVERS), "server")
    found = [spread for server in servers for spread in measure_spread(plan, server, _settings(options, servers))]
    print("\n".join(map(str, found)), flush=True)
    outcomes = simulate()
    print(f"\n{spread_table(outcomes)}")
    if options.picture:
        try:
            draw_spread(outcomes, options.picture)
        except PicturesError as error:
            raise ValueError(error) from error
    return 1 if any(spread.error for spread in found) else 0


def _measure(plan: Plan, options: argparse.Namespace, groups: Lineup, *, gate: bool = False) -> Result:
    """Run, show and keep it; with `gate` every server is tried at it first, and measured however it fares."""
    find_wrk()
    servers = servers_of(groups)
    settings = _settings(options, servers)
    found = {server.name: versions(server, settings) for server in servers if server.packages or server.program}
    absent = missing(servers, found)
    entrants = [server for server in gated(servers) if gate and server.name not in absent]
    count = sum(server.name not in absent for _, group in groups for server in group)
    work = Work(len(entrants), count, settings.warm)
    rounds = options.rounds
    if options.within:
        rounds, seconds = work.fit(options.within)
        settings = replace(settings, seconds=seconds)
    print(f"bench: {work.expected(rounds, settings.seconds)}", file=sys.stderr, flush=True)
    machine = {"command": _own_command(), **describe(settings), "rounds": rounds, "versions": found}
    _fix_work([scenario for scenario, _ in groups])
    gates = [_through_gate(server, settings) for server in entrants]
    result = Result(machine, run_rounds(groups, settings, rounds, _show, absent), gates)
    path = write_result(options.json or default_path(machine), result)
    scenarios = [scenario for scenario, _ in groups]
    print(f"\n{machine_lines(machine)}\n{table(scenarios, result.rows, result.failing)}")
    print(f"\n{rounds} interleaved rounds, medians; all figures in {path}")
    if not options.json:
        _publish(plan, result, path.parent)
    return result


def _through_gate(server: Server, settings: Settings) -> Gate:
    gate = run_gate(server, settings)
    print(gate, file=sys.stderr, flush=True)
    return gate


def _own_command() -> str:
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])


def _settings(options: argparse.Namespace, servers: list[Server]) -> Settings:
    own = Path(options.peer_python) == PEER_PYTHON
    if any(server.peer for server in servers) and own and not up_to_date():
        _build_peers(options)
    floors = str(build_limit()), str(build_websocket_floor())
    return Settings(options.seconds, options.warm, options.python, options.peer_python, *floors)


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


ACTIONS: dict[str, Callable[[Plan, argparse.Namespace], int]] = {
    "run": _run,
    "check": _check,
    "compare": _compare,
    "adopt": _adopt,
    "report": _report,
    "pictures": _pictures,
    "gate": _gate,
    "memory": _memory,
    "slow": _slow,
    "spread": _spread,
    "peers": _peers,
}
