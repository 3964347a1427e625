"""h2load, nghttp2's load program: how it is called, and what it says it has counted."""

import re
import shutil
from pathlib import Path

from bench.loads.bodies import body_file, paths_file
from bench.loads.counted import Load, LoadError
from bench.plan import Scenario
from bench.process import HOST

H2LOAD_MARK = "requests: "
POINTS = ("50", "75", "90", "99", "99.9", "99.99", "99.999", "100")

_FINISHED = re.compile(r"^finished in ([0-9.]+)(us|ms|s|m)\b", re.MULTILINE)
_REQUESTS = re.compile(
    r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
    re.MULTILINE,
)
_TRAFFIC = re.compile(r"^traffic: .*?\((\d+)\) total", re.MULTILINE)
_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}


def find_h2load() -> str:
    """Raises LoadError with what to install."""
    program = shutil.which("h2load")
    if program is None:
        raise LoadError("h2load is not on the PATH: install it (apt install nghttp2-client)")
    return program


def h2load_command(scenario: Scenario, port: int, seconds: float) -> list[str]:
    """Raises LoadError."""
    command = [find_h2load(), "-t", "1", "-c", str(scenario.connections), "-m", str(scenario.http2)]
    command += ["-D", f"{max(1, round(seconds))}"]
    command += [part for name, value in scenario.headers.items() for part in ("-H", f"{name}: {value}")]
    if scenario.payload:
        command += ["-d", str(body_file(scenario))]
    if scenario.paths:
        return [*command, "-i", str(paths_file(scenario, port))]
    return [*command, f"{'https' if scenario.tls else 'http'}://{HOST}:{port}{scenario.path}"]


def is_h2load(command: list[str]) -> bool:
    return Path(command[0]).name == "h2load"


def parse_h2load(output: str) -> Load:
    """It gives no latencies by per cent: they are 0, which says that there are none. Raises LoadError."""
    finished, requests, traffic = (each.search(output) for each in (_FINISHED, _REQUESTS, _TRAFFIC))
    if finished is None or requests is None:
        raise LoadError(f"h2load did not report: {output.strip()[-500:]}")
    done, _, failed, errored, timeout = map(int, requests.groups())
    kinds = {"status": failed - errored, "read": errored, "timeout": timeout}
    return Load(
        requests=done,
        duration_us=round(float(finished[1]) * _UNITS[finished[2]]),
        bytes=int(traffic[1]) if traffic is not None else 0,
        curve=dict.fromkeys(POINTS, 0),
        errors={kind: count for kind, count in kinds.items() if count > 0},
    )
