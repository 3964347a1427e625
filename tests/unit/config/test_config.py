"""`fastserve.Config`: what it takes, what it refuses and in which words."""

import dataclasses
import math
import sys
from typing import Any

import pytest

import fastserve
from fastserve import Config


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def test_takes_an_application_or_its_place() -> None:
    assert Config(app).app is app
    assert Config("module:attribute").app == "module:attribute"


def test_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config(app).port = 1  # type: ignore[misc]


def test_has_no_side_effect() -> None:
    Config("no_such_module:app", log_config="/nonexistent", uds="/nonexistent/socket")
    assert "no_such_module" not in sys.modules


def test_values_from_python_are_as_good_as_texts() -> None:
    assert Config(app, port="80") == Config(app, port=80)
    assert Config(app, timeout_write=3) == Config(app, timeout_write="3.0")
    assert Config(app, headers=[("a", "b"), (b"c", b"\xe9")]).headers == ((b"a", b"b"), (b"c", b"\xe9"))
    assert Config(app, forwarded_allow_ips=["10.0.0.1"]) == Config(app, forwarded_allow_ips="10.0.0.1")
    assert Config(app, uds=None, use_colors=None) == Config(app)


def test_limits_are_in_the_cores_names_and_milliseconds() -> None:
    limits = Config(app, timeout_keep_alive=0.25, limit_request_head="1M", limit_request_body=0).limits
    assert limits["timeout_keep_alive"] == 250
    assert limits["max_head"] == 1 << 20
    assert limits["max_body"] == 0


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0, 0), (0.0001, 1), (0.0014, 1), (2.5, 2500)])
def test_the_shortest_time_does_not_become_none(seconds: float, milliseconds: int) -> None:
    assert Config(app, timeout_request=seconds).limits["timeout_request"] == milliseconds


@pytest.mark.parametrize("size", [0, 131072, 131073, 1 << 30])
def test_a_stack_is_the_systems_or_large_enough(size: int) -> None:
    assert Config(app, thread_stack_size=str(size)).thread_stack_size == size


@pytest.mark.parametrize(
    ("written", "kept"),
    [("", ""), ("AUTO", "auto"), ("3", "3"), ("5, 1,0-2,2-3", "0-3,5"), ("7,6", "6-7")],
)
def test_cpus_are_kept_in_order(written: str, kept: str) -> None:
    assert Config(app, cpu_affinity=written).cpu_affinity == kept


