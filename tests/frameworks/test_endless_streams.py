"""Streams without an end: they end when their client leaves, and none holds up a stop."""

import signal
from collections.abc import Callable

import pytest

from kit import Serve, Server, request
from kit.http2 import HTTP2, get
from kit.waiting import Stopwatch, until


def shown(server: Server) -> tuple[int, int, int]:
    """Streams that are open, streams that were cancelled, tasks."""
    opened, cancelled, tasks = map(int, server.get("/show").split())
    return opened, cancelled, tasks


def leaves_by_fin(server: Server, target: str) -> None:
    with server.connect() as client:
        client.send(request(target))
        assert client.receive_once()


def leaves_by_reset(server: Server, target: str) -> None:
    client = server.connect()
    client.send(request(target))
    assert client.receive_once()
    client.reset()


def closes_its_half(server: Server, target: str) -> None:
    with server.connect() as client:
        client.send(request(target))
        assert client.receive_once()
        client.half_close()
        assert client.gone()


def resets_its_stream(server: Server, target: str) -> None:
    with HTTP2(server) as connection:
        stream = connection.open(get(target))
        connection.wait(lambda: connection.streams[stream].body == b"x")
        connection.reset(stream)
        connection.ping()


def closes_http2(server: Server, target: str) -> None:
    with HTTP2(server) as connection:
        stream = connection.open(get(target))
        connection.wait(lambda: connection.streams[stream].body == b"x")


Leave = Callable[[Server, str], None]
LEAVES = [leaves_by_fin, leaves_by_reset, closes_its_half, resets_its_stream, closes_http2]


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_a_stream_that_only_waits_ends_with_its_client(serve: Serve, name: str, leave: Leave) -> None:
    """Below 2.4 Starlette listens for http.disconnect: the generator is cancelled where it waits."""
    server = serve("endless:app")
    opened, cancelled, tasks = shown(server)
    before = server.descriptors()
    for _ in range(4):
        leave(server, f"/{name}/waits")
    assert until(lambda: shown(server) == (opened, cancelled + 4, tasks))
    assert until(lambda: server.descriptors() <= before)


@pytest.mark.parametrize(
    ("name", "leave"),
    [
        (name, leave)
        for name in ("starlette", "fastapi", "falcon", "bare")
        for leave in LEAVES
        if leave is not closes_its_half or name in ("starlette", "fastapi")  # such a client may still read
    ],
)
def test_a_stream_that_sends_ends_with_its_client(serve: Serve, name: str, leave: Leave) -> None:
    """`send` raises, whatever the scope says of the specification's version, and nothing is logged of it."""
    server = serve("endless:app")
    opened, _, tasks = shown(server)
    leave(server, f"/{name}/sends")
    assert until(lambda: shown(server)[::2] == (opened, tasks))


@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_a_stream_after_a_body_ends_with_its_client(serve: Serve, name: str) -> None:
    """A body that comes in pieces, as an API of prompts has it: it is read, then the stream listens."""
    server = serve("endless:app")
    opened, cancelled, tasks = shown(server)
    with server.connect() as client:
        client.send(request(f"/{name}/waits", "Content-Type: application/json", "Content-Length: 8", method="POST"))
        client.send(b'{"a"').send(b": 1}")
        assert client.receive_once()
    assert until(lambda: shown(server) == (opened, cancelled + 1, tasks))


def test_streams_that_were_left_take_no_place(serve: Serve) -> None:
    server = serve("endless:app", limit_concurrency=5)
    for _ in range(20):
        leaves_by_fin(server, "/starlette/waits")
        assert until(lambda: server_serves(server))


def server_serves(server: Server) -> bool:
    with server.connect() as client:
        return client.exchange(request("/show", "Connection: close")).status == 200


def test_a_stop_waits_for_no_stream_that_was_left(start: Serve) -> None:
    server = start("endless:app")
    for name in ("starlette", "fastapi"):
        leaves_by_fin(server, f"/{name}/waits")
        resets_its_stream(server, f"/{name}/waits")
    watch = Stopwatch()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert watch.charged() < 5


@pytest.mark.parametrize("name", ["starlette", "fastapi", "falcon", "bare"])
@pytest.mark.parametrize("http", ["1.1", "2"])
def test_a_stop_ends_streams_that_send(start: Serve, name: str, http: str) -> None:
    """At half of the time: who listens is told by `receive`, and who only sends by `send`."""
    server = start("endless:app", timeout_graceful_shutdown=4)
    if http == "2":
        with HTTP2(server) as connection:
            stream = connection.open(get(f"/{name}/sends"))
            connection.wait(lambda: bool(connection.streams[stream].body))
            server.signal(signal.SIGTERM)
            connection.expect_gone()
    else:
        with server.connect() as client:
            client.send(request(f"/{name}/sends"))
            assert client.receive_once()
            server.signal(signal.SIGTERM)
            assert client.gone()
    assert server.wait() == 0
    assert "ancelled" not in server.stderr.text
