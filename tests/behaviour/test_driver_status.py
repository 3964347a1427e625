"""The status block: what a driver counts, and the table of the requests that it is serving, read from beside it."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fastserve import _core
from kit import Client, request
from kit.driving import KINDS, Driving, hello_wsgi, listener
from kit.status import BLOCK, Status
from kit.waiting import PATIENCE, until


class Steps:
    """An application of both kinds. Its requests wait at a gate in /wait and /block, the latter without giving way."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.after = threading.Event()
        self.entered = threading.Semaphore(0)

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        self.entered.release()
        if path.startswith("/wait"):
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        elif path == "/sleep":
            await asyncio.sleep(0.03)
        self.act(path)
        await send({"type": "http.response.start", "status": self.status(path), "headers": []})
        await send({"type": "http.response.body", "body": path.encode()})
        self.late(path)

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        self.entered.release()
        if path.startswith("/wait"):
            assert self.gate.wait(PATIENCE)
        elif path == "/sleep":
            time.sleep(0.03)
        self.act(path)
        start_response(f"{self.status(path)} Said", [])
        return Late([path.encode()], lambda: self.late(path)) if path in ("/after", "/raise-after") else [path.encode()]

    def act(self, path: str) -> None:
        if path == "/block":
            assert self.gate.wait(PATIENCE)
        elif path == "/slow":
            time.sleep(0.03)
        elif path == "/raise":
            raise LookupError("the application's own")

    def late(self, path: str) -> None:
        if path == "/after":
            self.after.set()
            assert self.gate.wait(PATIENCE)
        elif path == "/raise-after":
            raise LookupError("its own, after the answer")

    @staticmethod
    def status(path: str) -> int:
        return int(path[1:]) if path[1:].isdecimal() else 200


class Late:
    """An iterable whose close() is called when its answer has been given."""

    def __init__(self, pieces: list[bytes], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def steps() -> Iterator[Steps]:
    steps = Steps()
    yield steps
    steps.gate.set()


@pytest.fixture
def status() -> Status:
    return Status()


@pytest.fixture
def address(kind: str, steps: Steps, status: Status, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, int]]:
    with (
        caplog.at_level(logging.CRITICAL),
        Driving(kind, asgi=steps.asgi, wsgi=steps.wsgi, status=memoryview(status.memory)) as driving,
        listener() as listening,
    ):
        driving.do(lambda: driving.driver.add_listener(listening.fileno()))
        yield listening.getsockname()
        steps.gate.set()
        driving.do(driving.driver.stop_listening)
    assert status["connections"] == status["in_flight"] == status["running"] == 0
    assert status.rows() == []


def test_connections_and_bytes(address: tuple[str, int], status: Status) -> None:
    sent = received = 0
    with Client(address) as one, Client(address) as two:
        for client in (one, two, one):
            data = request("/a")
            answer = client.exchange(data)
            sent += len(data)
            received += len(answer.raw_head) + len(answer.body)
        assert status["connections"] == status["connections_total"] == 2
    assert until(lambda: status["connections"] == 0)
    assert status["connections_total"] == 2
    assert status["requests_total"] == 3
    assert (status["bytes_in"], status["bytes_out"]) == (sent, received)


def test_responses_by_their_status(address: tuple[str, int], status: Status) -> None:
    with Client(address) as client:
        for path in ("/200", "/299", "/304", "/404", "/503", "/599", "/200"):
            assert client.exchange(request(path)).status == int(path[1:])
    assert status.responses() == {"2xx": 3, "3xx": 1, "4xx": 1, "5xx": 2}
    assert sum(status.durations().values()) == 7
    assert status["application_errors"] == status["peer_errors"] == 0


def test_a_status_above_the_registered_classes_counts_with_the_last(address: tuple[str, int], status: Status) -> None:
    with Client(address) as client:
        assert client.exchange(request("/999")).status == 999
    assert status.responses() == {"5xx": 1}
    assert status["duration_sum_us"] < 10_000_000


