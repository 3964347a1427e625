"""The table of options, and what it drives: flags, variables, their order, the help and the reference page."""

from collections.abc import Callable
from pathlib import Path

import pytest

import fastserve.process
from fastserve.cli import command
from fastserve.config.config import Config
from fastserve.config.option_types import Kind, Seconds, Switch
from fastserve.config.options import GROUPS, OPTIONS, Option
from fastserve.errors import ExitStatus

Parse = Callable[..., Config]

SAMPLES = {
    "app_dir": ("lib", "lib"),
    "interface": ("WSGI", "wsgi"),
    "asgi_extensions": ("http.response.trailers, pathsend", ("pathsend", "trailers")),
    "loop": ("asyncio", "asyncio"),
    "lifespan": ("off", "off"),
    "root_path": ("/api/", "/api"),
    "threads": ("1", 1),
    "thread_stack_size": ("128K", 131072),
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "bind": ("[0::1]:80", ("[::1]:80",)),
    "uds": ("server.sock", "server.sock"),
    "uds_mode": ("0o660", 0o660),
    "uds_owner": (":www", ":www"),
    "fd": ("3", 3),
    "backlog": ("5", 5),
    "workers": ("AUTO", 0),
    "max_requests": ("1000", 1000),
    "max_requests_jitter": ("50", 50),
    "max_worker_age": ("604800", 604800.0),
    "max_worker_memory": ("512M", 512 << 20),
    "cpu_affinity": ("2, 0-1", "0-2"),
    "hooks": ("hooks", "hooks"),
    "reload_dir": ("lib", ("lib",)),
    "reload_include": ("*.html", ("*.html",)),
    "reload_exclude": ("*.tmp", ("*.tmp",)),
    "proxy_allow_from": ("10.0.0.0/8", ("10.0.0.0/8",)),
    "forwarded_allow_ips": ("10.0.0.0/8, ::1,*", ("10.0.0.0/8", "::1", "*")),
    "headers": ("X-One: 1", ((b"X-One", b"1"),)),
    "header_underscores": ("allow", "allow"),
    "log_level": ("DEBUG", "debug"),
    "log_config": ("log.json", "log.json"),
    "access_logfile": ("access.log", "access.log"),
    "log_rate_limit": ("0", 0),
    "limit_request_line": ("4K", 4096),
    "limit_request_head": ("16k", 16384),
    "limit_request_fields": ("1000", 1000),
    "limit_methods": ("standard", "standard"),
    "limit_request_body": ("10MiB", 10 << 20),
    "body_buffer_size": ("0", 0),
    "limit_buffered": ("64M", 64 << 20),
    "limit_body_files": ("2G", 2 << 30),
    "limit_pipelined": ("1", 1),
    "limit_keep_alive_requests": ("9", 9),
    "limit_concurrency": ("7", 7),
    "limit_queue": ("2", 2),
    "timeout_first_byte": ("0.5", 0.5),
    "timeout_discard": ("5", 5.0),
    "timeout_request_head": ("2", 2.0),
    "timeout_keep_alive": ("3.25", 3.25),
    "timeout_request_body": ("4", 4.0),
    "timeout_request": ("1.5", 1.5),
    "timeout_response_idle": ("2.5", 2.5),
    "timeout_response": ("60", 60.0),
    "timeout_client_gone": ("2", 2.0),
    "timeout_threads": ("2", 2.0),
    "queue_timeout": ("2", 2.0),
    "timeout_write": ("5", 5.0),
    "timeout_graceful_shutdown": ("0", 0.0),
    "timeout_worker": ("0", 0.0),
    "timeout_startup": ("7.5", 7.5),
    "insecure_bind": (":80", (":80",)),
    "ssl_certfile": ("one.pem", ("one.pem",)),
    "ssl_keyfile": ("key.pem", ("key.pem",)),
    "ssl_keyfile_password": ("secret", "secret"),
    "ssl_ca_certs": ("ca.pem", "ca.pem"),
    "ssl_crl": ("crl.pem", "crl.pem"),
    "ssl_ticket_key_age": ("3600", 3600.0),
    "ssl_cert_reqs": ("Required", "required"),
    "ssl_ciphers": ("HIGH", "HIGH"),
    "ssl_min_version": ("1.3", "1.3"),
    "ssl_context": ("site:context", "site:context"),
    "ssl_handshake_timeout": ("2", 2.0),
    "http": ("1.1", "1.1"),
    "h2_max_streams": ("10", 10),
    "h2_max_header_list": ("8K", 8192),
    "h2_max_frame_size": ("1M", 1 << 20),
    "h2_stream_window": ("64K", 65536),
    "h2_connection_window": ("2M", 2 << 20),
    "h2_max_resets": ("50", 50),
    "h2_ping_interval": ("0", 0.0),
    "h2_ping_timeout": ("5", 5.0),
    "ws": ("none", "none"),
    "ws_max_size": ("1M", 1 << 20),
    "ws_max_queue": ("8", 8),
    "ws_ping_interval": ("0", 0.0),
    "ws_ping_timeout": ("2.5", 2.5),
    "ws_message_timeout": ("90", 90.0),
    "ws_deflate_min_size": ("1K", 1024),
    "ws_handshake_timeout": ("3", 3.0),
    "ws_close_timeout": ("1", 1.0),
    "ws_drain_timeout": ("0", 0.0),
    "pid": ("server.pid", "server.pid"),
    "user": ("www", "www"),
    "group": ("33", "33"),
    "umask": ("027", 0o27),
    "chdir": ("/", "/"),
    "env": ("A=b=c", (("A", "b=c"),)),
    "env_file": (".env", ".env"),
    "proc_name": ("shop", "shop"),
    "admin": ("localhost:9000", "localhost:9000"),
    "drain_delay": ("5", 5.0),
    "admin_token_file": ("token", "token"),
    "admin_host": ("Ops.Example.", ("ops.example",)),
}
"""For every option with a value: a text, and what becomes of it."""

