"""Resident memory: of idle connections, and after a crowd of cut requests and connections that died."""

import subprocess
import sys
import time
from dataclasses import dataclass

from bench.loads.idle import IdleError, idle_connections, last_line, raise_descriptor_limit
from bench.measure.cputime import PROC, VanishedError, resident, tree
from bench.measure.sample import Settings, serving
from bench.plan import HERE, Plan, Server
from bench.process import Running, ServerError, cores, on_core

SETTLE_DEADLINE = 30.0
CLIENT_DEADLINE = 300.0


class ClientError(Exception):
    """The client has ended early: the server answered wrongly, refused or closed a connection."""


@dataclass(frozen=True)
class MemoryResult:
    """`value` bytes were needed where at most `most` are allowed. With `error` set the figure means nothing."""

    server: str
    what: str
    value: float
    most: int
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and self.value <= self.most

    def __str__(self) -> str:
        line = f"{'pass' if self.passed else 'FAIL'}  {self.server:<18} {self.what}: "
        return line + (self.error or f"{self.value:,.0f} bytes (most {self.most:,})")


def measure_memory(plan: Plan, server: Server, settings: Settings) -> list[MemoryResult]:
    """Both runs for one server. What the server does wrong is in the results; nothing is raised for it."""
    idle = f"each of {plan.memory.idle_connections:,} idle connections"
    cut = f"growth by {plan.memory.cut_requests:,} cut requests and {plan.memory.aborted_connections:,} resets"
    runs = (
        (idle, _idle_bytes, plan.scenarios["hello"], plan.memory.idle_bytes_each),
        (cut, _growth, plan.scenarios["upload"], plan.memory.returns_within),
    )
    results = []
    for what, run, scenario, most in runs:
        try:
            raise_descriptor_limit(plan.memory.idle_connections)
            with serving(scenario, server, settings) as running:
                results.append(MemoryResult(server.name, what, run(running, plan), most))
        except (ServerError, ClientError, IdleError, VanishedError) as error:
            results.append(MemoryResult(server.name, what, 0.0, most, str(error)))
    return results


def _idle_bytes(running: Running, plan: Plan) -> float:
    """Bytes of resident memory for each connection; the first 64 are not counted: they fill what is shared."""
    idle, count = _descriptors(running), plan.memory.idle_connections
    with idle_connections(plan.scenarios["hello"], running.port, 64):
        pass
    _await_descriptors(running, idle)
    before = resident(running.pid)
    with idle_connections(plan.scenarios["hello"], running.port, count):
        return (resident(running.pid) - before) / count


def _growth(running: Running, plan: Plan) -> float:
    """Bytes of resident memory gained by the whole crowd, after a tenth of it has filled pools and caches."""
    idle, crowd = _descriptors(running), plan.memory
    _run_cuts(running, crowd.cut_requests // 10, crowd.aborted_connections // 10, seed=1)
    _await_descriptors(running, idle)
    before = resident(running.pid)
    _run_cuts(running, crowd.cut_requests, crowd.aborted_connections, seed=2)
    _await_descriptors(running, idle)
    return resident(running.pid) - before


def _run_cuts(running: Running, requests: int, aborted: int, seed: int) -> None:
    command = [sys.executable, "-m", "bench.loads.cut_client", *map(str, (running.port, requests, aborted, seed))]
    try:
        with on_core(cores()[1]):
            done = subprocess.run(command, cwd=HERE.parent, capture_output=True, timeout=CLIENT_DEADLINE, check=False)
    except subprocess.TimeoutExpired as error:
        raise ClientError(f"not done after {CLIENT_DEADLINE:.0f} s") from error
    if done.returncode != 0:
        raise ClientError(last_line(done.stderr))


def _descriptors(running: Running) -> int:
    try:
        return sum(sum(1 for _ in (PROC / str(pid) / "fd").iterdir()) for pid in tree(running.pid))
    except FileNotFoundError as error:
        raise VanishedError(f"process {running.pid} has ended") from error


def _await_descriptors(running: Running, idle: int) -> None:
    """Until the server has closed its side of every connection."""
    deadline = time.monotonic() + SETTLE_DEADLINE
    while _descriptors(running) > idle:
        if time.monotonic() > deadline:
            raise ServerError(f"{_descriptors(running) - idle} connections are still open")
        time.sleep(0.05)