def test_what_the_peer_did_wrong(address: tuple[str, int], status: Status) -> None:
    with Client(address) as client:
        assert client.exchange(b"GET / HTTP/1.1\r\n\r\n").status == 400
    with Client(address) as client:
        client.exchange(request("/"))
        assert client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n").status == 501
    with Client(address) as client:
        client.exchange(request("/"))
    assert until(lambda: status["connections"] == 0)
    assert status["peer_errors"] == 2, "that a client goes away is no error"
    assert status.responses() == {"2xx": 2, "4xx": 1, "5xx": 1}
    assert status["application_errors"] == 0


def test_what_the_application_did_wrong(address: tuple[str, int], status: Status) -> None:
    with Client(address) as client:
        assert client.exchange(request("/raise")).status == 500
        assert client.exchange(request("/raise-after")).status == 200
        assert client.exchange(request("/")).status == 200
    assert until(lambda: status["application_errors"] == 2)
    assert status.responses() == {"2xx": 2, "5xx": 1}
    assert status["peer_errors"] == 0


@pytest.mark.parametrize("path", ["/slow", "/sleep"])
def test_a_slow_answer_shows_its_duration(address: tuple[str, int], status: Status, path: str) -> None:
    """Whether it holds up the thread that serves or waits."""
    with Client(address) as client:
        client.exchange(request(path))
        assert until(lambda: sum(status.durations().values()) == 1)
        assert 25_000 <= status["duration_sum_us"] < 10_000_000
        assert not set(status.durations()) & {"duration_1ms", "duration_5ms", "duration_10ms", "duration_25ms"}


def test_an_answer_shows_its_own_duration_and_not_the_time_until_the_next(
    address: tuple[str, int], status: Status
) -> None:
    """Most durations are counted some answers at a time."""
    with Client(address) as client:
        for number in range(1, 101):
            client.exchange(request("/"))
            assert until(lambda: sum(status.durations().values()) == number)  # noqa: B023
            time.sleep(0.002)
    assert status["duration_sum_us"] < 100_000


