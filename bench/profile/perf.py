"""`python -m bench.perf SCENARIO`: where a server's time goes under the load of a scenario, as a flame graph.

Writes bench/results/profile-SCENARIO.svg, and beside it the stacks as text, and prints the functions that ran most.
"""

import argparse
import contextlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.loads.counted import LoadError
from bench.loads.floor import build_limit, build_websocket_floor
from bench.loads.load import find_wrk, load_command, run_load
from bench.measure.check_answer import WrongAnswerError
from bench.measure.cputime import tree
from bench.measure.sample import Settings, check_server, load_errors, server_command
from bench.plan import HERE, PEER_PYTHON, Plan, Scenario, Server, choose, load_plan, participants
from bench.process import ServerError, cores, ending_by_signals, free_port, started
from bench.profile import flame, stacks

FREQUENCY = 999  # samples a second: not in step with what happens each millisecond
STACK = 32768  # bytes copied with each sample, as nothing keeps frame pointers; libuv alone has 12 KiB of events there
DEADLINE = 300.0
TOP = 20


class PerfError(Exception):
    """perf is missing, may not record here or has failed."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 when there is no profile."""
    options = _parser().parse_args(arguments)
    with ending_by_signals():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        check_perf()
        find_wrk()
        plan = load_plan()
        [scenario] = choose(plan.scenarios, [options.scenario], "scenario")
        server = subject(plan, scenario, options.server)
        floors = str(build_limit()), str(build_websocket_floor())
        settings = Settings(options.seconds, 1, options.python, str(PEER_PYTHON), *floors)
        found, per_second = profile(scenario, server, settings)
        picture: Path = options.output or HERE / "results" / f"profile-{scenario.name}.svg"
        _write(picture, found, scenario, server, f"{per_second:,.0f} requests a second while it was watched")
    except (PerfError, ServerError, WrongAnswerError, LoadError, ValueError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"{stacks.top(found, TOP)}\n\n{found.total()} samples of {server.name} in {scenario.name}: {picture}")
    return 0


def check_perf() -> None:
    """Raises PerfError, which says what to do."""
    if shutil.which("perf") is None:
        raise PerfError("perf is not on the PATH: install it (apt install linux-perf, dnf install perf)")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        tried = subprocess.run(
            ["perf", "record", "--output", str(Path(scratch) / "data"), "--", sys.executable, "-c", ""],
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode != 0:
        reason = next(iter(tried.stderr.strip().splitlines()), "no reason given")
        raise PerfError(f"perf may not record here ({reason}): be root, or sysctl kernel.perf_event_paranoid=1")


def subject(plan: Plan, scenario: Scenario, name: str | None) -> Server:
    """The server of that name, or the first of ours in the scenario. Raises ValueError when it does not take part."""
    takes_part = participants(plan, scenario, [name] if name else None)
    ours = [server for server in takes_part if name or "fastserve" in server.packages]
    if not ours:
        raise ValueError(f"{name or 'fastserve'} does not take part in {scenario.name}")
    return ours[0]


def profile(scenario: Scenario, server: Server, settings: Settings) -> tuple[stacks.Stacks, float]:
    """The stacks of the server's processes under load, and requests a second.

    Raises PerfError, ServerError, LoadError or WrongAnswerError.
    """
    port, load_core = free_port(), cores()[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        data = Path(scratch) / "perf.data"
        command = server_command(scenario, server, settings, port, Path(scratch))
        with started(command, port, cores()[0], Path(scratch) / "server.log", HERE.parent) as running:
            check_server(scenario, port)
            if settings.warm:
                run_load(load_command(scenario, port, settings.warm), scenario.connections, load_core, settings.warm)
            with _recording(tree(running.pid), data):
                loading = load_command(scenario, port, settings.seconds)
                load = run_load(loading, scenario.connections, load_core, settings.seconds)
            running.require_alive()
        if errors := load_errors(load):
            raise LoadError(errors)
        return stacks.parse(_script(data)), load.per_second


@contextlib.contextmanager
def _recording(pids: list[int], data: Path) -> Iterator[None]:
    """perf looks at these processes, and at what they start, for as long as the block lasts."""
    processes = ",".join(map(str, pids))
    graph = f"dwarf,{STACK}"
    perf = subprocess.Popen(
        ["perf", "record", "-F", str(FREQUENCY), "--call-graph", graph, "--pid", processes, "--output", str(data)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with perf:
        try:
            yield
            perf.send_signal(signal.SIGINT)
            _, said = perf.communicate(timeout=DEADLINE)
        finally:
            perf.kill()
    if perf.returncode not in (0, -signal.SIGINT):
        raise PerfError(f"perf record ended with status {perf.returncode}: {said.strip()[-500:]}")


def _script(data: Path) -> str:
    command = ["perf", "script", "--no-inline", "-F", "comm,ip,sym,dso", "--input", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=DEADLINE, check=False)
    if done.returncode != 0:
        raise PerfError(f"perf script ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _write(picture: Path, found: stacks.Stacks, scenario: Scenario, server: Server, load: str) -> None:
    picture.parent.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%d")
    note = f"{found.total()} samples; {load}; Linux {platform.release()}, {when}"
    picture.write_text(flame.draw(found, f"{server.name}: {scenario.title}", note))
    picture.with_suffix(".folded").write_text(stacks.fold(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.perf", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="hello", help="of bench/scenarios.toml; hello by default")
    parser.add_argument("--server", help="of bench/servers.toml; fastserve's first in the scenario by default")
    parser.add_argument("--seconds", type=int, default=5, help="for which it is watched")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has fastserve installed")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the picture is written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
