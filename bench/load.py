"""The load: wrk in a process of its own, on a core of its own, and what it has counted."""

import json
import shutil
import subprocess
from dataclasses import dataclass

from bench.latency import as_measured, interval, parse, percentile
from bench.plan import HERE, Scenario
from bench.process import HOST, on_core

MARK = "REPORT "
HISTOGRAM_MARK = "HISTOGRAM "
TIMEOUT = "10s"  # wrk counts slower answers as errors; more than a run lasts, they are only slow
TIMEOUT_MARGIN = 30.0


class LoadError(Exception):
    """wrk is missing or did not report."""


@dataclass(frozen=True)
class Load:
    """What wrk has counted in one run; latencies in microseconds, errors by kind."""

    requests: int
    duration_us: int
    bytes: int
    p50_us: int
    p99_us: int
    max_us: int
    errors: dict[str, int]

    @property
    def per_second(self) -> float:
        return self.requests * 1e6 / self.duration_us


def find_wrk() -> str:
    """Raises LoadError with what to install."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadError("wrk is not on the PATH: install it (apt install wrk, brew install wrk)")
    return wrk


def wrk_command(scenario: Scenario, port: int, seconds: float) -> list[str]:
    headers = [part for name, value in scenario.headers.items() for part in ("-H", f"{name}: {value}")]
    script = str(HERE / "wrk" / scenario.script)
    connections = str(scenario.connections)
    command = [
        find_wrk(),
        "--timeout",
        TIMEOUT,
        "-t",
        "1",
        "-c",
        connections,
        "-d",
        f"{max(1, round(seconds))}s",
        "-s",
        script,
        *headers,
    ]
    command.append(f"http://{HOST}:{port}{scenario.path}")
    return [*command, "--", *scenario.script_args] if scenario.script_args else command


def run_wrk(command: list[str], connections: int, core: int, seconds: float) -> Load:
    """Run wrk, whose `command` opens so many connections, on `core` to its end. Raises LoadError.

    Latencies are wrk's own, or, from a script that prints a histogram, those that were measured (bench/latency.py).
    """
    try:
        with on_core(core):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + TIMEOUT_MARGIN, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"wrk did not end within {error.timeout:.0f} s") from error
    report = _line(done.stdout, MARK)
    if done.returncode != 0 or not report:
        raise LoadError(f"wrk ended with status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    counted: dict[str, int] = json.loads(report)
    kinds = ("connect", "read", "write", "status", "timeout")
    errors = {kind: count for kind in kinds if (count := counted.pop(kind))}
    if counted["requests"] and (histogram := _line(done.stdout, HISTOGRAM_MARK)):
        expected = interval(counted["duration_us"], counted["requests"], connections)
        measured = as_measured(parse(histogram), expected)
        counted |= {"p50_us": percentile(measured, 50), "p99_us": percentile(measured, 99)}
    return Load(**counted, errors=errors)


def _line(output: str, mark: str) -> str:
    """What follows `mark` in the last line that begins with it."""
    lines = [line for line in output.splitlines() if line.startswith(mark)]
    return lines[-1].removeprefix(mark) if lines else ""