BESIDE = {
    "insecure_bind": ("--ssl-certfile", "one.pem"),
    "admin_token_file": ("--admin", ":9000"),
    "admin_host": ("--admin", ":9000"),
    "limit_queue": ("--limit-concurrency", "2"),
    "admin_queries": ("--admin", ":9000"),
    "ssl_keyfile": ("--ssl-certfile", "one.pem"),
    "ssl_keyfile_password": ("--ssl-certfile", "one.pem"),
    "ssl_ca_certs": ("--ssl-certfile", "one.pem"),
    "ssl_crl": ("--ssl-cert-reqs", "required", "--ssl-ca-certs", "ca.pem", "--ssl-certfile", "one.pem"),
    "ssl_cert_reqs": ("--ssl-ca-certs", "ca.pem", "--ssl-certfile", "one.pem"),
    "ssl_redirect": ("--ssl-certfile", "one.pem", "--insecure-bind", ":80"),
}
"""What an option cannot be without."""

VALUED = [option for option in OPTIONS if not isinstance(option.kind, Switch)]
SWITCHES = [option for option in OPTIONS if isinstance(option.kind, Switch)]
OFF_FLAGS = [option for option in SWITCHES if "/" in option.flags]


def names(options: list[Option]) -> list[str]:
    return [option.name for option in options]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """The configuration that a command line and variables lead to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.delenv("FASTSERVE_CONFIG", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    for option in OPTIONS:
        monkeypatch.delenv(option.environment[0], raising=False)
    monkeypatch.delenv("FASTSERVE_APP", raising=False)
    seen: list[Config] = []

    def record(config: Config, load: Callable[[], Config], *, own: bool) -> ExitStatus:
        assert own
        assert load() == config
        seen.append(config)
        return ExitStatus.CLEAN

    monkeypatch.setattr(fastserve.process, "run_process", record)

    def parsed(*arguments: str, **variables: str) -> Config:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        command.main(list(arguments), prog_name="fastserve", standalone_mode=False)
        return seen.pop()

    return parsed


def test_names_flags_and_variables_are_unique() -> None:
    flags = [flag for option in OPTIONS for flag in option.flags.split("/")]
    variables = [name for option in OPTIONS for name in option.environment]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)
    assert {option.group for option in OPTIONS} == set(GROUPS)


def test_every_option_with_a_value_has_a_sample() -> None:
    assert set(SAMPLES) == set(names(VALUED))


@pytest.mark.parametrize("option", OPTIONS, ids=names(list(OPTIONS)))
def test_a_default_is_a_value_of_its_kind(option: Option) -> None:
    if option.default is not None and option.name != "app_dir":
        assert option.kind.convert(option.default) == option.default


@pytest.mark.parametrize("option", [option for option in VALUED if option.default], ids=lambda option: option.name)
def test_a_shown_default_reads_back(option: Option) -> None:
    assert option.kind.convert(option.kind.show(option.default)) == option.default


def test_limits_and_their_defaults_are_the_cores() -> None:
    from fastserve._core import LIMITS

    config = Config("a:b")
    assert config.limits == {name: LIMITS[name] for name in config.limits}
    assert all(
        option.limit.startswith("timeout_") == isinstance(option.kind, Seconds) for option in OPTIONS if option.limit
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_flag_sets_the_option(parse: Parse, name: str) -> None:
    option = next(option for option in OPTIONS if option.name == name)
    text, value = SAMPLES[name]
    assert value != option.default
    assert getattr(parse("a:b", f"--{option.flag}", text, *BESIDE.get(name, ())), name) == value


@pytest.mark.parametrize("name", SAMPLES)
def test_variable_sets_the_option(parse: Parse, name: str) -> None:
    option = next(option for option in OPTIONS if option.name == name)
    text, value = SAMPLES[name]
    assert getattr(parse("a:b", *BESIDE.get(name, ()), **{option.environment[0]: text}), name) == value


@pytest.mark.parametrize("option", SWITCHES, ids=names(SWITCHES))
def test_switch_on(parse: Parse, option: Option) -> None:
    beside = BESIDE.get(option.name, ())
    assert getattr(parse("a:b", f"--{option.flag}", *beside), option.name) is True
    assert getattr(parse("a:b", *beside, **{option.environment[0]: "yes"}), option.name) is True


@pytest.mark.parametrize("option", OFF_FLAGS, ids=names(OFF_FLAGS))
def test_switch_off(parse: Parse, option: Option) -> None:
    assert getattr(parse("a:b", f"--no-{option.flag}"), option.name) is False
    assert getattr(parse("a:b", **{option.environment[0]: "off"}), option.name) is False


def test_without_anything_every_option_has_its_default(parse: Parse) -> None:
    assert parse("a:b") == Config("a:b")


def test_flag_counts_before_variable(parse: Parse) -> None:
    config = parse("a:b", "--host", "::1", "--access-log", FASTSERVE_HOST="127.0.0.2", FASTSERVE_ACCESS_LOG="no")
    assert (config.host, config.access_log) == ("::1", True)


@pytest.mark.parametrize(
    ("arguments", "variables", "port"),
    [
        ([], {"PORT": "81"}, 81),
        ([], {"PORT": ""}, 8000),
        ([], {"PORT": "81", "FASTSERVE_PORT": "82"}, 82),
        ([], {"PORT": "81", "FASTSERVE_PORT": ""}, 81),
        (["--port", "83"], {"PORT": "81", "FASTSERVE_PORT": "82"}, 83),
    ],
)
def test_port_variable_is_the_last_resort(
    parse: Parse, arguments: list[str], variables: dict[str, str], port: int
) -> None:
    assert parse("a:b", *arguments, **variables).port == port


def test_application_from_the_environment(parse: Parse) -> None:
    assert parse(FASTSERVE_APP="a:b").app == "a:b"
    assert parse("c:d", FASTSERVE_APP="a:b").app == "c:d"


def test_header_is_repeatable(parse: Parse) -> None:
    expected = ((b"X-One", b"1"), (b"x-two", b"a: b"), (b"X-Empty", b""))
    assert parse("a:b", "--header", "X-One: 1", "--header", "x-two:a: b", "--header", "X-Empty:").headers == expected
    assert parse("a:b", FASTSERVE_HEADER="X-One: 1\nx-two: a: b\n\nX-Empty:\n").headers == expected


REPEATED = {
    "bind": ([":80", "unix:a,b"], ":80, unix:c", (":80", "unix:a,b"), (":80", "unix:c")),
    "env": (["A=1", "B=x\ny"], "A=1\n\nB=2", (("A", "1"), ("B", "x\ny")), (("A", "1"), ("B", "2"))),
    "reload_dir": (["a", "b,c"], "a,,b ", ("a", "b,c"), ("a", "b")),
}
"""The values of flags, the text of the variable, and what becomes of each."""


@pytest.mark.parametrize("name", REPEATED)
def test_repeatable_options(parse: Parse, name: str) -> None:
    option = next(option for option in OPTIONS if option.name == name)
    given, text, of_flags, of_variable = REPEATED[name]
    flags = [argument for value in given for argument in (f"--{option.flag}", value)]
    assert getattr(parse("a:b", *flags), name) == of_flags
    assert getattr(parse("a:b", **{option.environment[0]: text}), name) == of_variable


@pytest.mark.parametrize("kind", {option.kind for option in OPTIONS if not isinstance(option.kind, Switch)})
def test_every_kind_names_its_value(kind: Kind) -> None:
    assert kind.metavar