def test_lists_and_mappings_are_as_good_as_texts() -> None:
    assert Config(app, bind=":80, unix:a") == Config(app, bind=[":80", "unix:a"])
    assert Config(app, env={"A": "1", "B": "x=y"}) == Config(app, env="A=1\nB=x=y")
    assert Config(app, headers={"A": "1"}) == Config(app, headers="A: 1")
    assert Config(app, uds_mode=0o660) == Config(app, uds_mode="0o660") == Config(app, uds_mode="660")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prot": 1}, "unknown option 'prot'; did you mean 'port'?"),
    ({"xyzzy": 1}, "unknown option 'xyzzy'"),
    ({"websockets": 2}, "unknown option 'websockets'"),
    ({"port": 65536}, "port: 65536 is not between 0 and 65535"),
    ({"port": -1}, "port: -1 is not between 0 and 65535"),
    ({"port": "http"}, "port: 'http' is not a whole number"),
    ({"port": True}, "port: True is not a whole number"),
    ({"port": 80.0}, "port: 80.0 is not a whole number"),
    ({"port": None}, "port: None is not a whole number"),
    ({"host": 1}, "host: 1 is not a string"),
    ({"host": "a\0b"}, "host: 'a\\x00b' contains a NUL"),
    ({"loop": "trio"}, "loop: 'trio' is not one of auto, uvloop, asyncio"),
    ({"interface": "cgi"}, "interface: 'cgi' is not one of auto, asgi3, asgi2, wsgi"),
    ({"threads": 0}, "threads: 0 is not between 1 and 1024"),
    ({"threads": 1025}, "threads: 1025 is not between 1 and 1024"),
    ({"thread_stack_size": "5"}, "thread_stack_size: 5 is neither 0 nor at least 128K"),
    ({"thread_stack_size": 131071}, "thread_stack_size: 131071 is neither 0 nor at least 128K"),
    ({"thread_stack_size": -1}, "thread_stack_size: -1 is not between 0 and 1073741824"),
    ({"thread_stack_size": "2G"}, "thread_stack_size: 2147483648 is not between 0 and 1073741824"),
    ({"header_underscores": "keep"}, "header_underscores: 'keep' is not one of drop, allow"),
    ({"factory": 1}, "factory: 1 is neither true nor false"),
    ({"root_path": "api"}, "root_path: 'api' does not begin with '/'"),
    ({"limit_request_body": "10X"}, "limit_request_body: '10X' is not a size (such as 8192, 8K, 10M or 1G)"),
    ({"limit_request_body": "-1"}, "limit_request_body: '-1' is not a size (such as 8192, 8K, 10M or 1G)"),
    ({"limit_request_body": -1}, "limit_request_body: -1 is not between 0 and 4611686018427387904"),
    ({"limit_request_fields": 1001}, "limit_request_fields: 1001 is not between 1 and 1000"),
    ({"timeout_write": 0}, "timeout_write: 0 is not between 0.001 and 86400 seconds"),
    ({"timeout_write": math.nan}, "timeout_write: nan is not between 0.001 and 86400 seconds"),
    ({"timeout_write": "soon"}, "timeout_write: 'soon' is not a number of seconds"),
    ({"timeout_write": True}, "timeout_write: True is not a number of seconds"),
    ({"timeout_graceful_shutdown": -1}, "timeout_graceful_shutdown: -1 is not between 0 and 86400 seconds"),
    ({"headers": "no colon"}, "headers: 'no colon' is not of the form 'Name: value'"),
    ({"headers": [("a b", "c")]}, "headers: 'a b' is not a valid field name"),
    ({"headers": [("", "c")]}, "headers: '' is not a valid field name"),
    ({"headers": [("a", "b\r\nc: d")]}, "headers: the value of 'a' contains a control character"),
    ({"headers": [("a", "\u20ac")]}, "headers: '\u20ac' has characters beyond Latin-1"),
    ({"headers": [("a",)]}, "headers: ('a',) is not a pair of name and value"),
    ({"headers": 1}, "headers: 1 is not a list of header fields"),
    (
        {"forwarded_allow_ips": "10.0.0.1/8"},
        "forwarded_allow_ips: 10.0.0.1/8 has host bits set",
    ),
    (
        {"forwarded_allow_ips": "proxy"},
        "forwarded_allow_ips: 'proxy' does not appear to be an IPv4 or IPv6 network",
    ),
    ({"uds": "a", "fd": 3}, "uds, fd: only one of them can be given"),
    ({"bind": ":80", "host": "::1"}, "bind, host: only one of them can be given"),
    ({"bind": ":80", "port": 81}, "bind, port: only one of them can be given"),
    ({"bind": ":80", "uds": "a"}, "bind, uds: only one of them can be given"),
    ({"bind": ":80", "fd": 3}, "bind, fd: only one of them can be given"),
    ({"bind": 80}, "bind: 80 is not a list of addresses"),
    ({"bind": b":80"}, "bind: b':80' is not a list of addresses"),
    ({"bind": [80]}, "bind: 80 is not a string"),
    ({"bind": [":80", "[::]:80", ":080"]}, "bind: ':80' is given twice"),
    ({"uds_mode": "668"}, "uds_mode: '668' is not an octal number (such as 660)"),
    ({"uds_mode": "1777"}, "uds_mode: 1777 is not between 0 and 777 (octal)"),
    ({"uds_mode": 660}, "uds_mode: 1224 is not between 0 and 777 (octal)"),
    ({"umask": True}, "umask: True is not an octal number (such as 660)"),
    ({"uds_owner": ""}, "uds_owner: '' is not of the form USER:GROUP, USER or :GROUP"),
    ({"uds_owner": "www:"}, "uds_owner: 'www:' is not of the form USER:GROUP, USER or :GROUP"),
    ({"uds_owner": "a:b:c"}, "uds_owner: 'a:b:c' is not of the form USER:GROUP, USER or :GROUP"),
    ({"workers": "0"}, "workers: 0 is not between 1 and 512, nor auto"),
    ({"workers": False}, "workers: False is not a whole number, nor auto"),
    ({"workers": 513}, "workers: 513 is not between 1 and 512, nor auto"),
    ({"workers": "many"}, "workers: 'many' is not a whole number, nor auto"),
    ({"max_worker_memory": "64K"}, "max_worker_memory: 65536 is neither 0 nor at least 1M"),
    ({"max_worker_age": 1e9}, "max_worker_age: 1e+09 is not between 0 and 31536000 seconds"),
    ({"cpu_affinity": "0,x"}, "cpu_affinity: 'x' is not a CPU or a range of them (such as 0,2-5)"),
    ({"cpu_affinity": "5-2"}, "cpu_affinity: '5-2' is a range that ends before it begins"),
    ({"reload_dir": [""]}, "reload_dir: an empty text"),
    ({"env": ["secret"]}, "env: one is not of the form NAME=VALUE: there is no '='"),
    ({"env": [("A", "secret\0")]}, "env: the value of A is not a string without NUL"),
    ({"env": ["A=1", ("A", "secret", "C")]}, "env: one is not a pair of name and value"),
    ({"admin_token_file": "token"}, "admin_token_file: there is no admin address without admin"),
    ({"admin": ":1", "admin_host": "a b"}, "admin_host: 'a b' is not a host name"),
    ({"env": "=1"}, "env: '' is not a name of an environment variable"),
    ({"env": {"A=B": "1"}}, "env: 'A=B' is not a name of an environment variable"),
    ({"env": {"A": 1}}, "env: the value of A is not a string without NUL"),
    ({"env": [("A",)]}, "env: one is not a pair of name and value"),
    ({"admin": "fd://3"}, "admin: 'fd://3' is neither HOST:PORT nor unix:PATH"),
    ({"admin": "localhost"}, "admin: 'localhost' has no port (such as localhost:9000)"),
    ({"limit_queue": 1}, "limit_queue: needs limit_concurrency, the limit on which requests wait"),
    ({"supervisor": False, "workers": 2}, "workers: there can only be one without a supervisor"),
    ({"supervisor": False, "workers": "auto"}, "workers: there can only be one without a supervisor"),
    *(
        ({"supervisor": False, name: value}, f"{name}: cannot be without a supervisor")
        for name, value in {
            "reload": True,
            "preload": True,
            "admin": "unix:admin.sock",
            "max_requests": 1,
            "max_requests_jitter": 1,
            "max_worker_age": 1,
            "timeout_threads": 1,
            "max_worker_memory": "1M",
        }.items()
    ),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_refuses(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Config(app, **options)
    assert str(caught.value) == reason


def test_refuses_what_is_no_application() -> None:
    with pytest.raises(ValueError, match=r"^app: 3 is neither callable nor a string 'module:attribute'$"):
        Config(3)  # type: ignore[arg-type]


def test_package_exports() -> None:
    assert set(fastserve.__all__) == {"Config", "Server", "StartError", "__version__", "run"}
    for name in fastserve.__all__:
        assert getattr(fastserve, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fastserve.nothing  # noqa: B018
