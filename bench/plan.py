"""What is measured: scenarios, servers and thresholds, read from the TOML files beside this module."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".venv-peers"  # the peers' own environment
PEER_PYTHON = PEERS / "bin" / "python"
T = TypeVar("T")
Interface = Literal["asgi", "wsgi"]
Figure = Literal["cpu_us", "per_second", "p99_us"]
DEFAULT_SERVERS = ("limit", "fastserve", "fastserve-wsgi-1", "uvicorn")  # those of a scenario's interfaces


@dataclass(frozen=True)
class Answer:
    """The response that a scenario expects: `text`, or `size` times the letter x in chunks of `chunk` bytes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    size: int = 0
    chunk: int = 0

    @property
    def body(self) -> bytes:
        return b"x" * self.size if self.size else self.text.encode()

    def on_the_wire(self) -> bytes:
        """The whole response as the limit program sends it, with the Date and Server fields that real servers add."""
        fields = {"server": "limit", "date": "Thu, 01 Jan 1970 00:00:00 GMT"} | self.headers
        head = f"HTTP/1.1 {self.status} OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n"
        return head.encode() + (self._chunked() if self.chunk else self.body)

    def _chunked(self) -> bytes:
        body = self.body
        pieces = [body[at : at + self.chunk] for at in range(0, len(body), self.chunk)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


@dataclass(frozen=True)
class Scenario:
    """One kind of load. `units` of `unit` are in each request; CPU time is reported for one of them."""

    name: str
    title: str
    app: str
    answer: Answer
    interface: Interface = "asgi"
    apps: dict[Interface, str] = field(default_factory=dict)  # by interface, where it has more than one
    connections: int = 64
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    upload: int = 0
    websocket: tuple[str, ...] = ()
    tls: bool = False
    handshakes: bool = False  # a full one of TLS for each request
    http2: int = 0  # streams at the same time in each connection; 0: HTTP/1.1
    idle: int = 0  # connections that are opened and then rest, in place of load
    script: str = "report.lua"
    script_args: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    unit: str = "request"
    units: int = 1

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those that an application is there for."""
        return tuple(self.apps) or (self.interface,)

    def app_for(self, server: "Server") -> str:
        """The module that `server` loads; one without an interface loads none."""
        return self.apps[server.interface] if self.apps and server.interface else self.app

    def admits(self, server: "Server") -> bool:
        """Whether `server` may take part when it is asked for."""
        if server.scenarios and self.name not in server.scenarios:
            return False
        if (self.tls and not server.tls) or (self.http2 and not server.speaks_http2):
            return False
        if self.servers:
            return server.name in (*self.servers, *self.also)
        return server.interface in (None, *self.interfaces)


@dataclass(frozen=True)
class Server:
    """How a server is started; the fields in braces are explained in servers.toml."""

    name: str
    command: tuple[str, ...]
    packages: tuple[str, ...] = ()
    interface: Interface | None = None
    peer: bool = False
    needs: str = ""
    program: str = ""  # that has to be on the PATH
    as_root: bool = True  # whether it can be started by root
    scenarios: tuple[str, ...] = ()  # the only ones that it can do; without any, all of its interface
    logs_requests: bool = False
    tls: tuple[str, ...] = ()  # what its command has beside the rest where it speaks TLS; without any it does not
    http2: tuple[str, ...] = ()  # likewise HTTP/2,
    speaks_http2: bool = False  # which it may do without


@dataclass(frozen=True)
class Threshold:
    """In `scenario` the `figure` of `server` is at most `most` or at least `least`.

    Both are times the same figure of the server `reference`, in `reference_scenario` where that is another one; without
    a reference they are what the figure itself may be.
    """

    scenario: str
    server: str
    figure: Figure = "cpu_us"
    most: float | None = None
    least: float | None = None
    reference: str | None = None
    reference_scenario: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be judged."""
        if self.figure not in get_args(Figure):
            raise ValueError(f"unknown figure {self.figure!r}; there are: {', '.join(get_args(Figure))}")
        if (self.most is None) == (self.least is None):
            raise ValueError(f"a threshold of {self.server} in {self.scenario} needs one of `most` and `least`")
        if self.reference_scenario and not self.reference:
            raise ValueError(f"a threshold of {self.server} in {self.scenario} names a scenario but no reference")

    @property
    def against(self) -> tuple[str, str] | None:
        """Scenario and server of the reference."""
        return (self.reference_scenario or self.scenario, self.reference) if self.reference else None


@dataclass(frozen=True)
class MemoryPlan:
    """How many connections and requests the memory runs make, and the bytes of resident memory they may cost."""

    idle_connections: int
    idle_bytes_each: int
    cut_requests: int
    aborted_connections: int
    returns_within: int


@dataclass(frozen=True)
class Duty:
    """What a server does in these runs and what it leaves out; a yes, a no, or a few words each."""

    processes: str
    threads: str
    deadlines: str  # for silent, slow and stalled clients
    limits: str  # on head and body
    reload: str  # a new application without a lost request
    access_log: str
    note: str = ""


@dataclass(frozen=True)
class SlowTransfer:
    """One client moves `bytes` at `per_second` by a request for `path`; the server's memory may grow by `grows_by`."""

    method: str
    path: str
    bytes: int
    per_second: int
    grows_by: int


@dataclass(frozen=True)
class ScenarioSet:
    """What is measured together; `pictures` are the scenarios whose pictures are kept where README shows the set."""

    scenarios: tuple[str, ...]
    servers: tuple[str, ...] = ()
    within: float = 0  # minutes
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    scenarios: dict[str, Scenario]
    servers: dict[str, Server]
    thresholds: tuple[Threshold, ...]
    memory: MemoryPlan
    slow: dict[str, SlowTransfer]
    duties: dict[str, Duty]
    sets: dict[str, ScenarioSet]


def load_plan(folder: Path = HERE) -> Plan:
    """Read the four files. Raises ValueError for a name or key that does not exist."""
    tables = tomllib.loads((folder / "scenarios.toml").read_text())
    server_tables = tomllib.loads((folder / "servers.toml").read_text())
    duty_tables = tomllib.loads((folder / "duties.toml").read_text())
    set_tables = tomllib.loads((folder / "sets.toml").read_text())
    try:
        plan = Plan(
            {name: _scenario(name, table) for name, table in tables["scenario"].items()},
            {name: Server(name=name, **_frozen(table)) for name, table in server_tables["server"].items()},
            tuple(Threshold(**table) for table in tables["threshold"]),
            MemoryPlan(**tables["memory"]),
            {name: SlowTransfer(**table) for name, table in tables["slow"].items()},
            {name: Duty(**table) for name, table in duty_tables["duty"].items()},
            {name: ScenarioSet(**_frozen(table)) for name, table in set_tables["set"].items()},
        )
    except TypeError as error:
        raise ValueError(f"scenarios.toml, servers.toml, duties.toml or sets.toml: {error}") from error
    for scenario in plan.scenarios.values():
        choose(plan.servers, [*scenario.servers, *scenario.also], "server")
    for server in plan.servers.values():
        choose(plan.scenarios, list(server.scenarios), "scenario")
    choose(plan.servers, list(plan.duties), "server")
    for chosen in plan.sets.values():
        choose(plan.scenarios, [*chosen.scenarios, *chosen.pictures], "scenario")
    for threshold in plan.thresholds:
        choose(plan.scenarios, [threshold.scenario], "scenario")
        choose(plan.servers, [threshold.server], "server")
        if threshold.against:
            choose(plan.scenarios, [threshold.against[0]], "scenario")
            choose(plan.servers, [threshold.against[1]], "server")
    return plan


def participants(plan: Plan, scenario: Scenario, asked: list[str] | None) -> list[Server]:
    """Those asked for that may take part; when none is, the scenario's own servers or else the default ones.

    Raises ValueError for an unknown name.
    """
    names = list(scenario.servers or DEFAULT_SERVERS) if asked is None else asked
    return [server for server in choose(plan.servers, names, "server") if scenario.admits(server)]


def choose(known: dict[str, T], names: list[str], what: str) -> list[T]:
    """The entries with these names, in this order. Raises ValueError for an unknown one."""
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(known)}")
    return [known[name] for name in names]


def _scenario(name: str, table: dict[str, Any]) -> Scenario:
    """Raises ValueError for one without an application, with both ways to name it, or with handshakes but no TLS."""
    apps = table.get("apps")
    if bool(apps) == ("app" in table):
        raise ValueError(f"scenario {name} needs one of `app` and `apps`")
    if table.get("handshakes") and not table.get("tls"):
        raise ValueError(f"scenario {name} has handshakes but no `tls`")
    if apps:
        table["interface"], table["app"] = next(iter(apps.items()))
    return Scenario(name=name, answer=Answer(**table.pop("answer")), **_frozen(table))


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
