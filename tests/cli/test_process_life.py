"""A serving process from its start to its end: where it listens, what it answers, how it stops."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import BOTH_WAYS, Launch, Launched, Run
from kit.waiting import PATIENCE, until

Module = Callable[..., Path]

LIFE = """
import asyncio, sys

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["greeting"] = "from the state"
        say("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("shutdown")
        await send({"type": ANSWER})
        return
    if scope["path"] == "/hang":
        say("hanging")
        try:
            await asyncio.Event().wait()
        finally:
            say("cancelled")
    if scope["path"] == "/wait":
        await receive()
        say("waiting")
        say((await receive())["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["state"]["greeting"].encode()})
"""
COMPLETE = "ANSWER = 'lifespan.shutdown.complete'\n" + LIFE
FAILED = "ANSWER = 'lifespan.shutdown.failed'\n" + LIFE

REQUEST = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"


class Connection:
    """A keep-alive client; every wait has a deadline."""

    def __init__(self, place: int | str) -> None:
        if isinstance(place, int):
            self.socket = socket.create_connection(("127.0.0.1", place), PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(place)

    def ask(self, target: bytes = b"/") -> None:
        self.socket.sendall(REQUEST % target)

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            piece = self.socket.recv(65536)
            assert piece, f"the end came after {data!r}"
            data += piece
        return data

    def is_closed(self) -> bool:
        """Waits for the server's end of the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def answered(place: int | str, end: bytes = b"hello") -> bytes:
    connection = Connection(place)
    with connection.socket:
        connection.ask()
        return connection.read_until(end)


@BOTH_WAYS
@pytest.mark.parametrize("loop", ["auto", "uvloop", "asyncio"])
def test_serves_and_stops(launch: Launch, module: Module, loop: str) -> None:
    module(
        "which",
        "import asyncio\n"
        "async def app(scope, receive, send):\n"
        "    name = type(asyncio.get_running_loop()).__module__.split('.')[0]\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'loop=' + name.encode() + b'!'})\n",
    )
    launched = launch("which:app", "--loop", loop, "--lifespan", "off")
    expected = b"loop=asyncio!" if loop == "asyncio" else b"loop=uvloop!"
    assert answered(launched.named_port(), b"!").endswith(expected)
    ended = launched.stop()
    assert ended.status == 0
    assert ended.stderr.splitlines()[1:] == ["[INFO] stopping", "[INFO] stopped"]


@BOTH_WAYS
def test_log_of_a_start(launch: Launch) -> None:
    launched = launch("hello:app")
    port = launched.named_port()
    assert launched.stop().stderr == (
        "[INFO] the application does not support lifespan (it raised ValueError: only HTTP); going on without\n"
        f"[INFO] listening on http://127.0.0.1:{port}\n[INFO] stopping\n[INFO] stopped\n"
    )


def test_port_from_the_environment(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: address already in use" in run("hello:app", PORT=str(port)).stderr


@BOTH_WAYS
def test_unix_socket(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    launched = launch("hello:app", "--uds", str(path))
    launched.stderr.wait_for(f"listening on unix:{path}\n")
    assert answered(str(path)).startswith(b"HTTP/1.1 200 ")
    assert launched.stop().status == 0
    assert not path.exists()


@BOTH_WAYS
def test_inherited_descriptor(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        launched = launch("hello:app", "--fd", str(listener.fileno()), keep=(listener.fileno(),))
        assert launched.named_port() == port
        assert answered(port).startswith(b"HTTP/1.1 200 ")
        assert launched.stop().status == 0


def test_app_dir(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "hello.py").rename(tmp_path / "inner" / "moved.py")
    assert answered(launch("moved:app", "--app-dir", "inner").named_port()).startswith(b"HTTP/1.1 200 ")


def test_factory(launch: Launch, module: Module) -> None:
    module("made", "import hello\ndef make():\n    return hello.app\n")
    assert answered(launch("made:make", "--factory").named_port()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("interface", ["auto", "asgi2"])
def test_asgi2(launch: Launch, module: Module, interface: str) -> None:
    module(
        "old",
        "class App:\n"
        "    def __init__(self, scope):\n"
        "        self.scope = scope\n"
        "    async def __call__(self, receive, send):\n"
        "        assert self.scope['type'] == 'http'\n"
        "        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "        await send({'type': 'http.response.body', 'body': b'ASGI ' + "
        "self.scope['asgi']['version'].encode()})\n",
    )
    assert answered(launch("old:App", "--interface", interface).named_port(), b"ASGI 2.0").startswith(b"HTTP/1.1 200 ")


def test_class_that_is_awaited(launch: Launch, module: Module) -> None:
    module(
        "awaited",
        "class App:\n"
        "    def __init__(self, scope, receive, send):\n"
        "        self.scope, self.send = scope, send\n"
        "    def __await__(self):\n"
        "        return self.answer().__await__()\n"
        "    async def answer(self):\n"
        "        await self.send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "        await self.send({'type': 'http.response.body', 'body': b'awaited'})\n",
    )
    assert answered(launch("awaited:App", "--lifespan", "off").named_port(), b"awaited").startswith(b"HTTP/1.1 200 ")


def test_header_and_access_log(launch: Launch, tmp_path: Path) -> None:
    launched = launch("hello:app", "--header", "X-One: 1", "--header", "X-Two: 2", "--access-logfile", "access.log")
    head = answered(launched.named_port()).lower()
    assert b"x-one: 1\r\n" in head
    assert b"x-two: 2\r\n" in head
    ended = launched.stop()
    assert ended.stdout == ""
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert len(lines) == 1
    assert "GET / HTTP/1.1" in lines[0]


@BOTH_WAYS
@pytest.mark.parametrize(("flag", "lines"), [("--access-log", 1), ("--no-access-log", 0)])
def test_access_log_on_standard_output(launch: Launch, flag: str, lines: int) -> None:
    launched = launch("hello:app", flag, "--log-level", "info")
    answered(launched.named_port())
    ended = launched.stop()
    assert ended.stdout.count("GET / HTTP/1.1") == ended.stdout.count("\n") == lines
    assert "GET /" not in ended.stderr


def test_forwarding_fields(launch: Launch, module: Module) -> None:
    module(
        "echo",
        "async def app(scope, receive, send):\n"
        "    seen = repr((scope['client'][0], scope['scheme'], dict(scope['headers'])[b'host']))\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': seen.encode() + b'!'})\n",
    )
    fields = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n"
    believed = b"('203.0.113.9', 'https', b'example.org')!"
    ignored = b"('127.0.0.1', 'http', b'test')!"
    for option, expected in (
        ("--proxy-headers", believed),
        ("--no-proxy-headers", ignored),
        ("--forwarded-allow-ips=10.0.0.0/8", ignored),
        ("--forwarded-allow-ips=127.0.0.0/8", believed),
    ):
        connection = Connection(launch("echo:app", "--lifespan", "off", option).named_port())
        with connection.socket:
            connection.socket.sendall(REQUEST[:-2] % b"/" + fields + b"\r\n")
            assert connection.read_until(b"!").endswith(expected), option


# ---- the stop


def start(launch: Launch, module: Module, source: str, *options: str) -> Launched:
    module("life", source)
    return launch("life:app", *options)


@BOTH_WAYS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_runs_the_shutdown(launch: Launch, module: Module, number: signal.Signals) -> None:
    launched = start(launch, module, COMPLETE)
    port = launched.named_port()
    assert answered(port, b"from the state").startswith(b"HTTP/1.1 200 ")
    ended = launched.signal(number).end()
    assert ended.status == 0
    assert ended.stderr == (
        f"startup\n[INFO] listening on http://127.0.0.1:{port}\n[INFO] stopping\nshutdown\n[INFO] stopped\n"
    )


@BOTH_WAYS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_after_the_stop_does_not_change_the_exit_status(
    launch: Launch, module: Module, number: signal.Signals
) -> None:
    module("late", "import atexit, hello, time\napp = hello.app\natexit.register(time.sleep, 0.3)\n")
    launched = launch("late:app")
    launched.named_port()
    launched.signal(number).stderr.wait_for("[INFO] stopped\n")
    assert launched.signal(number).end().status == 0


@BOTH_WAYS
def test_failed_shutdown_is_an_exit_status(launch: Launch, module: Module) -> None:
    launched = start(launch, module, FAILED)
    launched.named_port()
    ended = launched.stop()
    assert ended.status == 3
    assert "[ERROR] the application's shutdown failed\n" in ended.stderr


@BOTH_WAYS
def test_idle_connection_may_bring_one_more_request(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE)
    port = launched.named_port()
    connection = Connection(port)
    with connection.socket:
        connection.ask()
        connection.read_until(b"from the state")
        launched.signal(signal.SIGTERM)
        assert connection_is_refused(port)
        connection.ask()
        assert b"connection: close\r\n" in connection.read_until(b"from the state").lower()
        assert connection.is_closed()
    assert launched.end().status == 0


@BOTH_WAYS
def test_idle_connection_does_not_delay_the_stop_for_long(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE)
    connection = Connection(launched.named_port())
    with connection.socket:
        connection.ask()
        connection.read_until(b"from the state")
        launched.signal(signal.SIGTERM)
        assert connection.is_closed()
    assert launched.end().status == 0


@BOTH_WAYS
def test_stop_refuses_new_connections_while_it_drains(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE)
    port = launched.named_port()
    connection = Connection(port)
    with connection.socket:
        connection.ask(b"/wait")
        launched.stderr.wait_for("waiting\n")
        launched.signal(signal.SIGTERM)
        launched.stderr.wait_for("stopping\n")
        assert connection_is_refused(port)


def connection_is_refused(port: int) -> bool:
    """Asks until it is: the listener is closed in the same turn in which the stop is logged."""

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except (ConnectionRefusedError, ConnectionResetError):  # reset: it came while the listener was being closed
            return True
        return False

    return until(refused)


@BOTH_WAYS
def test_waiting_request_is_told_at_half_time(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE, "--timeout-graceful-shutdown", "1")
    connection = Connection(launched.named_port())
    with connection.socket:
        connection.ask(b"/wait")
        launched.stderr.wait_for("waiting\n")
        ended = launched.stop()
    assert ended.status == 0
    assert "stopping\nhttp.disconnect\nshutdown\n[INFO] stopped\n" in ended.stderr


@BOTH_WAYS
def test_hanging_request_is_cancelled_at_the_end(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE, "--timeout-graceful-shutdown", "0.5")
    connection = Connection(launched.named_port())
    with connection.socket:
        connection.ask(b"/hang")
        launched.stderr.wait_for("hanging\n")
        ended = launched.stop()
    assert ended.status == 0
    assert "[WARNING] requests that did not end within 0.5 seconds and were cancelled: 1\n" in ended.stderr
    assert ended.stderr.index("cancelled\n") < ended.stderr.index("shutdown\n")


@BOTH_WAYS
def test_second_signal_forces(launch: Launch, module: Module) -> None:
    launched = start(launch, module, COMPLETE)
    connection = Connection(launched.named_port())
    with connection.socket:
        connection.ask(b"/hang")
        launched.stderr.wait_for("hanging\n")
        launched.signal(signal.SIGINT)
        launched.stderr.wait_for("stopping\n")
        launched.signal(signal.SIGINT)
        assert connection.is_closed()
        ended = launched.end()
    assert ended.status == 3
    assert "[WARNING] stopping at once\n" in ended.stderr
    assert "[WARNING] requests that were cancelled: 1\n" in ended.stderr
    assert "cancelled\n" in ended.stderr
    assert "shutdown\n" not in ended.stderr


@BOTH_WAYS
def test_stop_during_the_startup(launch: Launch, module: Module) -> None:
    module(
        "life",
        "import asyncio, sys\n"
        "async def app(scope, receive, send):\n"
        "    print('starting', file=sys.stderr, flush=True)\n"
        "    await asyncio.Event().wait()\n",
    )
    launched = launch("life:app")
    launched.stderr.wait_for("starting\n")
    ended = launched.stop()
    assert (ended.status, ended.stderr) == (0, "starting\n[INFO] stopping\n[INFO] stopped\n")
