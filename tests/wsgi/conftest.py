"""WSGI servers: each test runs on one thread, where everything is inline, and on eight."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from kit import Serve, Server
from wsgi.steps import Gate

APPLICATION = "wsgi_scripted:app"


class Pool(Protocol):
    """The session's servers, as the conftest above keeps them."""

    servers: dict[str, Server]

    def get(self, application: str, options: dict[str, Any]) -> Server: ...


@pytest.fixture(scope="session", params=[1, 8], ids=["one", "eight"])
def threads(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


def lend(pool: Pool, **defaults: Any) -> Iterator[Serve]:
    used: list[Server] = []
    for server in pool.servers.values():
        server.begin_test()

    def get(application: str = APPLICATION, **options: Any) -> Server:
        server = pool.get(application, {**defaults, **options})
        used.append(server)
        return server

    yield get
    for server in used:
        assert server.process.poll() is None, f"the server died:\n{server.stderr.text[-6000:]}"
        server.check_tracebacks()


def launch(**defaults: Any) -> Iterator[Serve]:
    started: list[Server] = []

    def new(application: str = APPLICATION, **options: Any) -> Server:
        server = Server(application, **{**defaults, **options})
        started.append(server)
        return server

    yield new
    for server in started:
        with server:
            if server.process.poll() is None:
                server.stop()
            server.check_tracebacks()


@pytest.fixture
def serve(pool: Pool, threads: int) -> Iterator[Serve]:
    """Gives a server that other tests may use too: serve("module:attribute", option=value, ...)."""
    yield from lend(pool, threads=threads)


@pytest.fixture
def server(serve: Serve) -> Server:
    """The scripted application under default options."""
    return serve()


@pytest.fixture
def start_server(threads: int) -> Iterator[Serve]:
    """Starts a server of this test alone, which the test may stop itself."""
    yield from launch(threads=threads)


@pytest.fixture
def serve_threads(pool: Pool) -> Iterator[Serve]:
    """For tests that say themselves how many threads they need: serve_threads(threads=2)."""
    yield from lend(pool)


@pytest.fixture
def eight(serve_threads: Serve) -> Server:
    """The scripted application on eight threads."""
    return serve_threads(threads=8)


@pytest.fixture
def start_threads() -> Iterator[Serve]:
    """The same for a server of this test alone."""
    yield from launch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Opens at the end, so that a test that failed leaves no waiting thread behind."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.fixture
def environ_of(serve: Serve) -> Callable[..., dict[str, Any]]:
    """environ_of(request bytes, option=value, ...): the plain values of the environ of this request."""
    import ast

    def get(data: bytes, **options: Any) -> dict[str, Any]:
        with serve("wsgi_environ:app", **options).connect() as client:
            answer = client.exchange(data)
            assert answer.status == 200, answer
            _, environ, _ = ast.literal_eval(answer.body.decode())
            return dict(environ)

    return get
