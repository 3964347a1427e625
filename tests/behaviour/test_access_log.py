"""The access log: client, request line, status, bytes, duration; also of refused requests; soon, whole at the end."""

from pathlib import Path

import pytest

from kit import Serve, Server, request, script
from kit.access_log import LINE, line_with
from kit.script import answers, body
from kit.script import start as begin
from kit.waiting import Stopwatch


def test_a_line_for_an_answer(server: Server) -> None:
    run = script(server, *answers(201, b"hello"))
    with server.connect() as client:
        watch = Stopwatch()
        client.exchange(run.request())
        line = line_with(server, run.key + "?")
    assert line["client"] == "127.0.0.1"
    assert line["request"] == f"GET {run.target} HTTP/1.1"
    assert (line["status"], line["bytes"]) == ("201", "5")
    assert float(line["seconds"]) < watch.elapsed()


def test_bytes_are_those_of_the_body_without_framing(server: Server) -> None:
    run = script(server, begin(), ("pieces", 10, 1000))
    with server.connect() as client:
        client.exchange(run.request(version="1.1"))
    assert line_with(server, run.key + "?")["bytes"] == "10000"


def test_duration_is_that_of_the_request(server: Server) -> None:
    run = script(server, ("pause", 0.3), *answers())
    with server.connect() as client:
        watch = Stopwatch()
        client.exchange(run.request())
        line = line_with(server, run.key + "?")
        assert 0.29 < float(line["seconds"]) < watch.elapsed()


def test_client_that_leaves_before_the_answer_is_499(server: Server) -> None:
    run = script(server, ("receive",), ("note", "waits"), ("receive",))
    client = server.connect()
    client.send(run.request())
    run.journal(2)
    client.reset()
    assert line_with(server, run.key + "?")["status"] == "499"


def test_client_that_leaves_in_the_answer_is_499(server: Server) -> None:
    run = script(server, begin(), body(b"abc", True), ("until_refused", 1000))
    client = server.connect()
    client.send(run.request())
    client.receive_once()
    client.reset()
    run.journal()
    assert line_with(server, run.key + "?")["status"] == "499"


def test_bytes_of_a_download_that_its_client_leaves(server: Server) -> None:
    """Over TLS as well: what waits to be enciphered, or is, has not been sent."""
    run = script(server, begin(), ("pieces", 24, 1 << 20))
    client = server.connect(receive_buffer=16384)
    client.send(run.request())
    taken = sum(len(client.receive_once()) for _ in range(20))
    client.reset()
    line = line_with(server, run.key + "?")
    assert line["status"] == "499"
    assert taken * 0.9 < int(line["bytes"]) < 20 << 20


@pytest.mark.parametrize(
    ("data", "status", "needle"),
    [
        (b"GET /%s HTTP/1.1\r\n\r\n", 400, "nohost"),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "badlength"),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000, 431, "toobig"),
    ],
    ids=["400", "400-length", "431"],
)
def test_refused_requests_have_a_line(start: Serve, data: bytes, status: int, needle: str) -> None:
    server = start()
    with server.connect() as client:
        assert client.exchange(data.replace(b"%s", needle.encode())).status == status
    line = line_with(server, f'" {status} ')
    assert line["client"] == "127.0.0.1"


def test_garbage_has_a_line(start: Serve) -> None:
    server = start()
    with server.connect() as client:
        client.exchange(b"\x16\x03\x01\r\n\r\n")
    assert line_with(server, " 400 ")["client"] == "127.0.0.1"


def test_timed_out_head_has_a_line(start: Serve) -> None:
    server = start(timeout_request_head=0.2)
    with server.connect() as client:
        assert client.exchange(b"GET / HTTP").status == 408
    assert line_with(server, " 408 ")["client"] == "127.0.0.1"


def test_500_has_a_line(server: Server) -> None:
    run = script(server, ("raise", "for the log"))
    with server.connect() as client:
        client.exchange(run.request())
    assert line_with(server, run.key + "?")["status"] == "500"
    server.expect_traceback("for the log")


def test_lines_cannot_be_forged(server: Server) -> None:
    with server.connect() as client:
        client.send(b'GET /forged?"\\%0a HTTP/1.1\r\nHost: a\r\n\r\n')
        client.answer()
    line = line_with(server, "/forged")
    assert '"' not in line["request"]
    assert line["request"].isascii()


@pytest.mark.alone(waits=True)
def test_a_line_comes_soon(server: Server) -> None:
    """Lines are gathered, but for no longer than a second."""
    run = script(server, *answers())
    watch = Stopwatch()
    with server.connect() as client:
        client.exchange(run.request())
    line_with(server, run.key + "?")
    assert watch.charged() < 1.5


def test_nothing_is_lost_at_the_end(start: Serve) -> None:
    """Two thousand lines, the last ones just before the stop."""
    server = start()
    with server.connect() as client:
        for number in range(100):
            client.send(request(f"/n{number}") * 20)
            for _ in range(20):
                client.answer()
        server.stop()
    lines = server.stdout.text.splitlines()
    assert len(lines) == 2000
    assert all(LINE.fullmatch(line) for line in lines)


def test_no_access_log(start: Serve) -> None:
    server = start(access_log=False)
    server.get("/")
    server.stop()
    assert server.stdout.text == ""


def test_access_log_to_a_file_is_appended(start: Serve, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("first\n")
    server = start(access_logfile=str(path))
    server.get("/logged")
    server.stop()
    lines = path.read_text().splitlines()
    assert lines[0] == "first"
    assert "GET /logged HTTP/1.1" in lines[1]
    assert server.stdout.text == ""


def test_ipv6_and_forwarded_clients_are_named(server: Server) -> None:
    with server.connect() as client:
        client.exchange(request("/forwarded-client", "X-Forwarded-For: 2001:db8::1"))
    assert line_with(server, "/forwarded-client")["client"] == "2001:db8::1"
