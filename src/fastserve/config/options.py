"""The table of options: flags, variables, `--help`, `fastserve.Config` and docs/options.md come from here."""

from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

from fastserve import core_tables
from fastserve.config.option_types import (
    Addresses,
    Choice,
    CPUs,
    Fields,
    HostNames,
    Integer,
    Kind,
    MountPath,
    Octal,
    OneAddress,
    Owner,
    Peers,
    Seconds,
    Secret,
    Size,
    Switch,
    Text,
    Texts,
    Variables,
    Words,
    Workers,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

APPLICATION = "Application"
ADDRESS = "Address"
PROXY = "Proxies and header fields"
LOGGING = "Logging"
LIMITS = "Limits"
TIMEOUTS = "Timeouts"
WEBSOCKET = "WebSocket"
TLS = "TLS"
HTTP2 = "HTTP/2"
WORKERS = "Workers"
SERVICE = "Service"
ADMIN = "Admin"

GROUPS = (APPLICATION, ADDRESS, TLS, WORKERS, PROXY, LOGGING, LIMITS, TIMEOUTS, HTTP2, WEBSOCKET, SERVICE, ADMIN)

UVICORN = "uvicorn"
GUNICORN = "gunicorn"
HYPERCORN = "hypercorn"
GRANIAN = "granian"

_UINT32 = (1 << 32) - 1
_INT31 = (1 << 31) - 1
_MOST = 1 << 62
_YEAR = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: what an option is called, takes and does."""

    name: str
    kind: Kind
    default: Any
    group: str
    description: str
    flag: str
    """The command line's name without dashes."""
    default_text: str
    peers: tuple[str, ...]
    """Servers that have the option under the same name."""
    also: tuple[str, ...]
    """Environment variables that are read when ours is not set."""
    limit: str
    """The name in `ext/proto/limits.h`; empty for an option that is not a limit."""

    @property
    def environment(self) -> tuple[str, ...]:
        """The variables that set the option; the first takes precedence."""
        return (f"FASTSERVE_{self.flag.upper().replace('-', '_')}", *self.also)

    @property
    def flags(self) -> str:
        """How the option is declared on the command line; a switch with its opposite."""
        if isinstance(self.kind, Switch) and self.default is not False:
            return f"--{self.flag}/--no-{self.flag}"
        return f"--{self.flag}"

    @property
    def shown_default(self) -> str:
        """The default as the documents show it; empty if there is none."""
        if self.default_text or self.default is None or self.default is False:
            return self.default_text
        return self.kind.show(self.default)


def option(
    default: T,
    kind: Kind,
    group: str,
    description: str,
    *,
    flag: str = "",
    default_text: str = "",
    peers: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    limit: str = "",
) -> T:
    """Returns a row of the table as a dataclass field; the parameters are those of `Option`."""
    row = {
        "kind": kind,
        "group": group,
        "description": description,
        "flag": flag,
        "default_text": default_text,
        "peers": peers,
        "also": also,
        "limit": limit,
    }
    value: T = field(default=default, metadata=row, repr=not isinstance(kind, Secret | Variables))
    return value


class KindOf(Kind, Protocol[T_co]):
    """A kind whose values are of this type."""

    def convert(self, value: object) -> T_co: ...


def limit(
    name: str, kind: KindOf[T], group: str, description: str, *, peers: tuple[str, ...] = (), default_text: str = ""
) -> T:
    """Returns the row of a limit of the core, whose default stands in `ext/proto/limits.h` under this name."""
    default = kind.convert(_from_core(kind, core_tables.LIMITS[name]))
    return option(default, kind, group, description, peers=peers, default_text=default_text, limit=name)


def _from_core(kind: Kind, value: int) -> object:
    """Converts a value of the core to the option's form: times to seconds, and a choice to its name."""
    if isinstance(kind, Choice):
        return kind.names[value]
    return value / 1000 if isinstance(kind, Seconds) else value


@dataclass(frozen=True, kw_only=True)
class Options:
    """Every option's value; as class attributes, the defaults."""

    app_dir: str = option(
        "", Text("DIRECTORY"), APPLICATION,
        "Where the application's module is found; put first in the module search path.",
        default_text="the current directory", peers=(UVICORN,),
    )
    factory: bool = option(
        False, Switch(), APPLICATION, "The attribute is a function without parameters that makes the application.",
        peers=(UVICORN,),
    )
    interface: str = option(
        "auto", Choice(("auto", "asgi3", "asgi2", "wsgi")), APPLICATION,
        "The application's interface; auto detects it by the signature.", peers=(UVICORN,),
    )
    asgi_extensions: tuple[str, ...] = option(
        ("early_hint", "trailers"),
        Words(("early_hint", "pathsend", "trailers", "zerocopysend"), "http.response."), APPLICATION,
        "Which of ASGI's http.response extensions are offered to the application: early_hint, pathsend, trailers, "
        "zerocopysend. Middleware that does not know pathsend or zerocopysend loses bodies that are sent that way.",
    )
    loop: str = option(
        "auto", Choice(("auto", "uvloop", "asyncio")), APPLICATION,
        "The event loop; auto is uvloop if it is installed.", peers=(UVICORN,),
    )
    lifespan: str = option(
        "auto", Choice(("auto", "on", "off")), APPLICATION,
        "Lifespan events; auto goes on without them when the application does not know them, on makes that an error.",
        peers=(UVICORN,),
    )
    root_path: str = option(
        "", MountPath(), APPLICATION,
        "The path under which a proxy mounts the application (ASGI root_path, WSGI SCRIPT_NAME).", peers=(UVICORN,),
    )
    threads: int = option(
        8, Integer(1, 1024), APPLICATION,
        "Most calls of a WSGI application at a time; with 1 all calls are made in the main thread.",
        peers=(GUNICORN,),
    )
    thread_stack_size: int = option(
        0, Size(128 << 10, 1 << 30, or_zero=True), APPLICATION,
        "Stack size in bytes of a worker's threads, including those that the application starts; at least 128K. 0 is "
        "the system's default.",
    )

    host: str = option(
        "127.0.0.1", Text("HOST"), ADDRESS,
        "Address or name to listen on; of a name, every address. :: includes IPv4.", peers=(UVICORN,),
    )
    port: int = option(
        8000, Integer(0, 65535, "PORT"), ADDRESS, "TCP port to listen on; 0 takes a free one, which is logged.",
        peers=(UVICORN,), also=("PORT",),
    )
    bind: tuple[str, ...] = option(
        (), Addresses(), ADDRESS,
        "Address to listen on, instead of host and port: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd://NUMBER; "
        "repeatable (in the variable, with commas).", peers=(GUNICORN,),
    )
    uds: str | None = option(
        None, Text("PATH"), ADDRESS, "Unix socket to listen on, instead of TCP; removed at the end.", peers=(UVICORN,),
    )
    uds_mode: int | None = option(
        None, Octal(), ADDRESS, "Mode of the Unix sockets that are created, octal.",
        default_text="666, or the mode of the socket it replaces",
    )
    uds_owner: str | None = option(
        None, Owner(), ADDRESS, "Owner of the Unix sockets that are created: USER:GROUP, USER or :GROUP.",
    )
    fd: int | None = option(
        None, Integer(0, (1 << 31) - 1, "NUMBER"), ADDRESS,
        "Inherited descriptor of a bound stream socket to listen on, instead of an address.", peers=(UVICORN,),
    )
    backlog: int = option(
        2048, Integer(1, (1 << 31) - 1), ADDRESS,
        "Connections that may wait to be accepted (the system may set a lower limit).", peers=(UVICORN, GUNICORN),
    )
    listen_when_ready: bool = option(
        False, Switch(), ADDRESS,
        "Refuse connections until a worker can answer, instead of letting them wait; addresses are bound at once.",
    )

    insecure_bind: tuple[str, ...] = option(
        (), Addresses(), TLS,
        "Address to listen on without TLS, beside those with TLS; written as for --bind; repeatable.",
        peers=(HYPERCORN,),
    )
    ssl_certfile: tuple[str, ...] = option(
        (), Texts("FILE"), TLS,
        "Certificate with its chain, PEM; turns TLS on. Repeatable: a client gets the one that has the name it asks "
        "for (SNI), else the first.", peers=(UVICORN,),
    )
    ssl_keyfile: tuple[str, ...] = option(
        (), Texts("FILE"), TLS, "Key of the certificate, PEM; repeatable, in the certificates' order.",
        default_text="in the certificate's file", peers=(UVICORN,),
    )
    ssl_keyfile_password: str | None = option(
        None, Secret(), TLS, "Password of the keys; better given in the variable than on the command line.",
        peers=(UVICORN,),
    )
    ssl_ca_certs: str | None = option(
        None, Text("FILE"), TLS, "Certificates of the authorities that sign clients' certificates, PEM.",
        peers=(UVICORN,),
    )
    ssl_crl: str | None = option(
        None, Text("FILE"), TLS,
        "Clients' revoked certificates, PEM: a list (CRL) of each authority in their chains. Read again when changed.",
    )
    ssl_cert_reqs: str = option(
        "none", Choice(("none", "optional", "required")), TLS,
        "Whether clients are asked for a certificate, and whether they have to show one.",
    )
    ssl_ciphers: str = option(
        "ECDHE+AESGCM:ECDHE+CHACHA20", Text("LIST"), TLS, "Ciphers of TLS 1.2, as OpenSSL writes them.",
        peers=(UVICORN,),
    )
    ssl_min_version: str = option("1.2", Choice(("1.2", "1.3")), TLS, "The oldest version of TLS to speak.")
    ssl_context: str | None = option(
        None, Text("MODULE:FUNCTION"), TLS,
        "Function that returns the ssl.SSLContext; it receives a factory for the context of the other options.",
    )
    ssl_ticket_key_age: float = option(
        86400.0, Seconds(0.0, _YEAR), TLS,
        "Seconds after which the keys of session tickets are replaced: earlier sessions cannot be resumed. 0 is never.",
    )
    ssl_handshake_timeout: float = limit(
        "timeout_tls_handshake", Seconds(), TLS, "For the TLS handshake of a connection."
    )
    ssl_redirect: bool = option(
        False, Switch(), TLS, "On the addresses without TLS, redirect every request to the same URL with https (308)."
    )

    workers: int = option(
        1, Workers(), WORKERS, "Worker processes; auto is as many as the CPUs that the process may use.",
        peers=(UVICORN, GUNICORN), also=("WEB_CONCURRENCY",),
    )
    supervisor: bool = option(
        True, Switch(), WORKERS,
        "Run the workers under a supervising process; without one, this process serves and is the only worker.",
    )
    balance_connections: bool = option(
        True, Switch(), WORKERS,
        "Let a worker that is clearly busier than a sibling hand accepted connections over to it.",
    )
    preload: bool = option(
        False, Switch(), WORKERS, "Import the application once, before the workers are forked.", peers=(GUNICORN,)
    )
    max_requests: int = option(
        0, Integer(0, _MOST), WORKERS, "Requests after which a worker is replaced; 0 is no limit.", peers=(GUNICORN,)
    )
    max_requests_jitter: int = option(
        0, Integer(0, _MOST), WORKERS,
        "Add a random 0 to N to max-requests for each worker, so that not all are replaced at once.", peers=(GUNICORN,),
    )
    max_worker_age: float = option(
        0.0, Seconds(0.0, _YEAR), WORKERS, "Seconds after which a worker is replaced; 0 is no limit."
    )
    max_worker_memory: int = option(
        0, Size(1 << 20, _MOST, or_zero=True), WORKERS,
        "Resident memory in bytes above which a worker is replaced, at least 1M; 0 is no limit.",
    )
    cpu_affinity: str = option(
        "", CPUs(), WORKERS,
        "The CPUs that workers are bound to, one each: a list such as 0,2-5, or auto for all that may be used.",
        default_text="not bound",
    )
    hooks: str | None = option(
        None, Text("MODULE"), WORKERS,
        "Module with functions that the supervisor and the workers call: on_starting, post_fork, ...",
    )
    reload: bool = option(
        False, Switch(), WORKERS, "For development: replace the workers whenever a source file changes.",
        peers=(UVICORN, GUNICORN),
    )
    reload_dir: tuple[str, ...] = option(
        (), Texts("DIRECTORY"), WORKERS,
        "Directory that --reload watches; repeatable (in the variable, with commas).",
        default_text="the application's", peers=(UVICORN,),
    )
    reload_include: tuple[str, ...] = option(
        (), Texts("PATTERN"), WORKERS,
        "Names of files that --reload watches besides *.py; repeatable (in the variable, with commas).",
        peers=(UVICORN,),
    )
    reload_exclude: tuple[str, ...] = option(
        (), Texts("PATTERN"), WORKERS,
        "Names of files and directories that --reload ignores, besides hidden ones, bytecode and installed "
        "packages; repeatable (in the variable, with commas).", peers=(UVICORN,),
    )

    proxy_protocol: bool = option(
        False, Switch(), PROXY,
        "Take client and server address from a PROXY protocol header (version 1 or 2), which trusted peers have to "
        "send.", peers=(GUNICORN,),
    )
    proxy_allow_from: tuple[str, ...] = option(
        ("127.0.0.1", "::1", "unix"), Peers(), PROXY,
        "The peers that are trusted to send a PROXY protocol header, written as the trusted proxies.",
        peers=(GUNICORN,),
    )
    proxy_headers: bool = option(
        True, Switch(), PROXY,
        "Take client, scheme and host from X-Forwarded-For, -Proto and -Host of a trusted proxy.", peers=(UVICORN,),
    )
    forwarded_allow_ips: tuple[str, ...] = option(
        ("127.0.0.1", "::1", "unix"), Peers(), PROXY,
        "The trusted proxies: addresses, networks, unix for Unix sockets, * for every peer; with commas.",
        peers=(UVICORN, GUNICORN),
    )
    headers: tuple[tuple[bytes, bytes], ...] = option(
        (), Fields(), PROXY,
        "A header field for every response; repeatable (in the variable, one a line). A Server or Date takes the place "
        "of the server's own, and is sent when the application sends none.",
        flag="header", peers=(UVICORN,),
    )
    server_header: bool = option(
        True, Switch(), PROXY, "Send a Server field when the application sends none.", peers=(UVICORN,)
    )
    date_header: bool = option(
        True, Switch(), PROXY, "Send a Date field when the application sends none.", peers=(UVICORN,)
    )
    header_underscores: str = option(
        "drop", Choice(("drop", "allow")), PROXY,
        "Header fields with an underscore in the name: WSGI, CGI and what is made for them cannot tell them from those "
        "with a dash.",
    )

    log_level: str | None = option(
        None, Choice(("critical", "error", "warning", "info", "debug")), LOGGING,
        "The least severe messages that are logged; the access log does not depend on it.",
        default_text="info, or what --log-config says", peers=(UVICORN, GUNICORN),
    )
    log_config: str | None = option(
        None, Text("FILE"), LOGGING,
        "Logging configuration: .json, .yaml or .toml for logging.config.dictConfig, any other for fileConfig.",
        peers=(UVICORN, GUNICORN),
    )
    log_rate_limit: int = option(
        10, Integer(0, 1_000_000), LOGGING,
        "Lines of one kind a second, including tracebacks, that clients can make a worker log, after a burst of five "
        "times as many; omitted lines are counted. 0 is no limit.",
    )
    use_colors: bool | None = option(
        None, Switch(), LOGGING, "Colour the levels in the log.", default_text="on a terminal", peers=(UVICORN,)
    )
    access_log: bool | None = option(
        None, Switch(), LOGGING, "Write a line for each request.",
        default_text="yes; for an embedded server with --access-logfile", peers=(UVICORN,),
    )
    access_logfile: str = option(
        "-", Text("FILE"), LOGGING, "File that the access log is appended to; - is the standard output.",
        peers=(GUNICORN,),
    )

    limit_request_line: int = limit(
        "max_request_line", Size(16, 1 << 20), LIMITS, "Longest request line in bytes (answered 414).",
        peers=(GUNICORN,),
    )
    limit_request_head: int = limit(
        "max_head", Size(16, 1 << 26), LIMITS, "Largest request head in bytes (answered 431)."
    )
    limit_request_fields: int = limit(
        "max_fields", Integer(1, 1000), LIMITS, "Most header fields in a request (answered 431).",
        peers=(GUNICORN,),
    )
    limit_methods: str = limit(
        "methods", Choice(("any", "standard")), LIMITS,
        "Methods that reach the application: any that is well-formed, or those that IANA has registered (others are "
        "answered 501).",
    )
    limit_request_body: int = limit(
        "max_body", Size(0, _MOST), LIMITS, "Largest request body in bytes (answered 413); 0 is no limit.",
    )
    body_buffer_size: int = limit(
        "body_buffer", Size(0, _MOST), LIMITS,
        "Bytes of a WSGI application's request body that are held in memory; a longer one goes to a file in TMPDIR.",
    )
    limit_buffered: int = limit(
        "buffered", Size(1 << 20, _MOST, or_zero=True), LIMITS,
        "Bytes of memory in which a worker holds what clients send: bodies, WebSocket messages, unread input. A body "
        "that does not fit goes to a file (WSGI) or is answered 503 with Retry-After. At least 1M; 0 is no limit.",
    )
    limit_body_files: int | None = option(
        None, Size(0, _MOST), LIMITS,
        "Bytes of a WSGI worker's files in TMPDIR for bodies that are not held in memory. A body that does not fit is "
        "answered 503 with Retry-After, one that never could fit 413; 0 is no limit.",
        default_text="half of the space free at the start, shared by the workers; at most 10G", limit="body_files",
    )
    limit_pipelined: int = limit(
        "max_pipelined", Integer(1, _UINT32), LIMITS, "Requests of one connection served before others get their turn.",
    )
    limit_keep_alive_requests: int = limit(
        "max_requests", Integer(0, _MOST), LIMITS,
        "Requests served on one connection before it is closed; 0 is no limit.",
    )
    limit_concurrency: int = limit(
        "max_concurrency", Integer(0, _UINT32), LIMITS,
        "Requests at a time, each until its application has ended, even if its client has left; others are answered "
        "503 with Retry-After. 0 is no limit.",
        peers=(UVICORN,),
    )
    limit_queue: int = limit(
        "max_queue", Integer(0, _UINT32), LIMITS,
        "Requests that may wait for one of --limit-concurrency to end; others are answered 503. 0 lets none wait.",
    )

    http: str = option(
        "auto", Choice(("auto", "1.1", "2")), HTTP2,
        "Versions of HTTP to speak; auto is both, by ALPN with TLS and by the client's first bytes without.",
        peers=(GRANIAN,),
    )
    h2_max_streams: int = limit(
        "h2_max_streams", Integer(1, _INT31), HTTP2, "Requests that a connection may have open at the same time.",
    )
    h2_max_header_list: int = limit(
        "h2_max_header_list", Size(1024, 1 << 26), HTTP2,
        "Largest request head in bytes, uncompressed and with 32 for each field (answered 431).",
    )
    h2_max_frame_size: int = limit(
        "h2_max_frame_size", Size(16384, (1 << 24) - 1), HTTP2, "Largest frame in bytes that clients may send.",
    )
    h2_stream_window: int = limit(
        "h2_stream_window", Size(1024, _INT31), HTTP2,
        "Bytes of a request's body that may be in transit or wait for the application.",
    )
    h2_connection_window: int = limit(
        "h2_connection_window", Size(65535, _INT31), HTTP2,
        "Bytes of all requests of a connection that may be in transit.",
    )
    h2_max_resets: int = limit(
        "h2_reset_rate", Integer(1, 1_000_000), HTTP2,
        "Requests a second that a client may reset, after a burst; more close its connection (rapid reset).",
    )
    h2_ping_interval: float = limit(
        "timeout_h2_ping", Seconds(0.0), HTTP2,
        "Silence of a client with open requests after which it is pinged; 0 sends no pings.",
    )
    h2_ping_timeout: float = limit(
        "timeout_h2_pong", Seconds(0.0), HTTP2, "For the answer to a ping (the connection is closed); 0 is no limit.",
    )

    ws: str = option(
        "auto", Choice(("auto", "none")), WEBSOCKET,
        "WebSocket for ASGI applications; none ignores upgrades and serves their requests as HTTP.",
        peers=(UVICORN,),
    )
    ws_max_size: int = limit(
        "ws_max_size", Size(1, _MOST), WEBSOCKET, "Largest message in bytes, uncompressed (closed with 1009).",
        peers=(UVICORN,),
    )
    ws_max_queue: int = limit(
        "ws_max_queue", Integer(1, _UINT32), WEBSOCKET,
        "Messages that may wait for the application before reading pauses; it also pauses at 64 KiB of them.",
        peers=(UVICORN,),
    )
    ws_ping_interval: float = limit(
        "timeout_ws_ping", Seconds(0.0), WEBSOCKET, "Time between two pings; 0 sends none.", peers=(UVICORN,)
    )
    ws_ping_timeout: float = limit(
        "timeout_ws_pong", Seconds(0.0), WEBSOCKET, "For the answer to a ping (closed with 1011); 0 is no limit.",
        peers=(UVICORN,),
    )
    ws_message_timeout: float = limit(
        "timeout_ws_message", Seconds(0.0), WEBSOCKET,
        "For the next part of a begun message, and ten times as long for the whole (closed with 1008); 0 is no limit.",
    )
    ws_per_message_deflate: bool | None = option(
        None, Switch(), WEBSOCKET, "Compress messages with clients that offer it (permessage-deflate).",
        default_text="if built with zlib", peers=(UVICORN,),
    )
    ws_deflate_min_size: int = limit(
        "ws_deflate_min_size", Size(0, _UINT32), WEBSOCKET, "Bytes from which a message is compressed."
    )
    ws_handshake_timeout: float = limit(
        "timeout_ws_handshake", Seconds(0.0), WEBSOCKET,
        "For the application to accept or refuse (logged with its stack, answered 504); 0 is no limit.",
    )
    ws_close_timeout: float = limit("timeout_ws_close", Seconds(), WEBSOCKET, "For a client's answer to a close frame.")
    ws_drain_timeout: float = option(
        5.0, Seconds(0.0), WEBSOCKET,
        "At a stop, WebSockets are told and closed with 1012 over this time, each at a random moment.",
    )

    timeout_first_byte: float = limit(
        "timeout_first_byte", Seconds(), TIMEOUTS, "A new connection that sends nothing is closed."
    )
    timeout_request_head: float = limit(
        "timeout_head", Seconds(), TIMEOUTS, "For a whole request head, from its first byte (answered 408).",
    )
    timeout_keep_alive: float = limit(
        "timeout_keep_alive", Seconds(), TIMEOUTS, "A connection that is idle between two requests is closed.",
        peers=(UVICORN,),
    )
    timeout_request_body: float = limit(
        "timeout_body", Seconds(), TIMEOUTS, "A request body that makes no progress (answered 408)."
    )
    timeout_request: float = limit(
        "timeout_request", Seconds(0.0), TIMEOUTS,
        "For the application to begin its answer, without the time that the client's body takes (logged with its "
        "stack, answered 504); 0 is no limit. It cannot fire while the event loop is blocked.",
    )
    timeout_response_idle: float = limit(
        "timeout_response_idle", Seconds(0.0), TIMEOUTS,
        "For the next piece of an answer that has begun, without the time that a slow reader takes (broken off, and "
        "logged with the stack); 0 is no limit. It cannot fire while the event loop is blocked.",
    )
    timeout_response: float = limit(
        "timeout_response", Seconds(0.0), TIMEOUTS,
        "For a whole answer, from the application's call to the last piece, without the time spent waiting for the "
        "client (504, or broken off); 0 is no limit. It cannot fire while the event loop is blocked.",
    )
    queue_timeout: float = limit(
        "timeout_queue", Seconds(0.0), TIMEOUTS,
        "For a request to wait until the application is called: in the kernel while the worker is busy, for a thread, "
        "or by --limit-queue (answered 503 with Retry-After); 0 is no limit. It costs a system call a request.",
    )
    timeout_threads: float = limit(
        "timeout_threads", Seconds(0.0), TIMEOUTS,
        "For a thread of a WSGI application to return or to send something. A worker is replaced when all its threads "
        "are late by this or by --timeout-request and none comes back within --timeout-worker; 0 is never.",
    )
    timeout_client_gone: float = limit(
        "timeout_client_gone", Seconds(0.0), TIMEOUTS,
        "For an ASGI application to end after its client left during the answer (cancelled); 0 is no limit.",
    )
    timeout_write: float = limit(
        "timeout_write", Seconds(), TIMEOUTS, "A client that takes no byte of its answer is disconnected."
    )
    timeout_discard: float = limit(
        "timeout_discard", Seconds(), TIMEOUTS,
        "For a client to stop sending after its last answer: what it sends is discarded, so that no reset overtakes "
        "the answer. 2 s without a byte end the wait sooner.",
    )
    timeout_graceful_shutdown: float = option(
        30.0, Seconds(0.0), TIMEOUTS,
        "For requests in flight at a stop: after half the time streams are told, at the end requests are cancelled.",
        peers=(UVICORN,),
    )
    timeout_worker: float = option(
        30.0, Seconds(0.0), TIMEOUTS,
        "A worker that shows no sign of life is logged with its stacks and killed; one whose threads have all been "
        "late for so long is replaced. 0 is no limit.",
    )
    timeout_startup: float = option(
        60.0, Seconds(0.0), TIMEOUTS, "For a worker's start, until it can answer; 0 is no limit."
    )

    pid: str | None = option(
        None, Text("FILE"), SERVICE, "File that holds the process id while the server runs.", peers=(GUNICORN,)
    )
    user: str | None = option(
        None, Text("USER"), SERVICE, "User that the workers run as, a name or a number.", peers=(GUNICORN,)
    )
    group: str | None = option(
        None, Text("GROUP"), SERVICE, "Group that the workers run as, a name or a number.",
        default_text="the group of --user", peers=(GUNICORN,),
    )
    umask: int | None = option(
        None, Octal(), SERVICE, "Permission bits that new files do not get, octal.",
        default_text="the process's", peers=(GUNICORN,),
    )
    raise_files: bool = option(
        True, Switch(), SERVICE,
        "Raise the soft limit of open files to the hard one, at most to 65536; not for programs that use select().",
    )
    chdir: str = option(
        "", Text("DIRECTORY"), SERVICE,
        "Directory to change to first; paths in options are relative to it.",
        default_text="the current directory", peers=(GUNICORN,),
    )
    env: tuple[tuple[str, str], ...] = option(
        (), Variables(), SERVICE,
        "Environment variable for the application; repeatable (in the variable, one a line).", peers=(GUNICORN,),
    )
    env_file: str | None = option(
        None, Text("FILE"), SERVICE,
        "File of environment variables for the application, NAME=VALUE lines; --env overrides it.",
        peers=(UVICORN,),
    )
    proc_name: str = option(
        "fastserve", Text("NAME"), SERVICE, "The name of the processes in the list of processes.",
    )

    admin: str | None = option(
        None, OneAddress(), ADMIN,
        "Address of /livez, /readyz, /metrics and /workers: HOST:PORT or unix:PATH; not for the public.",
    )
    admin_token_file: str | None = option(
        None, Text("FILE"), ADMIN,
        "File of tokens, one a line; /metrics and /workers require one of them (Authorization: Bearer TOKEN).",
    )
    admin_host: tuple[str, ...] = option(
        (), HostNames(), ADMIN,
        "Host name under which /metrics and /workers answer, besides addresses and localhost; * is any; repeatable.",
    )
    admin_queries: bool = option(
        False, Switch(), ADMIN, "Show the query strings of requests in flight in /workers."
    )
    drain_delay: float = option(
        0.0, Seconds(0.0), ADMIN, "At a stop, time between 'not ready' on the admin address and the end of listening."
    )


def _table() -> tuple[Option, ...]:
    rows = []
    for entry in fields(Options):
        row = dict(entry.metadata)
        row["flag"] = row["flag"] or entry.name.replace("_", "-")
        rows.append(Option(name=entry.name, default=entry.default, **row))
    return tuple(rows)


OPTIONS = _table()
