"""Servers for the tests over real sockets."""

import gc
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit import Open, Serve, Server
from kit.certificates import remove_shared
from kit.descriptors import take_what_may_be_had
from kit.process import OVER


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--over",
        choices=("plain", "tls", "h2"),
        default="plain",
        help="what servers are reached over: TLS, or HTTP/2 too by clients that know it",
    )


def pytest_configure(config: pytest.Config) -> None:
    OVER.set(config.getoption("--over"))
    take_what_may_be_had()
    # A shell without job control starts background jobs with SIGINT ignored, which servers would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before markers choose
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_tools(items)
    leave_out(items)
    check_alone(items)
    if hasattr(
        config, "workerinput"
    ):  # of several processes, none is to begin with what takes long when the others end
        begin_with_the_longest(items)


TOOLS = ("bench", "conformance", "test_c_rooms.py", "test_fuzz_short.py", "test_packaging.py", "test_stress.py")
"""Files and folders whose tests are marked `tools`: they build, fuzz or measure with programs of their own."""


def mark_tools(items: list[pytest.Item]) -> None:
    places = [Path(__file__).parent / name for name in TOOLS]
    for item in items:
        if any(item.path.is_relative_to(place) for place in places):
            item.add_marker(pytest.mark.tools)


WEIGHTS = {"supervised": 20, "cli": 10, "frameworks": 4}
"""How long a test of a folder lasts beside those of others: where each starts processes of its own."""


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    cost = Counter[Path]()
    for item in items:
        cost[item.path] += WEIGHTS.get(item.path.parent.name, 1)
    items.sort(key=lambda item: (item.path not in slow, -cost[item.path], item.path))


def check_alone(items: list[pytest.Item]) -> None:
    """The Makefile finds the files with such tests by their text, so that it has to be there."""
    for path in {item.path for item in items if item.get_closest_marker("alone")}:
        assert "mark.alone" in path.read_text(), f"{path}: a test is marked alone, and nothing there says so"


def leave_out(items: list[pytest.Item]) -> None:
    left_out = {"plain": (), "tls": ("plain",), "h2": ("plain", "http1")}[OVER.get()]
    for item in items:
        if any(item.get_closest_marker(marker) for marker in left_out):
            item.add_marker(pytest.mark.skip(reason=f"is not for --over {OVER.get()}"))


def pytest_collection_finish() -> None:
    """What the collection has made stays to the end, so no test that collects garbage need go through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where this process and those that it starts put temporary files. At the end it has to be empty."""
    tmp_path_factory.getbasetemp()  # lies elsewhere: what a test has failed with is kept
    folder = Path(tempfile.mkdtemp(prefix="fastserve-tests-"))
    folder.chmod(0o711)  # for servers that run as somebody else
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
        remove_shared()
    left = [f"{path.relative_to(folder)} ({path.lstat().st_size} bytes)" for path in sorted(folder.rglob("*"))]
    shutil.rmtree(folder)
    assert not left, f"left in the temporary folder: {', '.join(left)}"


@pytest.fixture(autouse=True)
def handlers_of_signals() -> Iterator[None]:
    """What a test has done to this process's signals, another one would find: each leaves them as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


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
