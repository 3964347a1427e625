"""One measurement: a server is started, checked, warmed up and put under load while its CPU time is read."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.loads.counted import Load, LoadError
from bench.loads.crowd import CrowdCount, slow_crowd
from bench.loads.idle import IdleError, idle_connections, raise_descriptor_limit
from bench.loads.load import load_command, run_load
from bench.loads.scrape import scraping
from bench.measure.certificate import CertificateError, make_certificate
from bench.measure.check_answer import WrongAnswerError, check_answer
from bench.measure.check_http2 import check_http2
from bench.measure.check_websocket import check_websocket
from bench.measure.cputime import VanishedError, core_busy, read_cpu, resident, spent
from bench.plan import HERE, Scenario, Server
from bench.process import Running, ServerError, cores, free_port, started

WARM_CONNECTIONS = 256
LOG = "server.log"


@dataclass(frozen=True)
class Settings:
    """Seconds of load and of warm-up, and the programs that the commands of servers.toml name."""

    seconds: int = 4
    warm: int = 1
    python: str = sys.executable
    peer_python: str = sys.executable
    limit: str = "limit"
    websocket_floor: str = "websocket-floor"


@dataclass(frozen=True)
class Sample:
    """The figures of one measurement. With `error` set they are incomplete or mean nothing."""

    scenario: str
    server: str
    command: list[str] = field(default_factory=list)
    load_command: list[str] = field(default_factory=list)
    cpu_us: float = 0.0  # a unit of the scenario: a request, or a MiB
    per_second: float = 0.0  # units
    p50_us: int = 0
    p90_us: int = 0
    p99_us: int = 0
    p999_us: int = 0
    curve: dict[str, int] = field(default_factory=dict)  # microseconds, by the per cent that did not exceed them
    rss_rest: int = 0  # bytes, before any load
    rss: int = 0  # bytes, in the middle of the load
    start_ms: float = 0.0  # from the start of its process to the first right answer
    idle_bytes: float = 0.0  # of resident memory for each idle connection, where the scenario has them
    requests: int = 0
    foreign: float = 0.0  # share of the server's core that anything else had, 0 to 1
    load_average: float = 0.0  # of one minute, before the start
    error: str = ""


def measure(scenario: Scenario, server: Server, settings: Settings) -> Sample:
    """Never raises for what a server or wrk does wrong: that is the sample's `error`."""
    port = free_port()
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        command = list(server.command)
        log = Path(scratch) / LOG
        try:
            command = server_command(scenario, server, settings, port, Path(scratch))
            begun = time.monotonic()
            if held := scenario.idle or (scenario.crowd.connections if scenario.crowd else 0):
                raise_descriptor_limit(held)
            with started(command, port, server_core(scenario), log, HERE.parent) as running:
                check_server(scenario.under(server), port)
                start_ms = (time.monotonic() - begun) * 1000
                if scenario.idle:
                    sample = _with_idle(scenario, server, running, command)
                else:
                    at_rest, metrics = resident(running.pid), server.metrics.format_map(_places(port, Path(scratch)))
                    with _beside(scenario, running, metrics) as crowd:
                        sample = _under_load(scenario, server, settings, running, command)
                    errors = ", ".join(filter(None, (sample.error, crowd_error(scenario, crowd))))
                    sample = replace(sample, rss_rest=at_rest, error=errors)
                sample = replace(sample, start_ms=start_ms)
            if server.access_log:
                _check_log(Path(server.access_log.format_map(_places(port, Path(scratch)))), sample)
        except (CertificateError, ServerError, WrongAnswerError, LoadError, IdleError, VanishedError) as error:
            sample = Sample(scenario.name, server.name, portable(command), error=str(error))
    return Sample(**{**vars(sample), "load_average": load_average})


def server_core(scenario: Scenario) -> int | None:
    """None: every one."""
    return None if scenario.every_core else cores()[0]


def check_server(scenario: Scenario, port: int) -> None:
    """Raises WrongAnswerError where an answer is not the scenario's."""
    check = check_websocket if scenario.websocket else check_http2 if scenario.http2 else check_answer
    for asked in scenario.asked:
        check(asked, port)


def server_command(scenario: Scenario, server: Server, settings: Settings, port: int, scratch: Path) -> list[str]:
    """The command line of servers.toml, filled in; the limit program's answer is written to `scratch`."""
    response = scratch / "response"
    response.write_bytes(scenario.answer.on_the_wire())
    fields = {
        "python": settings.python,
        "peer_python": settings.peer_python,
        "limit": settings.websocket_floor if scenario.websocket else settings.limit,
        "apps": str(HERE / "apps"),
        "peers": str(HERE / "field" / "peers"),
        "app": scenario.app_for(server),
        "response": str(response),
    } | _places(port, scratch)
    listening: list[str] = []
    if scenario.tls:
        fields["certificate"], fields["key"] = make_certificate(scratch)
        listening += server.tls
    if scenario.http2:
        listening += server.http2
    words = list(server.command)
    at = words.index("{listen_options}") if "{listen_options}" in words else len(words)
    words[at : at + 1] = listening
    command: list[str] = []
    for word in words:
        command += scenario.limit if word == "{limit_options}" else [word.format_map(fields)]
    return command


