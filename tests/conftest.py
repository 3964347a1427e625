"""Servers for the tests over real sockets."""

import gc
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serving import Open, Serve, Server
from serving.process import OVER


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--over",
        choices=("plain", "tls", "h2"),
        default="plain",
        help="what servers are reached over: TLS, or HTTP/2 too by clients that know it",
    )


def pytest_configure(config: pytest.Config) -> None:
    OVER.set(config.getoption("--over"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    left_out = {"plain": (), "tls": ("plain",), "h2": ("plain", "http1")}[OVER.get()]
    for item in items:
        if any(item.get_closest_marker(marker) for marker in left_out):
            item.add_marker(pytest.mark.skip(reason=f"is not for --over {OVER.get()}"))


def pytest_collection_finish() -> None:
    """What the collection has made stays to the end, so no test that collects garbage need go through it again."""
    gc.collect()
    gc.freeze()


class Pool:
    """Servers that live as long as the session, one for each application and set of options."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}

    def get(self, application: str, options: dict[str, Any]) -> Server:
        key = repr((application, sorted(options.items(), key=lambda item: item[0])))
        server = self.servers.get(key)
        if server is None or server.process.poll() is not None:
            server = self.servers[key] = Server(application, **options)
            server.begin_test()
        return server

    def stop(self) -> None:
        failures = []
        for server in self.servers.values():
            if server.process.poll() is None:
                server.signal(signal.SIGTERM)  # they end at the same time
        for server in self.servers.values():
            with server:
                try:
                    server.stop()
                except AssertionError as error:
                    failures.append(str(error))
        assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.stop()


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """The event loop of the server; each test runs on both."""
    name: str = request.param
    return name


@pytest.fixture
def serve(pool: Pool, loop: str) -> Iterator[Serve]:
    """Gives a server that other tests may use too: serve("module:attribute", option=value, ...)."""
    used: list[Server] = []
    for server in pool.servers.values():
        server.begin_test()

    def get(application: str = "scripted:app", **options: Any) -> Server:
        server = pool.get(application, {"loop": loop, **options})
        used.append(server)
        return server

    yield get
    for server in used:
        assert server.process.poll() is None, f"the server died:\n{server.stderr.text[-6000:]}"
        server.check_tracebacks()


@pytest.fixture
def server(serve: Serve) -> Server:
    """The scripted application under default options."""
    return serve()


@pytest.fixture
def start(loop: str) -> Iterator[Serve]:
    """Starts a server of this test alone, which the test may stop itself."""
    started: list[Server] = []

    def new(application: str = "scripted:app", **options: Any) -> Server:
        server = Server(application, **{"loop": loop, **options})
        started.append(server)
        return server

    yield new
    for server in started:
        with server:
            if server.process.poll() is None:
                server.stop()
            server.check_tracebacks()


@pytest.fixture
def framework(serve: Serve) -> Iterator[Open]:
    """framework("module:attribute") gives the server and a client with its address."""
    clients: list[httpx.Client] = []

    def get(application: str) -> tuple[Server, httpx.Client]:
        server = serve(application)
        client = server.client()
        clients.append(client)
        return server, client

    yield get
    for client in clients:
        client.close()
