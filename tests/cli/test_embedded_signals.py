"""A server that is embedded takes SIGINT and SIGTERM for its time: the program has afterwards what it had before."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fastserve import Config, Server
from kit.process import environment
from kit.waiting import PATIENCE, UNHURRIED

TERM, INT = signal.SIGTERM, signal.SIGINT


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.fixture(params=["asgi", "wsgi"])
def app(request: pytest.FixtureRequest) -> Any:
    return {"asgi": asgi, "wsgi": wsgi}[request.param]


def options(app: Any) -> dict[str, Any]:
    lifespan = {"lifespan": "off"} if app is asgi else {}
    return {"port": 0, "timeout_graceful_shutdown": PATIENCE, **lifespan}


def server(app: Any, **others: Any) -> Server:
    return Server(Config(app, **options(app)), **others)


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs the program on a loop; the handlers of this process are there again afterwards."""
    before = {number: signal.getsignal(number) for number in (TERM, INT)}
    new_loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.SelectorEventLoop

    def run(program: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(program)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


class Handler:
    """Of the program's: notes the signals."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.numbers: list[int] = []

    def __call__(self, number: int, _frame: object = None) -> None:
        self.numbers.append(number)
        self.came.set()


async def within(wait: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> Any:
    return await asyncio.wait_for(wait, PATIENCE)


async def settle() -> None:
    """Lets the loop take what has been written to its wake-up descriptor."""
    for _ in range(20):
        await asyncio.sleep(0.001)


Busy = tuple[Server, asyncio.Task[bool], asyncio.StreamReader]


@asynccontextmanager
async def hanging(
    prepare: Callable[[Server], None] = lambda _: None,
) -> AsyncIterator[tuple[Server, asyncio.Task[bool], asyncio.StreamReader]]:
    """A server in the middle of a request that never ends, with its task and the answer."""
    began = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    one = Server(Config(app, **options(asgi)))
    prepare(one)
    task = await serving(one)
    host, _, port = one.addresses[0].removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    await within(began.wait())
    yield one, task, reader
    writer.close()


async def serving(one: Server) -> asyncio.Task[bool]:
    task = asyncio.create_task(one.serve())
    await within(one.wait_started())
    return task


def test_handler_of_the_loop(run: Run, app: Any) -> None:
    async def program() -> None:
        handler = Handler()
        asyncio.get_running_loop().add_signal_handler(TERM, handler, TERM)
        task = await serving(server(app))
        signal.raise_signal(TERM)
        assert await within(task) is True
        await settle()
        assert handler.numbers == [TERM], "the signal that ended the server, once"
        handler.came.clear()
        signal.raise_signal(TERM)
        await within(handler.came.wait())
        assert handler.numbers == [TERM, TERM]

    run(program())


def test_handler_of_the_loop_after_a_stop_without_a_signal(run: Run, app: Any) -> None:
    async def program() -> None:
        handler = Handler()
        asyncio.get_running_loop().add_signal_handler(INT, handler, INT)
        one = server(app)
        task = await serving(one)
        one.shutdown()
        assert await within(task) is True
        await settle()
        assert handler.numbers == []
        signal.raise_signal(INT)
        await within(handler.came.wait())

    run(program())


def test_handler_of_the_process(run: Run, app: Any) -> None:
    handler = Handler()
    signal.signal(TERM, handler)

    async def program() -> None:
        task = await serving(server(app))
        signal.raise_signal(TERM)
        assert handler.numbers == [], "it is the server's while that serves"
        assert await within(task) is True
        assert handler.numbers == [TERM]
        assert signal.getsignal(TERM) is handler

    run(program())


def test_handler_that_the_program_sets_meanwhile_stays(run: Run, app: Any) -> None:
    handler = Handler()

    async def program() -> None:
        one = server(app)
        task = await serving(one)
        signal.signal(TERM, handler)
        one.shutdown()
        await within(task)
        assert signal.getsignal(TERM) is handler

    run(program())


def test_interrupt_ends_the_program(run: Run, app: Any) -> None:
    """Ctrl-C is meant for all of it."""
    ended: list[str] = []

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    async def program() -> None:
        one = server(app)

        async def interrupt() -> None:
            await within(one.wait_started())
            signal.raise_signal(INT)

        async def serve() -> None:
            await one.serve()
            ended.append("server")

        await asyncio.gather(serve(), other(), interrupt())

    with pytest.raises(KeyboardInterrupt):
        run(program())
    assert ended == ["server", "other"]


def test_not_handled(run: Run, app: Any) -> None:
    async def program() -> None:
        handler = Handler()
        asyncio.get_running_loop().add_signal_handler(TERM, handler, TERM)
        one = server(app, handle_signals=False)
        task = await serving(one)
        signal.raise_signal(TERM)
        await within(handler.came.wait())
        assert not one.should_exit
        one.shutdown()
        assert await within(task) is True
        assert handler.numbers == [TERM]

    run(program())


def test_two_servers(run: Run, app: Any) -> None:
    handler = Handler()
    signal.signal(TERM, handler)

    async def program() -> None:
        tasks = [await serving(server(app)), await serving(server(app))]
        signal.raise_signal(TERM)
        assert await within(asyncio.gather(*tasks)) == [True, True]
        assert handler.numbers == [TERM]
        assert signal.getsignal(TERM) is handler

    run(program())


def test_two_servers_that_end_in_the_order_of_their_start(run: Run, app: Any) -> None:
    handler = Handler()
    signal.signal(TERM, handler)

    async def program() -> None:
        servers = [server(app), server(app)]
        tasks = [await serving(each) for each in servers]
        for one, task in zip(servers, tasks, strict=True):
            one.shutdown()
            await within(task)
        assert signal.getsignal(TERM) is handler

    run(program())


def test_terminated_twice_is_not_forced_and_interrupted_twice_is(run: Run) -> None:
    for number in (TERM, INT):
        signal.signal(number, Handler())

    async def program() -> None:
        async with hanging() as (_, task, answer):
            for _ in range(3):
                signal.raise_signal(TERM)
                await settle()
                assert not task.done()
            for _ in range(2):
                signal.raise_signal(INT)
            assert await within(task) is False
            with suppress(ConnectionResetError):
                assert await answer.read() == b""

    run(program())


def test_handler_of_the_loop_that_shuts_down_as_well_does_not_force(run: Run) -> None:
    """Both hear of the signal: the program has asked once, in two ways."""

    async def program() -> None:
        loop = asyncio.get_running_loop()
        async with hanging(lambda one: loop.add_signal_handler(TERM, one.shutdown)) as (one, task, _):
            signal.raise_signal(TERM)
            await settle()
            assert one.should_exit
            assert not task.done()
            one.shutdown()
            assert await within(task) is False

    run(program())


def test_application_finds_the_server(run: Run, app: Any) -> None:
    async def program() -> None:
        one = server(app)
        task = await serving(one)
        found = signal.getsignal(TERM).__self__  # type: ignore[union-attr]
        assert found.should_exit is False
        found.should_exit = True
        assert await within(task) is True

    run(program())


PROGRAM = """
import asyncio, os, signal, sys
import fastserve

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

async def main():
    options = dict(each.split("=") for each in sys.argv[3:])
    config = fastserve.Config(globals()[sys.argv[1]], port=0, lifespan="auto", **options)
    server = fastserve.Server(config)
    task = asyncio.create_task(server.serve())
    await server.wait_started()
    port = int(server.addresses[0].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /asked HTTP/1.1\\r\\nHost: test\\r\\nConnection: close\\r\\n\\r\\n")
    assert (await reader.read()).endswith(b"hello")
    writer.close()
    if sys.argv[2] == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        server.shutdown()
    print("ended", await task, flush=True)

asyncio.run(main())
"""


def program(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    script = directory / "program.py"
    script.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=directory,
        env={**environment(), **UNHURRIED},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_termination_ends_a_program_that_does_not_handle_it(tmp_path: Path, app: str) -> None:
    done = program(tmp_path, app, "signal")
    assert (done.returncode, done.stdout) == (-TERM, ""), done.stderr


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
@pytest.mark.parametrize(
    ("arguments", "lines", "logged"),
    [
        ((), 0, 0),
        (("access_log=true",), 1, 0),
        (("access_logfile=access.log",), 0, 1),
        (("access_log=false", "access_logfile=access.log"), 0, 0),
    ],
)
def test_access_log_only_where_it_was_asked_for(
    tmp_path: Path, app: str, arguments: tuple[str, ...], lines: int, logged: int
) -> None:
    done = program(tmp_path, app, "shutdown", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("GET /asked HTTP/1.1") == lines
    assert done.stdout.endswith("ended True\n")
    file = tmp_path / "access.log"
    assert (file.read_text().count("GET /asked HTTP/1.1") if file.exists() else 0) == logged
