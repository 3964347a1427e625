"""HTTP/2 and HTTP/1.1 at the same door: who speaks what, over which socket, behind which proxy, in which log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import Serve, Server, script
from kit.http2 import CANCEL, HTTP2, PREFACE, get, settings
from kit.script import answers, body
from kit.script import start as begins

LINE = re.compile(
    r'(?P<client>\S+) - - \[[^\]]+\] "(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+) (?P<seconds>\d+\.\d{6})'
)
GREETING = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def line_with(server: Server, needle: str) -> dict[str, str]:
    """Waits for the line that holds `needle`; its parts."""
    text = server.stdout.wait(lambda text: any(needle in line for line in text.splitlines()[: text.count("\n")]))
    (line,) = [line for line in text.splitlines() if needle in line]
    match = LINE.fullmatch(line)
    assert match, line
    return match.groupdict()


def scope_of(connection: HTTP2, *fields: tuple[str, str]) -> dict[str, object]:
    scope: dict[str, object] = ast.literal_eval(connection.request(get("/scope", *fields)).body.decode())
    return scope


# ---- who speaks what


def test_both_are_spoken_on_one_port(server: Server) -> None:
    with HTTP2(server) as two, server.connect() as one:
        for _ in range(3):
            assert two.alive()
            assert one.exchange(GREETING).body == b"ok"


def test_only_the_first_request_of_a_connection_can_be_the_preface(server: Server) -> None:
    with server.connect() as client:
        assert client.exchange(GREETING).body == b"ok"
        assert client.exchange(PREFACE + settings()).status in (400, 501, 505)
        assert client.gone()


def test_the_preface_behind_a_request_that_is_pipelined(server: Server) -> None:
    with server.connect() as client:
        client.send(GREETING + PREFACE + settings())
        assert client.answer().body == b"ok"
        assert client.answer().status in (400, 501, 505)
        assert client.gone()


def test_http_2_alone(serve: Serve) -> None:
    server = serve(http="2")
    with HTTP2(server) as connection:
        assert connection.alive()
    for data in (GREETING, b"P", b"PRI * HTTP/1.1\r\n\r\n"):
        with HTTP2(server, preface=False) as connection:
            connection.send(data).client.half_close()
            connection.expect_gone()
            assert not connection.streams


def test_http_1_alone(serve: Serve) -> None:
    server = serve(http="1.1")
    with server.connect() as client:
        assert client.exchange(PREFACE + settings()).status == 505
        assert client.gone()
    with server.connect() as client:
        assert client.exchange(GREETING).body == b"ok"


def test_an_upgrade_to_h2c_is_not_taken(server: Server) -> None:
    """RFC 9113 has left it out; the request is answered as if it had not been asked for."""
    with server.connect() as client:
        fields = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        answer = client.exchange(b"GET / HTTP/1.1\r\nHost: test\r\n" + fields + b"\r\n")
        assert (answer.status, answer.body) == (200, b"ok")
        assert client.exchange(GREETING).body == b"ok"


@pytest.mark.parametrize("cut", [1, 3, 18, 23, 24, 25, 33, 40])
def test_the_preface_and_a_request_in_two_segments(server: Server, cut: int) -> None:
    with HTTP2(server, preface=False) as connection:
        whole = PREFACE + settings() + connection.head(get())[1]
        connection.send(whole[:cut])
        assert server.get("/") == b"ok"  # it has been read by then
        connection.send(whole[cut:])
        assert connection.response(1).body == b"ok"


def test_a_client_that_closes_its_half_gets_its_answers(server: Server) -> None:
    with HTTP2(server) as connection:
        run = script(server, ("wait", "go"), *answers())
        streams = [connection.open(get(run.target)), connection.open(get())]
        connection.response(streams[1])
        connection.client.half_close()
        run.open("go")
        assert connection.response(streams[0]).body == b"ok"
        connection.expect_end()


# ---- sockets and proxies


def test_a_unix_socket(start: Serve, tmp_path: Path) -> None:
    server = start(uds=str(tmp_path / "socket"))
    with HTTP2(server) as connection:
        assert connection.alive()
        scope = scope_of(connection)
        assert (scope["http_version"], scope["client"]) == ("2", None)


@pytest.mark.parametrize("cut", [3, 10, 43])
def test_behind_a_proxy_that_says_who_it_is(serve: Serve, cut: int) -> None:
    """The PROXY protocol; its header, the preface and a request in two segments, cut anywhere."""
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n"
    with HTTP2(serve(proxy_protocol=True), preface=False) as connection:
        whole = header + PREFACE + settings() + connection.head(get("/scope"))[1]
        connection.send(whole[:cut])
        assert not connection.client.readable(0.02)
        connection.send(whole[cut:])
        scope = ast.literal_eval(connection.response(1).body.decode())
        assert (scope["client"], scope["server"]) == (("192.0.2.7", 4000), ("198.51.100.1", 443))


def test_forwarded_fields_of_a_trusted_client(serve: Serve) -> None:
    fields = [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-proto", "https")]
    with HTTP2(serve(forwarded_allow_ips="127.0.0.1")) as trusted:
        scope = scope_of(trusted, *fields)
        assert scope["scheme"] == "https"
        assert str(scope["client"]).startswith("('192.0.2.9'")
    with HTTP2(serve(forwarded_allow_ips="192.0.2.1")) as other:
        scope = scope_of(other, *fields)
        assert scope["scheme"] == "http"
        assert str(scope["client"]).startswith("('127.0.0.1'")


def test_a_root_path(serve: Serve) -> None:
    with HTTP2(serve(root_path="/below")) as connection:
        scope = scope_of(connection)
        assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/below", "/below/scope", b"/scope")


# ---- the access log


@pytest.fixture
def logged(start: Serve) -> Iterator[tuple[Server, HTTP2]]:
    server = start()
    with HTTP2(server) as connection:
        yield server, connection


def test_a_line_for_an_answer(logged: tuple[Server, HTTP2]) -> None:
    server, connection = logged
    run = script(server, begins(201), ("pieces", 3, 1000))
    connection.request(get(run.target))
    line = line_with(server, run.key + "?")
    assert line["client"] == "127.0.0.1"
    assert line["request"] == f"GET {run.target} HTTP/2.0"
    assert (line["status"], line["bytes"]) == ("201", "3000")


def test_lines_for_what_goes_wrong(logged: tuple[Server, HTTP2]) -> None:
    server, connection = logged
    waits = script(server, ("receive",), ("note", "waits"), ("receive",))
    stream = connection.open(get(waits.target))
    waits.journal(2)
    connection.reset(stream, CANCEL)
    assert line_with(server, waits.key + "?")["status"] == "499"
    raises = script(server, ("raise", "for the log"))
    connection.request(get(raises.target))
    assert line_with(server, raises.key + "?")["status"] == "500"
    server.expect_traceback("for the log")
    broken = script(server, begins(), body(b"half", more=True), ("raise", "within"))
    connection.request(get(broken.target))
    assert line_with(server, broken.key + "?")["bytes"] == "4"
    server.expect_traceback("within")
    assert connection.request(get("/", *[("x-large", "a" * 8000)] * 5)).status == 431
    assert line_with(server, '" 431 ')["client"] == "127.0.0.1"


def test_a_line_for_each_of_many_streams(logged: tuple[Server, HTTP2]) -> None:
    server, connection = logged
    heads = [connection.head(get(f"/one-of-many-{number}-")) for number in range(50)]
    connection.send(b"".join(data for _, data in heads))
    assert all(connection.response(stream).body == b"ok" for stream, _ in heads)
    for number in range(50):
        assert line_with(server, f"/one-of-many-{number}-")["request"] == f"GET /one-of-many-{number}- HTTP/2.0"


def test_lines_cannot_be_forged(logged: tuple[Server, HTTP2]) -> None:
    server, connection = logged
    connection.request(get('/forged"%0a', ("user-agent", 'a" 200 "')))
    line = line_with(server, "/forged")
    assert '"' not in line["request"]
    assert line["request"].isascii()
