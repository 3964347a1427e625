"""The load: wrk, h2load or a program of our own, in a process and on a core of its own, and what it has counted."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.loads.bodies import body_file
from bench.loads.counted import Load, LoadError
from bench.loads.floor import build_handshake_load, build_mixed_load, build_websocket_load
from bench.loads.h2load import H2LOAD_MARK, h2load_command, is_h2load, parse_h2load
from bench.loads.latency import as_measured, interval, parse, percentile
from bench.plan import HERE, Scenario
from bench.process import HOST, on_core

MARK = "REPORT "
HISTOGRAM_MARK = "HISTOGRAM "
TIMEOUT = "10s"  # wrk counts slower answers as errors; more than a run lasts, they are only slow
TIMEOUT_MARGIN = 30.0


def find_wrk() -> str:
    """Raises LoadError with what to install."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadError("wrk is not on the PATH: install it (apt install wrk, brew install wrk)")
    return wrk


def load_command(scenario: Scenario, port: int, seconds: float) -> list[str]:
    """The program that loads a server in this scenario, which prints what `run_load` reads. Raises LoadError."""
    counts = [str(port), str(scenario.connections), f"{max(1, round(seconds))}"]
    if scenario.websocket:
        return [str(build_websocket_load()), *counts, *scenario.websocket]
    if scenario.handshakes:
        return [str(build_handshake_load()), *counts, str(scenario.answer.status), scenario.answer.text]
    if scenario.mix:
        kinds = [f"{path}:{share}" for path, share in scenario.mix.shares.items()]
        expected = [str(scenario.answer.status), scenario.answer.text]
        return [str(build_mixed_load()), *counts, *expected, str(scenario.mix.rate), *kinds]
    if scenario.http2:
        return h2load_command(scenario, port, seconds)
    return _wrk_command(scenario, port, seconds)


def _wrk_command(scenario: Scenario, port: int, seconds: float) -> list[str]:
    headers = [part for name, value in scenario.headers.items() for part in ("-H", f"{name}: {value}")]
    script = str(HERE / "loads" / "wrk" / scenario.script)
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
    command.append(f"{'https' if scenario.tls else 'http'}://{HOST}:{port}{scenario.path}")
    arguments = [str(body_file(scenario))] if scenario.body or scenario.form else scenario.script_args
    return [*command, "--", *arguments] if arguments else command


def run_load(
    command: list[str], connections: int, core: int | None, seconds: float, halfway: Callable[[], None] | None = None
) -> Load:
    """Runs wrk, or a program that prints as it does, on `core` to its end; `command` opens this many connections.

    Without a core it runs on any.

    Raises LoadError.

    `halfway` is called when half of the seconds are over. Latencies are wrk's own, or, from a script that prints a
    histogram, those that were measured (latency.py). Where wrk gives a 0, none of its own is right, and all are
    0: it counts requests and not segments, so that with several in one its corrections lie below the least that it has
    measured, where it does not find them.
    """
    if is_h2load(command):
        return parse_h2load(_run(command, core, seconds, halfway, H2LOAD_MARK))
    output = _run(command, core, seconds, halfway)
    counted: dict[str, Any] = json.loads(_line(output, MARK))
    kinds = ("connect", "read", "write", "status", "timeout")
    errors = {kind: count for kind in kinds if (count := counted.pop(kind))}
    if counted["requests"] and (histogram := _line(output, HISTOGRAM_MARK)):
        expected = interval(counted["duration_us"], counted["requests"], connections)
        measured = as_measured(parse(histogram), expected)
        counted["curve"] = {point: percentile(measured, float(point)) for point in counted["curve"]}
    if not all(counted["curve"].values()):
        counted["curve"] = dict.fromkeys(counted["curve"], 0)
    return Load(**counted, errors=errors)


def _run(
    command: list[str], core: int | None, seconds: float, halfway: Callable[[], None] | None, mark: str = MARK
) -> str:
    """The program's output, which has a line that begins with `mark`. Raises LoadError."""
    name = Path(command[0]).name
    with on_core(core):
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with wrk:
        try:
            if halfway:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    wrk.wait(seconds / 2)  # it prints at its end, so that no pipe is full by then
                halfway()
            output, complaint = wrk.communicate(timeout=seconds + TIMEOUT_MARGIN)
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"{name} did not end within {error.timeout:.0f} s") from error
        finally:
            wrk.kill()
    if wrk.returncode != 0 or not _line(output, mark):
        raise LoadError(f"{name} ended with status {wrk.returncode}: {(complaint or output).strip()[-500:]}")
    return output


def _line(output: str, mark: str) -> str:
    """What follows `mark` in the last line that begins with it."""
    lines = [line for line in output.splitlines() if line.startswith(mark)]
    return lines[-1].removeprefix(mark) if lines else ""
