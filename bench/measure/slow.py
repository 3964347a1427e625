"""What one slow client costs the others: hello's p99 beside a slow upload or download, and the server's memory.

Measurements without and with the slow client alternate, A B A B A, so that a drift of the machine meets both. What the
ones without it differ by among themselves is noise: the medians may be apart by that much. Noise is taken to be at
least NOISE_FLOOR of the p99, since few rounds may agree by chance; where it is more than NOISE_CEILING of it, nothing
can be told, and nothing passes.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from bench.loads.counted import LoadError
from bench.loads.load import load_command, run_load
from bench.measure.cputime import VanishedError, resident
from bench.measure.sample import Settings, load_errors, serving
from bench.plan import HERE, Plan, Scenario, Server, SlowTransfer
from bench.process import Running, ServerError, cores, on_core

NOISE_FLOOR = 0.10
NOISE_CEILING = 1.0
APP = "wsgi_slow"
CLIENT_DEADLINE = 30.0


class SlowClientError(Exception):
    """The slow client has ended with an error: the server broke off, did not keep its pace or answered wrongly."""


@dataclass
class SlowResult:
    """p99 in microseconds and requests a second of hello, resident memory in bytes, and what the slow clients moved.

    With `error` set the figures are incomplete.
    """

    server: str
    transfer: str
    grows_by: int
    without: list[int] = field(default_factory=list)
    beside: list[int] = field(default_factory=list)
    before: int = 0
    during: int = 0
    after: int = 0
    moved: int = 0
    error: str = ""

    @property
    def noise(self) -> float:
        """How far apart the medians may be."""
        return max(max(self.without) - min(self.without), NOISE_FLOOR * median(self.without))

    @property
    def telling(self) -> bool:
        return self.noise <= NOISE_CEILING * median(self.without)

    @property
    def unchanged(self) -> bool:
        return self.telling and median(self.beside) <= median(self.without) + self.noise

    @property
    def flat(self) -> bool:
        return max(self.during, self.after) - self.before <= self.grows_by

    @property
    def passed(self) -> bool:
        return not self.error and self.unchanged and self.flat

    def __str__(self) -> str:
        name = f"{self.server:<18} {self.transfer}"
        if self.error:
            return f"FAIL  {name}: {self.error}"
        p99 = f"hello's p99 {median(self.beside):,.0f} µs beside it, {median(self.without):,.0f} µs without"
        p99 += f" (noise {self.noise:,.0f} µs: {min(self.without)}-{max(self.without)})"
        p99 += "" if self.telling else ": too noisy to tell"
        memory = "resident memory " + ", ".join(
            f"{size / 2**20:.2f} MiB {when}"
            for size, when in ((self.before, "before"), (self.during, "during"), (self.after, "after"))
        )
        return (
            f"{_verdict(self.unchanged)}  {name} of {self.moved / 2**20:.1f} MiB in all: {p99}\n"
            f"{_verdict(self.flat)}  {name}: {memory} (most {self.grows_by / 2**20:g} MiB more)"
        )


def measure_slow(
    plan: Plan, server: Server, settings: Settings, rounds: int, progress: Callable[[str], None]
) -> list[SlowResult]:
    """One result for each transfer. What the server does wrong is in them; nothing is raised for it."""
    scenario = replace(plan.scenarios["wsgi-hello"], app=APP)
    results = []
    for name, transfer in plan.slow.items():
        result = SlowResult(server.name, f"slow {name}", transfer.grows_by)
        try:
            with serving(scenario, server, settings) as running:
                _measure(result, scenario, transfer, settings, running, rounds, progress)
        except (ServerError, LoadError, SlowClientError, VanishedError) as error:
            result.error = str(error)
        results.append(result)
    return results


def _measure(
    result: SlowResult,
    scenario: Scenario,
    transfer: SlowTransfer,
    settings: Settings,
    running: Running,
    rounds: int,
    progress: Callable[[str], None],
) -> None:
    if settings.warm:
        _p99(scenario, running, settings.warm)
    result.without.append(_p99(scenario, running, settings.seconds))
    result.before = resident(running.pid)
    for _ in range(rounds):
        with slow_client(running.port, transfer) as client:
            result.beside.append(_p99(scenario, running, settings.seconds))
            result.during = max(result.during, resident(running.pid))
        result.moved += client.moved
        result.without.append(_p99(scenario, running, settings.seconds))
        progress(
            f"  {result.transfer:<13} {result.server:<22} {result.beside[-1]:7} µs, {result.without[-1]:7} without"
        )
    result.after = resident(running.pid)


def _p99(scenario: Scenario, running: Running, seconds: int) -> int:
    """Raises LoadError for an answer that failed."""
    load = run_load(load_command(scenario, running.port, seconds), scenario.connections, cores()[1], seconds)
    running.require_alive()
    if errors := load_errors(load):
        raise LoadError(errors)
    return load.p99_us


@dataclass
class SlowClient:
    """`moved` is known when the block of `slow_client` has ended."""

    moved: int = 0


@contextlib.contextmanager
def slow_client(port: int, transfer: SlowTransfer) -> Iterator[SlowClient]:
    """A transfer that runs for as long as the block, or until it is done. Raises SlowClientError."""
    words = (port, transfer.method, transfer.path, transfer.bytes, transfer.per_second)
    client = SlowClient()
    with _process(["-m", "bench.loads.slow_client", *map(str, words)]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline() == "ready\n"
        if ready:
            yield client
        process.stdin.close()
        try:
            status = process.wait(CLIENT_DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise SlowClientError(f"client did not end within {error.timeout:.0f} s") from error
        if not ready or status != 0:
            lines = process.stderr.read().strip().splitlines()
            raise SlowClientError(f"client: {lines[-1]}" if lines else f"client ended with status {status}")
        client.moved = int(process.stdout.read())


@contextlib.contextmanager
def _process(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A Python program on the core of the load, with pipes; killed when the block has ended."""
    with on_core(cores()[1]):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _verdict(passed: bool) -> str:
    return "pass" if passed else "FAIL"
