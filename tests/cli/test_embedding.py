"""`fastserve.Server` in a running loop: started, addressed, stopped, cancelled, in a thread, with its own sockets."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fastserve import Config, Server, StartError
from kit.process import Output, environment
from kit.waiting import PATIENCE


class Application:
    """Answers with `hello`; notes its lifespan; /hang never ends."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        if scope["path"] == "/hang":
            self.events.append("hanging")
            try:
                await asyncio.Event().wait()
            finally:
                self.events.append("cancelled")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.events.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


def server(app: Any, **options: Any) -> Server:
    return Server(Config(app, **{"port": 0, "access_log": False, **options}))


async def asked(address: str, target: str = "/") -> bytes:
    host, _, port = address.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


@pytest.fixture
def app() -> Application:
    return Application()


def test_serves_in_a_running_loop(app: Application) -> None:
    async def main() -> None:
        one = server(app)
        assert not one.started.is_set()
        task = asyncio.create_task(one.serve())
        await one.wait_started()
        assert one.started.is_set()
        (address,) = one.addresses
        assert (await asked(address)).endswith(b"hello")
        one.shutdown()
        assert one.should_exit
        assert await asyncio.wait_for(task, PATIENCE) is True
        with pytest.raises(ConnectionRefusedError):
            await asked(address)

    asyncio.run(main())
    assert app.events == ["startup", "shutdown"]


def test_two_servers_in_one_loop(app: Application) -> None:
    async def main() -> None:
        servers = [server(app), server(app)]
        tasks = [asyncio.create_task(each.serve()) for each in servers]
        for each in servers:
            await each.wait_started()
            assert (await asked(each.addresses[0])).endswith(b"hello")
            each.should_exit = True
        assert await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE) == [True, True]

    asyncio.run(main())


def test_own_sockets(app: Application) -> None:
    async def main() -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket()]
        sockets[1].bind(("127.0.0.1", 0))  # one that does not listen yet is as good
        one = server(app)
        task = asyncio.create_task(one.serve(sockets))
        await one.wait_started()
        assert one.addresses == tuple(f"http://127.0.0.1:{each.getsockname()[1]}" for each in sockets)
        for address in one.addresses:
            assert (await asked(address)).endswith(b"hello")
        one.shutdown()
        await asyncio.wait_for(task, PATIENCE)
        assert [each.fileno() for each in sockets] == [-1, -1]

    asyncio.run(main())


def test_off_the_main_thread(app: Application) -> None:
    one = server(app)
    results: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: results.append(asyncio.run(one.serve())))
    thread.start()
    assert one.started.wait(PATIENCE)
    assert signal.getsignal(signal.SIGTERM) is before
    assert asyncio.run(asked(one.addresses[0])).endswith(b"hello")
    one.shutdown()
    thread.join(PATIENCE)
    assert results == [True]
    assert app.events == ["startup", "shutdown"]


def test_signal_handlers_are_put_back(app: Application) -> None:
    def mine(*_: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:

        async def main() -> None:
            one = server(app)
            task = asyncio.create_task(one.serve())
            await one.wait_started()
            signal.raise_signal(signal.SIGTERM)
            assert await asyncio.wait_for(task, PATIENCE) is True
            assert one.should_exit

        asyncio.run(main())
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_shutdown_before_the_start(app: Application) -> None:
    async def main() -> None:
        one = server(app)
        one.shutdown()
        assert await asyncio.wait_for(one.serve(), PATIENCE) is True
        assert not one.started.is_set()

    asyncio.run(main())


def test_second_shutdown_forces(app: Application) -> None:
    async def main() -> None:
        one = server(app)
        task = asyncio.create_task(one.serve())
        await one.wait_started()
        request = asyncio.create_task(asked(one.addresses[0], "/hang"))
        while "hanging" not in app.events:
            await asyncio.sleep(0)
        one.shutdown()
        one.shutdown()
        assert await asyncio.wait_for(task, PATIENCE) is False
        with_or_without_reset = await asyncio.gather(request, return_exceptions=True)
        assert with_or_without_reset[0] == b"" or isinstance(with_or_without_reset[0], ConnectionError)

    asyncio.run(main())
    assert "cancelled" in app.events


def test_cancelled_serve_still_ends_the_lifespan(app: Application) -> None:
    async def main() -> None:
        one = server(app)
        task = asyncio.create_task(one.serve())
        await one.wait_started()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionRefusedError):
            await asked(one.addresses[0])

    asyncio.run(main())
    assert app.events == ["startup", "shutdown"]


