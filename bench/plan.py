"""What is measured: scenarios, servers and thresholds, read from the TOML files beside this module."""

import tomllib
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".venv-peers"  # the peers' own environment
PEER_PYTHON = PEERS / "bin" / "python"
T = TypeVar("T")
Interface = Literal["asgi", "wsgi"]
Figure = Literal["cpu_us", "per_second", "p99_us"]
DEFAULT_SERVERS = ("limit", "fastserve", "fastserve-wsgi-1", "uvicorn")  # those of a scenario's interfaces
BOUNDARY = "bench-7d3f1a"  # of a form's parts; the scenario's own header field says it too


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

    def of_length(self, length: int, **body: Any) -> "Answer":
        """The same with another body."""
        return replace(self, headers=self.headers | {"content-length": str(length)}, **body)

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
class Crowd:
    """So many connections beside the load, each of which takes the `bytes` under `path` at `per_second`."""

    connections: int
    path: str
    bytes: int
    per_second: int


@dataclass(frozen=True)
class Mix:
    """Requests at an even `rate` a second, of several kinds: `shares` has per thousand of each path.

    Latencies are those of the first path alone, from the moment at which a request was due.
    """

    rate: int
    shares: dict[str, int]


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
    body: str = ""  # of the request, as text
    form: int = 0  # likewise a form with one file of this many bytes
    paths: tuple[str, ...] = ()  # asked for in turn, in place of `path`; each is the number of bytes that it answers
    mix: Mix | None = None
    crowd: Crowd | None = None
    websocket: tuple[str, ...] = ()
    tls: bool = False
    handshakes: bool = False  # a full one of TLS for each request
    http2: int = 0  # streams at the same time in each connection; 0: HTTP/1.1
    every_core: bool = False  # server and load share all of them, in place of one for each
    idle: int = 0  # connections that are opened and then rest, in place of load
    script: str = "report.lua"
    script_args: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    unit: str = "request"
    units: int = 1

    @property
    def payload(self) -> bytes:
        """The request's body."""
        return self.body.encode() or (_form(self.form) if self.form else b"x" * self.upload)

    @property
    def asked(self) -> "list[Scenario]":
        """The requests that are checked, each as a scenario of its own."""
        sizes = {path: int(path.rpartition("/")[2]) for path in self.paths}
        answers = {path: self.answer.of_length(size, size=size) for path, size in sizes.items()}
        return [replace(self, path=path, paths=(), answer=answer) for path, answer in answers.items()] or [self]

    def under(self, server: "Server") -> "Scenario":
        """With the answer that `server` gives."""
        text = server.answers.get(self.app_for(server))
        return self if text is None else replace(self, answer=self.answer.of_length(len(text), text=text))

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
    access_log: str = ""  # the file with a line for each request
    metrics: str = ""  # the Unix socket or the port of 127.0.0.1 where they are scraped once a second
    answers: dict[str, str] = field(default_factory=dict)  # by module: the text where it is not the scenario's
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
    """What is measured together; `pictures` are the scenarios whose pictures are kept where README shows the set.

    The scenarios are those of the `sets` before its own.
    """

    scenarios: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
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
            _sets({name: ScenarioSet(**_frozen(table)) for name, table in set_tables["set"].items()}),
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


def _sets(tables: dict[str, ScenarioSet]) -> dict[str, ScenarioSet]:
    """With the scenarios of the sets that each is made of. Raises ValueError for an unknown one."""
    whole = {}
    for name, each in tables.items():
        parts = [part.scenarios for part in choose(tables, list(each.sets), "set")]
        whole[name] = replace(each, scenarios=tuple(chain(*parts, each.scenarios)))
    return whole


def _scenario(name: str, table: dict[str, Any]) -> Scenario:
    """Raises ValueError for one without an application, with both ways to name it, with handshakes but no TLS, or with
    two bodies."""
    apps = table.get("apps")
    if bool(apps) == ("app" in table):
        raise ValueError(f"scenario {name} needs one of `app` and `apps`")
    if table.get("handshakes") and not table.get("tls"):
        raise ValueError(f"scenario {name} has handshakes but no `tls`")
    if sum(key in table for key in ("upload", "body", "form")) > 1:
        raise ValueError(f"scenario {name} needs at most one of `upload`, `body` and `form`")
    if apps:
        table["interface"], table["app"] = next(iter(apps.items()))
    for key, kind in (("mix", Mix), ("crowd", Crowd)):
        if key in table:
            table[key] = kind(**table[key])
    return Scenario(name=name, answer=Answer(**table.pop("answer")), **_frozen(table))


def _form(size: int) -> bytes:
    """multipart/form-data (RFC 7578) with one field and one file."""
    parts = (
        b'name="title"\r\n\r\nA picture',
        b'name="file"; filename="picture.bin"\r\nContent-Type: application/octet-stream\r\n\r\n' + b"x" * size,
    )
    mark = BOUNDARY.encode()
    lines = b"".join(b"--%s\r\nContent-Disposition: form-data; %s\r\n" % (mark, part) for part in parts)
    return b"%s--%s--\r\n" % (lines, mark)


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
