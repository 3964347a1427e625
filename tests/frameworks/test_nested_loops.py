"""nest_asyncio: applications that run the loop within themselves, as libraries for notebooks and language models do."""

import signal

import pytest

from kit import Serve, Server, request
from kit.http2 import HTTP2, get
from kit.waiting import until
from kit.websocket import WebSocket


@pytest.fixture
def nesting(start: Serve) -> Server:
    """It patches loops of asyncio alone."""
    return start("nesting:app", loop="asyncio")


def inside(server: Server) -> int:
    return int(server.get("/inside"))


@pytest.mark.parametrize("path", ["/nested", "/later", "/body"])
def test_others_are_served_meanwhile(nesting: Server, path: str) -> None:
    """Also those that nest in their turn. What is nested ends in the order in which it began, last first."""
    clients = [nesting.connect() for _ in range(3)]
    try:
        for number, client in enumerate(clients):
            body = {"method": "POST", "body": b"x" * 100_000} if path == "/body" else {}
            client.send(request(path, **body))  # type: ignore[arg-type]
            assert until(lambda: inside(nesting) == number + 1)  # noqa: B023
        for _ in range(20):
            assert nesting.get("/") == b"ok"
        with HTTP2(nesting) as connection:
            assert connection.request(get("/")).body == b"ok"
        with nesting.connect() as client:
            assert WebSocket(client, "/sockets").text("hello").message() == "hello"
        assert nesting.get("/open") == b"ok"
        for client in clients:
            assert client.answer().body == b"ok"
    finally:
        for client in clients:
            client.close()
    assert "Exception" not in nesting.stderr.text


def test_a_stop_is_heard(nesting: Server) -> None:
    """Within the nested loop; what is in flight comes to its end."""
    with nesting.connect() as opener, nesting.connect() as client:
        assert opener.exchange(request("/")).body == b"ok"
        client.send(request("/nested"))
        assert until(lambda: inside(nesting) == 1)
        nesting.signal(signal.SIGTERM)
        nesting.stderr.wait_for("stopping")
        assert opener.exchange(request("/open")).body == b"ok"
        assert client.answer().body == b"ok"
    assert nesting.wait() == 0


def test_a_loop_that_is_patched_within_a_step(start: Serve) -> None:
    """That one step keeps the worker to itself, what it logs has a rate, and from then on all is as it should be."""
    server = start("nesting:app", loop="asyncio", environment={"NEST_LATER": "1"})
    server.tracebacks_matter = False
    with server.connect() as client:
        assert client.exchange(request("/apply")).body == b"ok"
    logged = len(server.stderr.text)
    assert server.stderr.text.count("Traceback") <= 60
    with server.connect() as client:
        client.send(request("/nested"))
        assert until(lambda: inside(server) == 1)
        assert server.get("/") == b"ok"
        server.get("/open")
        assert client.answer().body == b"ok"
    assert "Traceback" not in server.stderr.text[logged:]