def _places(port: int, scratch: Path) -> dict[str, str]:
    """Where a server listens, and where it may write."""
    return {"port": str(port), "second_port": str(port + 1), "scratch": str(scratch), "log": str(scratch / LOG)}


@contextlib.contextmanager
def serving(scenario: Scenario, server: Server, settings: Settings) -> Iterator[Running]:
    """The server, until the block ends. Raises ServerError where it does not start or has ended by itself."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        command = server_command(scenario, server, settings, port, Path(scratch))
        with started(command, port, server_core(scenario), Path(scratch) / LOG, HERE.parent) as running:
            yield running
            running.require_alive()


def portable(command: list[str]) -> list[str]:
    """`command` as it is from the root of the project, so that a result says nothing about where that is."""
    return [word.replace(f"{HERE.parent}/", "") for word in command]


def _under_load(scenario: Scenario, server: Server, settings: Settings, running: Running, command: list[str]) -> Sample:
    load_core = None if scenario.every_core else cores()[1]
    if settings.warm:
        run_load(load_command(scenario, running.port, settings.warm), scenario.connections, load_core, settings.warm)
    running.require_alive()
    loading = load_command(scenario, running.port, settings.seconds)
    loaded: list[int] = []
    busy = core_busy(cores()[0])
    before = read_cpu(running.pid)
    load = run_load(
        loading,
        scenario.connections,
        load_core,
        settings.seconds,
        halfway=lambda: loaded.append(resident(running.pid)),
    )
    running.require_alive()
    cpu_ns = spent(before, read_cpu(running.pid))
    busy = core_busy(cores()[0]) - busy
    units = load.requests * scenario.units
    return Sample(
        scenario.name,
        server.name,
        portable(command),
        portable(loading),
        cpu_us=cpu_ns / 1000 / units if units else 0.0,
        per_second=load.per_second * scenario.units,
        p50_us=load.p50_us,
        p90_us=load.p90_us,
        p99_us=load.p99_us,
        p999_us=load.p999_us,
        curve=load.curve,
        rss=loaded[0],
        requests=load.requests,
        foreign=0.0 if scenario.every_core else max(0.0, (busy - cpu_ns) / 1000 / load.duration_us),
        error=load_errors(load),
    )


@contextlib.contextmanager
def _beside(scenario: Scenario, running: Running, metrics: str) -> Iterator[CrowdCount]:
    """What goes on beside the load: a crowd of slow clients, and who collects `metrics`. Raises LoadError."""
    with contextlib.ExitStack() as stack:
        if metrics:
            stack.enter_context(scraping(metrics))
        yield stack.enter_context(slow_crowd(running.port, scenario.crowd)) if scenario.crowd else CrowdCount()


def _with_idle(scenario: Scenario, server: Server, running: Running, command: list[str]) -> Sample:
    """What it costs to open the scenario's connections and to answer each once, and what they hold when they rest."""
    at_rest = resident(running.pid)
    with idle_connections(scenario, running.port, WARM_CONNECTIONS):
        pass  # they fill what all connections share
    running.require_alive()
    before, warm = read_cpu(running.pid), resident(running.pid)
    busy, begun = core_busy(cores()[0]), time.monotonic()
    with idle_connections(scenario, running.port, scenario.idle):
        cpu_ns = spent(before, read_cpu(running.pid))
        busy, seconds = core_busy(cores()[0]) - busy, time.monotonic() - begun
        loaded = resident(running.pid)
        running.require_alive()
    return Sample(
        scenario.name,
        server.name,
        portable(command),
        cpu_us=cpu_ns / 1000 / scenario.idle,
        per_second=scenario.idle / seconds,
        rss_rest=at_rest,
        rss=loaded,
        idle_bytes=(loaded - warm) / scenario.idle,
        requests=scenario.idle,
        foreign=max(0.0, (busy - cpu_ns) / 1e9 / seconds),
    )


def load_errors(load: Load) -> str:
    """What went wrong for the clients, or nothing."""
    if load.requests == 0:
        return "no request was answered"
    return ", ".join(f"{count} {kind} errors" for kind, count in load.errors.items())


def crowd_error(scenario: Scenario, count: CrowdCount) -> str:
    """What the slow clients have missed, or nothing."""
    if not scenario.crowd or not count.behind:
        return ""
    return f"{count.behind} of {scenario.crowd.connections} slow clients got less than half of their pace"


def _check_log(path: Path, sample: Sample) -> None:
    """A server that logs requests must have logged those that were measured, now that it has stopped."""
    with path.open("rb") as lines:
        count = sum(1 for _ in lines)
    if count < sample.requests:
        raise WrongAnswerError(f"{count} lines in the access log for {sample.requests} requests")
