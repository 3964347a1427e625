"""What a client is refused for is in the error log, with its address and request: a few a second, others counted."""

import re

import pytest

from kit import Serve, Server, request
from kit.http2 import HTTP2, get
from kit.waiting import until

LINE = re.compile(r"\[INFO\] client (\S+): ([^\n]+)\n")


@pytest.fixture
def server(start: Serve) -> Server:
    """One that has not refused anybody yet."""
    return start(timeout_request_head=0.3)


def said(server: Server, count: int = 1) -> list[str]:
    """What the log says of clients, once there are so many lines."""
    server.stderr.wait(lambda text: len(LINE.findall(text)) >= count)
    return [text for _, text in LINE.findall(server.stderr.text)]


BAD = {
    "two lengths": (
        request("/x", "Content-Length: 1", "Content-Length: 2"),
        "Content-Length is malformed or contradicts itself (bad-length), answered 400",
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", "Host is missing, given twice or malformed (bad-host), answered 400"),
    "a bad chunk": (
        request("/up?a=1", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n",
        "the chunked coding is malformed (bad-chunk), answered 400: POST /up",
    ),
    "too long": (
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n",
        "the request line is longer than its limit (target-too-long), answered 414",
    ),
    "too late": (b"GET / HT", "the peer did not finish its message in time (timeout), answered 408"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_request_that_is_refused(server: Server, kind: str) -> None:
    data, reason = BAD[kind]
    with server.connect() as client:
        address = f"127.0.0.1:{client.socket.getsockname()[1]}"
        client.exchange(data)
        assert said(server) == [reason]
        assert LINE.findall(server.stderr.text)[0][0] == address


def test_a_request_that_is_fine_is_not_said(server: Server) -> None:
    with server.connect() as client:
        client.exchange(request("/"))
    with server.connect() as client:
        client.send(request("/"))
        client.reset()
    with server.connect() as client:
        client.exchange(b"bad\r\n\r\n")
        assert len(said(server)) == 1


def test_a_flood_is_said_a_few_times_and_then_counted(server: Server) -> None:
    """Ten at once, and from then on one for each tenth of a second."""
    for _ in range(60):
        with server.connect() as client:
            assert client.exchange(b"bad\r\n\r\n").status == 400
    first = len(said(server, 10))
    assert first < 40
    assert until(lambda: tried(server))
    left_out = sum(
        int(count) for count in re.findall(r"\((\d+) refusals before it were not logged\)", server.stderr.text)
    )
    assert left_out > 10


def tried(server: Server) -> bool:
    """Refused once more; whether the log has said how many were left out."""
    with server.connect() as client:
        client.exchange(b"bad\r\n\r\n")
    return "refusals before it were not logged" in server.stderr.text


def test_what_a_client_sends_forges_no_line(server: Server) -> None:
    with server.connect() as client:
        client.send(request("/a%0a[INFO]", "Transfer-Encoding: chunked", method="POST") + b"\n\x1b[31m\r\n")
        client.gone()
    assert said(server) == ["the chunked coding is malformed (bad-chunk), answered 400: POST /a%0a[INFO]"]


@pytest.mark.plain
def test_a_stream_of_http2_that_is_refused(server: Server) -> None:
    with HTTP2(server) as connection:
        connection.expect_malformed(connection.open(get("/h2", ("connection", "close"))))
        assert said(server) == ["the HTTP/2 message is malformed (h2-malformed), answered 400"]