def test_failed_start_raises_for_whoever_waits(app: Application) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            one = server(app, port=taken.getsockname()[1])
            waiting = asyncio.create_task(one.wait_started())
            with pytest.raises(StartError, match=r"address already in use$"):
                await one.serve()
            with pytest.raises(StartError, match=r"^the server did not start$"):
                await waiting

    asyncio.run(main())
    assert app.events == []


def test_serves_once(app: Application) -> None:
    async def main() -> None:
        one = server(app)
        one.shutdown()
        await one.serve()
        with pytest.raises(RuntimeError, match=r"^a Server serves once$"):
            await one.serve()

    asyncio.run(main())


RUN = """
import os, signal, sys
import fastserve

async def app(scope, receive, send):
    await receive()
    if sys.argv[1] == "fail":
        await send({"type": "lifespan.startup.failed"})
    await send({"type": "lifespan.startup.complete"})
    sys.stderr.write("up\\n")
    os.kill(program, signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

program = os.getpid()
fastserve.run(app, port=0, supervisor=sys.argv[2] == "supervised")
print("returned")
"""


@pytest.mark.parametrize("way", ["supervised", "alone"])
@pytest.mark.parametrize(("how", "status", "stdout"), [("serve", 0, "returned\n"), ("fail", 1, "")])
def test_run(tmp_path: Path, how: str, status: int, stdout: str, way: str) -> None:
    """The program goes on after a clean stop, once, in the process that called."""
    script = tmp_path / "program.py"
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, str(script), how, way],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, stdout), done.stderr
    assert "Traceback" not in done.stderr


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/block":
        threading.Event().wait(0.3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi_is_served_beside_the_loop(threads: int) -> None:
    """The loop goes on while the application blocks."""

    async def main() -> None:
        one = server(wsgi, threads=threads)
        task = asyncio.create_task(one.serve())
        await one.wait_started()
        blocked = asyncio.create_task(asked(one.addresses[0], "/block"))
        turns = 0
        while not blocked.done():
            turns += 1
            await asyncio.sleep(0.01)
        assert turns > 10
        assert (await blocked).endswith(b"/block")
        one.shutdown()
        assert await asyncio.wait_for(task, PATIENCE) is True
        with pytest.raises(ConnectionRefusedError):
            await asked(one.addresses[0])

    asyncio.run(main())


def test_wsgi_server_whose_task_is_cancelled_stops() -> None:
    async def main() -> None:
        one = server(wsgi)
        task = asyncio.create_task(one.serve())
        await one.wait_started()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            await asked(one.addresses[0])

    asyncio.run(main())


IN_A_THREAD = """
import threading
import fastserve

def app(environ, start_response):
    start_response("200 OK", [])
    return [threading.current_thread().name.encode()]

threading.Thread(target=fastserve.run, args=[app], kwargs={"port": 0, "threads": 1}, name="beside").start()
"""


def test_run_off_the_main_thread(tmp_path: Path) -> None:
    """Where there are no signals there is no supervisor, and the program's own handling of them is left alone."""
    script = tmp_path / "program.py"
    script.write_text(IN_A_THREAD)
    with subprocess.Popen([sys.executable, str(script)], env=environment(), stderr=subprocess.PIPE) as program:
        try:
            assert program.stderr is not None
            text = Output(program.stderr).wait(lambda text: "listening on http://" in text and text.endswith("\n"))
            assert asyncio.run(asked(text.partition("listening on ")[2].strip())).endswith(b"beside")
            program.terminate()
            assert program.wait(PATIENCE) == -signal.SIGTERM
        finally:
            program.kill()
