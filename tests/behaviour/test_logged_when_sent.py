"""The access log's line: bytes that the kernel has taken, when it had the last; 499 where the client left before."""

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from http2.test_extended_connect import Tunnel
from kit import Client, request
from kit.driving import KINDS, Driving, listener
from kit.http2 import HTTP2, get
from kit.status import Status
from kit.waiting import PATIENCE, Stopwatch, until
from kit.websocket import CLOSE, FIN, frame

MIB = 1 << 20
WHOLE = 24 * MIB
"""More than the buffers of both ends hold."""

QUEUED = 65536
"""Of a connection at most, give or take a frame: it counts as unsent for each of its streams."""

LINE = re.compile(r'\S+ - - \[[^]]+\] "GET (\S+) HTTP/[\d.]+" (\d{3}) (\d+) (\d+\.\d{6})\n')


class Steps:
    """Answers /N with N bytes; what begins with /gate waits at it first."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": bytes(4 * QUEUED)})
            await receive()
            return
        if path.startswith("/gate"):
            self.entered.release()
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        size = int(path.rpartition("/")[2])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/gate"):
            self.entered.release()
            assert self.gate.wait(PATIENCE)
        size = int(path.rpartition("/")[2])
        start_response("200 OK", [("Content-Length", str(size))])
        return [bytes(size)]


class Logged:
    """A driver whose access log is a file."""

    def __init__(self, kind: str, folder: Path, *, log: bool = True) -> None:
        self.steps, self.status = Steps(), Status()
        self.path = folder / "access.log"
        self.file = self.path.open("wb", buffering=0)
        self.driving = Driving(
            kind,
            asgi=self.steps.asgi,
            wsgi=self.steps.wsgi,
            status=memoryview(self.status.memory),
            access_log_fd=self.file.fileno() if log else -1,
        )
        self.listener = listener()
        self.address: tuple[str, int] = self.listener.getsockname()

    def __enter__(self) -> Self:
        self.driving.__enter__()
        self.driving.do(lambda: self.driving.driver.add_listener(self.listener.fileno()))
        return self

    def __exit__(self, *error: object) -> None:
        self.steps.gate.set()
        self.driving.do(self.driving.driver.stop_listening)
        self.driving.__exit__(None, None, None)
        self.listener.close()
        self.file.close()

    def connect(self, receive_buffer: int | None = None) -> Client:
        return Client(self.address, receive_buffer=receive_buffer)

    def http2(self) -> HTTP2:
        return HTTP2(SimpleNamespace(address=self.address, secure=False))  # type: ignore[arg-type]

    def lines(self) -> list[tuple[str, str, int, float]]:
        """Target, status, bytes and seconds of each line by now."""
        self.driving.do(self.driving.driver.flush_access_log)
        text = self.path.read_text()
        found = LINE.findall(text)
        assert len(found) == text.count("\n")
        return [(target, status, int(size), float(seconds)) for target, status, size, seconds in found]

    def line(self) -> tuple[str, str, int, float]:
        """Waits for the one line."""
        assert until(lambda: bool(self.lines()))
        [line] = self.lines()
        return line


@pytest.fixture(params=KINDS)
def logged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Logged]:
    with Logged(request.param, tmp_path) as place:
        yield place


def read(client: Client, n: int) -> int:
    """Takes at least n bytes of what comes; how many they were."""
    taken = 0
    while taken < n:
        piece = client.receive_once()
        assert piece
        taken += len(piece)
    return taken


# ---- HTTP/1.1


def test_a_slow_download_takes_as_long_as_it_takes(logged: Logged) -> None:
    with logged.connect(receive_buffer=16384) as client:
        watch = Stopwatch()
        client.send(request(f"/{WHOLE}"))
        taken = read(client, 4096)
        assert until(lambda: logged.status["in_flight"] == 0)
        assert logged.lines() == []
        assert logged.status.responses() == {}
        while watch.elapsed() < 0.3:
            taken += read(client, 4096)
            threading.Event().wait(0.01)
        assert logged.lines() == []
        read(client, WHOLE - taken)
        assert logged.line()[:3] == (f"/{WHOLE}", "200", WHOLE)
        assert 0.3 < logged.line()[3] < watch.elapsed()
    assert logged.status.responses() == {"2xx": 1}
    assert not {"duration_1ms", "duration_5ms", "duration_100ms"} & set(logged.status.durations())


def test_a_client_that_leaves_a_download(logged: Logged) -> None:
    with logged.connect(receive_buffer=16384) as client:
        client.send(request(f"/{WHOLE}"))
        taken = read(client, MIB)
        client.reset()
    _, status, size, _ = logged.line()
    assert status == "499"
    assert taken < size < taken + 16 * MIB
    assert logged.status.responses() == {"4xx": 1}


def test_a_client_that_closes_before_its_answer(logged: Logged) -> None:
    """All of it, by FIN: nobody is there to read, which the kernel hears as RST when the answer comes."""
    with logged.connect() as client:
        client.send(request("/gate/1000"))
        assert logged.steps.entered.acquire(timeout=PATIENCE)
        watch = Stopwatch()
    assert until(lambda: watch.elapsed() > 0.01)  # an answer that comes within a millisecond overtakes the FIN
    logged.steps.gate.set()
    assert logged.line()[1] == "499"
    assert logged.status.responses() == {"4xx": 1}


def test_a_client_that_closes_its_half_and_reads_on(logged: Logged) -> None:
    with logged.connect() as client:
        client.send(request("/gate/1000")).half_close()
        assert logged.steps.entered.acquire(timeout=PATIENCE)
        logged.steps.gate.set()
        assert len(client.answer().body) == 1000
        assert client.closed()
    assert logged.line()[:3] == ("/gate/1000", "200", 1000)
    assert logged.status.responses() == {"2xx": 1}


def test_answers_to_requests_in_a_segment_have_a_line_each(logged: Logged) -> None:
    with logged.connect() as client:
        client.send(b"".join(request(f"/{size}") for size in (1, 100_000, 3, 200_000)))
        assert [len(client.answer().body) for _ in range(4)] == [1, 100_000, 3, 200_000]
        assert until(lambda: len(logged.lines()) == 4)
    assert [(line[1], line[2]) for line in logged.lines()] == [("200", size) for size in (1, 100_000, 3, 200_000)]
    assert logged.status.responses() == {"2xx": 4}
    assert sum(logged.status.durations().values()) == 4


def test_of_several_answers_those_that_have_left_are_whole(logged: Logged) -> None:
    with logged.connect(receive_buffer=16384) as client:
        client.send(request("/10") + request(f"/{WHOLE}"))
        read(client, MIB)
        assert until(lambda: len(logged.lines()) == 1)
        client.reset()
        assert until(lambda: len(logged.lines()) == 2)
    first, second = logged.lines()
    assert first[:3] == ("/10", "200", 10)
    assert second[1] == "499"
    assert second[2] < WHOLE


# ---- HTTP/2


def test_a_stream_that_its_client_breaks_off(logged: Logged) -> None:
    with logged.http2() as connection:
        stream = connection.open(get(f"/{WHOLE}"))
        connection.wait(lambda: len(connection.streams[stream].body) > MIB)
        taken = len(connection.streams[stream].body)
        connection.reset(stream).ping()
        _, status, size, _ = logged.line()
        assert status == "499"
        assert taken <= size < WHOLE
        assert connection.request(get("/5")).body == bytes(5)
        assert until(lambda: len(logged.lines()) == 2)
    assert logged.lines()[1][:3] == ("/5", "200", 5)
    assert logged.status.responses() == {"2xx": 1, "4xx": 1}


def test_a_stream_whose_window_opens_late(logged: Logged) -> None:
    """The small one beside it does not wait for it."""
    with logged.http2() as connection:
        connection.window = False
        watch = Stopwatch()
        slow = connection.open(get("/200000"))
        connection.wait(lambda: len(connection.streams[slow].body) >= 65_535)
        connection.widen(0, MIB)
        assert connection.request(get("/5")).body == bytes(5)
        assert logged.line()[:3] == ("/5", "200", 5)
        assert until(lambda: watch.elapsed() > 0.3)
        assert len(logged.lines()) == 1
        connection.widen(slow, MIB)
        assert len(connection.response(slow).body) == 200_000
        assert until(lambda: len(logged.lines()) == 2)
    assert logged.lines()[1][:3] == ("/200000", "200", 200_000)
    assert logged.lines()[1][3] > 0.3


def test_a_connection_that_is_lost_with_its_streams(logged: Logged) -> None:
    with logged.http2() as connection:
        streams = [connection.open(get(f"/{WHOLE}")) for _ in range(3)]
        connection.wait(lambda: all(len(connection.streams[stream].body) > 4 * QUEUED for stream in streams))
        connection.client.reset()
    assert until(lambda: len(logged.lines()) == 3)
    assert {line[1] for line in logged.lines()} == {"499"}
    assert all(0 < line[2] < WHOLE for line in logged.lines())


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_tunnel_that_ends_beside_an_answer_under_way(kind: str, tmp_path: Path) -> None:
    """Without a log, and with more unsent than an answer may have to count at once: it has been counted already."""
    with Logged(kind, tmp_path, log=False) as place, place.http2() as connection:
        connection.window = False
        connection.widen(0, WHOLE)
        slow = connection.open(get(f"/{4 * QUEUED}"))
        connection.wait(lambda: len(connection.streams[slow].body) >= QUEUED - 1)
        tunnel = Tunnel(connection)
        connection.wait(lambda: len(tunnel.found.body) >= QUEUED - 1)
        assert place.status.responses() == {"2xx": 1}
        tunnel.send(frame(FIN | CLOSE, b"\x03\xe8"))
        assert until(lambda: place.status["in_flight"] == 0)
        connection.widen(tunnel.stream, MIB)
        connection.wait(lambda: tunnel.found.over)
        assert place.status.responses() == {"2xx": 1}
        connection.widen(slow, MIB)
        assert len(connection.response(slow).body) == 4 * QUEUED
        assert until(lambda: place.status.responses() == {"2xx": 2})
