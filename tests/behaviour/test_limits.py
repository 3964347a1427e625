"""Every limit one below, at, and one above."""

import pytest

from kit import Serve, Server, request, script
from kit.script import answers


@pytest.fixture
def narrow(serve: Serve) -> Server:
    return serve(
        limit_request_line=500,
        limit_request_head=1000,
        limit_request_fields=5,
        limit_request_body=100,
        limit_keep_alive_requests=0,
    )


def status_of(server: Server, data: bytes) -> int:
    with server.connect() as client:
        answer = client.exchange(data)
        if answer.status != 200:
            assert answer.closes
        return answer.status


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 414)])
def test_request_line(narrow: Server, extra: int, status: int) -> None:
    """The line without its CRLF."""
    target = "/" + "a" * (500 + extra - len("GET / HTTP/1.1"))
    assert status_of(narrow, request(target)) == status


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 431)])
def test_head(narrow: Server, extra: int, status: int) -> None:
    """Everything up to and with the empty line."""
    filler = 1000 + extra - len(request("/", "X: "))
    assert status_of(narrow, request("/", "X: " + "a" * filler)) == status


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 431)])
def test_fields(narrow: Server, extra: int, status: int) -> None:
    assert status_of(narrow, request("/", *[f"X-{number}: a" for number in range(4 + extra)])) == status


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_body(narrow: Server, extra: int, status: int) -> None:
    assert status_of(narrow, request("/echo", method="POST", body=bytes(100 + extra))) == status


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_chunked_body(narrow: Server, extra: int, status: int) -> None:
    data = b"32\r\n" + bytes(50) + b"\r\n" + b"%x\r\n" % (50 + extra) + bytes(50 + extra) + b"\r\n0\r\n\r\n"
    head = request("/echo", "Transfer-Encoding: chunked", method="POST")
    assert status_of(narrow, head + data) == status


def test_body_too_large_is_refused_before_it_comes(narrow: Server) -> None:
    """And without 100 (Continue)."""
    head = request("/echo", "Content-Length: 101", "Expect: 100-continue", method="POST")
    assert status_of(narrow, head) == 413


def test_chunked_body_too_large_is_a_disconnect(narrow: Server) -> None:
    run = script(narrow, ("body",))
    data = (b"32\r\n" + bytes(50) + b"\r\n") * 3 + b"0\r\n\r\n"
    assert status_of(narrow, run.request("Transfer-Encoding: chunked", method="POST") + data) == 413
    assert run.journal()[0][2] == "http.disconnect"


def test_unlimited_body(serve: Serve) -> None:
    server = serve(limit_request_body=0)
    assert status_of(server, request("/echo", method="POST", body=bytes(100_000))) == 200


def test_trailers_count_as_fields(narrow: Server) -> None:
    """A flood after the body is no way around the limits."""
    head = request("/echo", "Transfer-Encoding: chunked", method="POST")
    flood = b"0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(1000)) + b"\r\n"
    assert status_of(narrow, head + flood) in (400, 431)


def test_requests_of_a_connection(serve: Serve) -> None:
    """The last one that is allowed says Connection: close."""
    server = serve(limit_keep_alive_requests=3)
    with server.connect() as client:
        assert [client.exchange(request("/")).closes for _ in range(3)] == [False, False, True]
        assert client.closed()
    with server.connect() as client:
        client.send(request("/") * 5)
        assert [client.answer().closes for _ in range(3)] == [False, False, True]
        assert client.gone()


@pytest.mark.parametrize("pipelined", [1, 2, 63, 64, 65, 200])
def test_pipelined_requests_a_turn(serve: Serve, pipelined: int) -> None:
    """The limit delays, it refuses nothing."""
    server = serve(limit_pipelined=64)
    with server.connect() as client:
        client.send(request("/") * pipelined)
        assert [client.answer().status for _ in range(pipelined)] == [200] * pipelined


def test_one_pipelined_request_a_turn(serve: Serve) -> None:
    server = serve(limit_pipelined=1)
    with server.connect() as client:
        client.send(request("/") * 50)
        assert [client.answer().body for _ in range(50)] == [b"ok"] * 50


def test_concurrency(start: Serve) -> None:
    """Requests, not connections: one above the limit is 503 with Retry-After, and afterwards it works again."""
    server = start(limit_concurrency=2, access_log=False)
    first, second = script(server, ("body",), *answers()), script(server, ("body",), *answers())
    with server.connect() as one, server.connect() as two, server.connect() as three:
        assert three.exchange(request("/")).status == 200
        one.send(first.request("Content-Length: 1", "Expect: 100-continue", method="POST"))
        assert one.answer().status == 100
        assert three.exchange(request("/")).status == 200
        two.send(second.request("Content-Length: 1", "Expect: 100-continue", method="POST"))
        assert two.answer().status == 100
        answer = three.exchange(request("/"))
        assert answer.status == 503
        assert (answer.get(b"retry-after") or b"").isdigit()
        assert one.exchange(b"x").body == b"ok"
        assert status_of(server, request("/")) == 200
        assert two.exchange(b"x").body == b"ok"