def test_a_request_stands_in_the_table_while_it_is_served(
    address: tuple[str, int], steps: Steps, status: Status
) -> None:
    before = time.monotonic_ns() // 1_000_000
    with Client(address) as client:
        client.send(request("/block?a=1&b=%20"))
        assert steps.entered.acquire(timeout=PATIENCE)
        [row] = status.rows()
        assert row.text == b"GET /block?a=1&b=%20"
        assert before <= row.start <= time.monotonic_ns() // 1_000_000
        assert status["in_flight"] == 1
        steps.gate.set()
        client.answer()
        assert until(lambda: status.rows() == [])
        assert status["in_flight"] == 0


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "eight"], indirect=True)
def test_requests_in_flight_are_told_apart(address: tuple[str, int], steps: Steps, status: Status) -> None:
    clients = [Client(address) for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(request(f"/wait{number}", method="POST", body=b"a") if number % 2 else request(f"/wait{number}?q"))
    for _ in clients:
        assert steps.entered.acquire(timeout=PATIENCE)
    assert status.texts() == [b"GET /wait0?q", b"GET /wait2?q", b"GET /wait4?q", b"POST /wait1", b"POST /wait3"]
    assert status["in_flight"] == 5
    clients[1].close()
    steps.gate.set()
    for number, client in enumerate(clients):
        if number != 1:
            with client:
                assert client.answer().status == 200
    assert until(lambda: status.rows() == [])


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"], indirect=True)
def test_more_requests_than_rows(address: tuple[str, int], steps: Steps, status: Status) -> None:
    """Those for which there is none go without; rows that are given back are used again."""
    for _ in range(2):
        clients = [Client(address) for _ in range(70)]
        for client in clients:
            client.send(request("/wait"))
        for _ in clients:
            assert steps.entered.acquire(timeout=PATIENCE)
        assert len(status.rows()) == 58
        assert status["in_flight"] == 70
        steps.gate.set()
        for client in clients:
            with client:
                assert client.answer().status == 200
        assert until(lambda: status.rows() == [])
        steps.gate.clear()


@pytest.mark.parametrize("size", [100, 114, 115, 116, 4000])
def test_a_long_target_is_cut(address: tuple[str, int], steps: Steps, status: Status, size: int) -> None:
    target = "/wait" + "x" * (size - 5)
    with Client(address) as client:
        client.send(request(target))
        assert steps.entered.acquire(timeout=PATIENCE)
        assert status.texts() == [f"GET {target}".encode()[:119]]
        steps.gate.set()
        client.answer()


def test_a_head_that_came_in_pieces_stands_there_whole(address: tuple[str, int], steps: Steps, status: Status) -> None:
    with Client(address) as client:
        data = request("/wait/whole")
        for at in range(len(data)):
            client.send(data[at : at + 1])
        assert steps.entered.acquire(timeout=PATIENCE)
        assert status.texts() == [b"GET /wait/whole"]
        steps.gate.set()
        client.answer()


def test_an_application_that_goes_on_after_its_answer_is_named(
    address: tuple[str, int], steps: Steps, status: Status
) -> None:
    """What holds up a worker may be what it does when the client has its answer."""
    with Client(address) as client:
        client.send(request("/after"))
        assert steps.after.wait(PATIENCE)
        assert status.texts() == [b"GET /after"]
        assert until(lambda: status["in_flight"] == 0)
        steps.gate.set()
        assert client.answer().body == b"/after"
        assert until(lambda: status.rows() == [])


def test_it_is_there_when_the_process_was_killed(kind: str, tmp_path: Path) -> None:
    """The reader is another process, and comes when nobody is left to ask."""
    (tmp_path / "block").write_bytes(bytes(BLOCK))
    with listener() as listening, (tmp_path / "block").open("r+b") as file:
        status = Status(file.fileno())
        process = subprocess.Popen(
            [sys.executable, "-c", TO_BE_KILLED, kind, str(listening.fileno()), str(file.fileno())],
            pass_fds=(listening.fileno(), file.fileno()),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        try:
            with Client(listening.getsockname()) as client:
                assert client.exchange(request("/first")).body == b"hello"
                client.send(request("/block"))
                assert until(lambda: status.texts() == [b"GET /block"])
                process.kill()
                process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait(PATIENCE)
    assert status.texts() == [b"GET /block"]
    assert (status["requests_total"], status["in_flight"], status["connections"]) == (2, 1, 1)
    assert 0 < status["heartbeat"] <= time.monotonic_ns() // 1_000_000


TO_BE_KILLED = """
import mmap, sys, threading
from kit.driving import Driving, hello_asgi, hello_wsgi

kind, listening, block = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def asgi(scope, receive, send):
    if scope["path"] == "/block":
        threading.Event().wait()
    await hello_asgi(scope, receive, send)

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        threading.Event().wait()
    return hello_wsgi(environ, start_response)

driving = Driving(kind, asgi=asgi, wsgi=wsgi, status=memoryview(mmap.mmap(block, 12288)))
driving.driver.add_listener(listening)
with driving:
    threading.Event().wait()
"""


# ---- the heartbeat


def moves(status: Status, seconds: float) -> bool:
    beat = status["heartbeat"]
    return until(lambda: status["heartbeat"] > beat, timeout=seconds)


def test_a_beat_turns_the_driver_though_nothing_happens(kind: str, status: Status) -> None:
    with Driving(kind, status=memoryview(status.memory)) as driving:
        driving.do(lambda: driving.driver.beat(0.05))
        seen = [status["heartbeat"]]
        assert seen[0] <= time.monotonic_ns() // 1_000_000
        while len(seen) < 4:
            turns = status["turns"]
            assert until(lambda: status["heartbeat"] > seen[-1])
            assert status["turns"] > turns
            seen.append(status["heartbeat"])
        assert all(later - earlier >= 50 for earlier, later in pairwise(seen[1:]))
        driving.do(lambda: driving.driver.beat(0))
        assert until(lambda: not moves(status, 0.3))


def test_a_driver_that_is_held_up_has_no_heartbeat(kind: str, steps: Steps, status: Status) -> None:
    """But for one with threads, where another one goes on."""
    with (
        Driving(kind, asgi=steps.asgi, wsgi=steps.wsgi, status=memoryview(status.memory)) as driving,
        listener() as listening,
    ):
        driving.do(lambda: driving.driver.add_listener(listening.fileno()))
        driving.do(lambda: driving.driver.beat(0.02))
        with Client(listening.getsockname()) as client:
            client.send(request("/block"))
            assert steps.entered.acquire(timeout=PATIENCE)
            assert moves(status, 0.3) == (kind == "eight")
            steps.gate.set()
            client.answer()
            assert moves(status, PATIENCE)


# ---- the memory


def test_totals_go_on_in_memory_that_was_used_before(kind: str, status: Status) -> None:
    for count in (1, 2):
        with Driving(kind, status=memoryview(status.memory)) as driving, listener() as listening:
            driving.do(lambda: driving.driver.add_listener(listening.fileno()))
            with Client(listening.getsockname()) as client:
                client.exchange(request("/"))
        assert status["requests_total"] == count
        assert driving.driver.counters()["requests"] == count


@pytest.mark.parametrize(
    ("memory", "error"),
    [
        (memoryview(bytearray(BLOCK - 1)), ValueError),
        (memoryview(bytearray(BLOCK + 8))[1:], ValueError),
        (memoryview(bytes(BLOCK)), BufferError),
        ("text", TypeError),
    ],
    ids=["too small", "not aligned", "read-only", "no buffer"],
)
def test_memory_that_cannot_serve_is_refused(memory: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.Driver(
            _core.WSGI(hello_wsgi, threads=1, watched=False), logger=logging.getLogger("driving"), status=memory
        )


def test_descriptor_of_a_sibling_without_a_status_is_closed() -> None:
    """It is the driver's, whatever comes of it."""
    driver = _core.Driver(_core.WSGI(hello_wsgi, threads=1, watched=False), logger=logging.getLogger("driving"))
    fd = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(ValueError, match="status is"):
        driver.add_sibling(1, fd, memoryview(bytes(8)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    driver.close()


def test_the_memory_is_kept_as_long_as_the_driver(status: Status) -> None:
    driver = _core.Driver(
        _core.WSGI(hello_wsgi, threads=1, watched=False),
        logger=logging.getLogger("driving"),
        status=memoryview(status.memory),
    )
    with pytest.raises(BufferError):
        status.memory.close()
    driver.close()
    del driver
    gc.collect()
    status.memory.close()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("max_head", 1 << 32, OverflowError),
        ("max_head", -1, OverflowError),
        ("max_body", 1 << 64, OverflowError),
        ("timeout_head", "soon", TypeError),
        ("timeout_head", 1.5, TypeError),
    ],
)
def test_a_limit_that_its_type_does_not_hold_is_refused(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.Driver(
            _core.WSGI(hello_wsgi, threads=1, watched=False), logger=logging.getLogger("driving"), limits={name: value}
        )


def test_a_driver_that_cannot_be_made_closes_nobody_elses_descriptor() -> None:
    before = os.fstat(0)
    with pytest.raises(ValueError, match="unknown limit"):
        _core.Driver(
            _core.WSGI(hello_wsgi, threads=1, watched=False), logger=logging.getLogger("driving"), limits={"no-such": 1}
        )
    after = os.fstat(0)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
