"""A worker that stands still, because an application blocks its loop or the process does not run: what comes meanwhile
is judged by when it came, and not by when it could be read."""

import os
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from fastserve.tls.contexts import TLS
from kit import Client, request
from kit.answer import Reader
from kit.certificates import shared
from kit.driving import KINDS, Driving, listener
from kit.http2 import ACK, HTTP2, PING, get
from kit.memory_tls import opened
from kit.waiting import PATIENCE, until
from kit.websocket import FIN, PONG, WebSocket

LOOPS = ("asyncio", "uvloop")
DEADLINE_MS = 300
STALL = 0.8
"""Seconds: well beyond every deadline."""

LIMITS = {
    "timeout_first_byte": DEADLINE_MS,
    "timeout_head": DEADLINE_MS,
    "timeout_keep_alive": DEADLINE_MS,
    "timeout_body": DEADLINE_MS,
    "timeout_tls_handshake": DEADLINE_MS,
    "timeout_ws_ping": 100,
    "timeout_ws_pong": DEADLINE_MS,
    "timeout_h2_ping": 100,
    "timeout_h2_pong": DEADLINE_MS,
}

Message = dict[str, Any]


async def asgi(scope: Message, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
        return
    if scope["path"] == "/wait":
        await receive()
        await receive()  # until the client has left
        return
    size = 0
    more = True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


def wsgi(environ: Message, start_response: Any) -> list[bytes]:
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [])
    return [b"%d" % size]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


Begin = Callable[[Driving, tuple[str, int]], Client]


def stand_still(driving: Driving, meanwhile: Callable[[], Any]) -> None:
    """Keeps the driver from turning for longer than every deadline; what the client does comes in the midst of it."""

    def work() -> None:
        time.sleep(STALL / 2)  # this is the stall
        meanwhile()
        time.sleep(STALL / 2)

    driving.do(work)


@pytest.fixture
def driving(kind: str) -> Iterator[Driving]:
    with Driving(kind, asgi=asgi, wsgi=wsgi, limits=LIMITS) as driving:
        yield driving


@pytest.fixture
def address(driving: Driving) -> Iterator[tuple[str, int]]:
    with listener() as made:
        driving.do(lambda: driving.driver.add_listener(made.fileno()))
        yield made.getsockname()


def received(driving: Driving) -> int:
    count: int = driving.do(lambda: driving.driver.counters()["bytes_in"])
    return count


def accepted(driving: Driving) -> bool:
    count: int = driving.do(lambda: driving.driver.connections)
    return count == 1


def test_the_first_request_of_a_connection_is_answered(driving: Driving, address: tuple[str, int]) -> None:
    with Client(address) as client:
        assert until(lambda: accepted(driving))
        stand_still(driving, lambda: client.send(request("/")))
        assert client.answer().body == b"0"


def test_the_next_request_of_a_connection_is_answered(driving: Driving, address: tuple[str, int]) -> None:
    with Client(address) as client:
        client.exchange(request("/"))
        stand_still(driving, lambda: client.send(request("/")))
        assert client.answer().body == b"0"


def test_the_rest_of_a_head_is_in_time(driving: Driving, address: tuple[str, int]) -> None:
    with Client(address) as client:
        client.exchange(request("/"))
        before = received(driving)
        client.send(request("/")[:10])
        assert until(lambda: received(driving) > before)
        stand_still(driving, lambda: client.send(request("/")[10:]))
        assert client.answer().body == b"0"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_rest_of_a_body_is_in_time(driving: Driving, address: tuple[str, int], framing: str) -> None:
    fields = {"length": b"content-length: 10", "chunked": b"transfer-encoding: chunked"}[framing]
    first, rest = {"length": (b"12345", b"67890"), "chunked": (b"a\r\n12345", b"67890\r\n0\r\n\r\n")}[framing]
    head = b"POST / HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n\r\n"
    with Client(address) as client:
        client.send(head + first)
        assert until(lambda: received(driving) == len(head + first))
        stand_still(driving, lambda: client.send(rest))
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"10")


def test_the_rest_of_a_proxy_header_is_in_time(kind: str) -> None:
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
    with (
        Driving(kind, asgi=asgi, wsgi=wsgi, limits=LIMITS, proxy_protocol=lambda _: True) as driving,
        listener() as made,
    ):
        driving.do(lambda: driving.driver.add_listener(made.fileno()))
        with Client(made.getsockname()) as client:
            client.send(header[:10])
            assert until(lambda: received(driving) == 10)
            stand_still(driving, lambda: client.send(header[10:] + request("/")))
            assert client.answer().body == b"0"


class SlowTLS:
    """A client's TLS whose every step is the test's."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = shared().context().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def step(self) -> bool:
        with suppress(ssl.SSLWantReadError):
            self.ssl.do_handshake()
            return True
        return False

    def send(self) -> None:
        self.socket.sendall(self.outgoing.read())

    def receive(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, "the server has closed the connection"
        self.incoming.write(data)

    def read(self) -> bytes:
        while True:
            with suppress(ssl.SSLWantReadError):
                return self.ssl.read(1 << 16)
            self.receive()


def own_tls() -> TLS:
    return opened(shared().standing())


def test_the_end_of_a_handshake_is_in_time(driving: Driving) -> None:
    tls = own_tls()
    with listener() as made:
        driving.do(lambda: driving.driver.add_listener(made.fileno(), tls=tls))
        client = SlowTLS(made.getsockname())
        with client.socket:
            client.step()
            client.send()
            client.receive()
            while not client.step():
                client.receive()
            client.ssl.write(request("/"))
            stand_still(driving, client.send)
            assert Reader(client.read).answer("GET").body == b"0"


@pytest.mark.parametrize("kind", LOOPS, indirect=True)
def test_a_pong_that_has_arrived_keeps_the_websocket(driving: Driving, address: tuple[str, int]) -> None:
    with Client(address) as client:
        websocket = WebSocket(client, "/")
        ping = websocket.frame()
        stand_still(driving, lambda: websocket.send(FIN | PONG, ping.payload))
        websocket.text("still here")
        frame = websocket.frame()
        while frame.payload != b"still here":
            websocket.send(FIN | PONG, frame.payload)
            frame = websocket.frame()


@pytest.mark.parametrize("kind", LOOPS, indirect=True)
def test_a_ping_acknowledgement_that_has_arrived_keeps_the_connection(
    driving: Driving, address: tuple[str, int]
) -> None:
    server: Any = SimpleNamespace(address=address, secure=False)
    with HTTP2(server, acknowledges=False) as connection:
        connection.open(get("/wait"))
        while (frame := connection.read_frame()).kind != PING:
            pass
        connection.acknowledges = True
        stand_still(driving, lambda: connection.frame(PING, ACK, 0, frame.payload))
        assert connection.request(get()).status == 200


# ---- what the stall itself has taken from the peer


def test_the_time_of_the_stall_is_the_peers(driving: Driving, address: tuple[str, int]) -> None:
    """It could not have been heard: it goes on having what was left when the worker stopped to turn."""
    with Client(address) as client:
        client.exchange(request("/"))
        stand_still(driving, lambda: None)
        assert not client.readable(0.05)
        assert client.exchange(request("/")).body == b"0"


def test_a_worker_that_stands_still_again_and_again_keeps_its_deadlines(
    driving: Driving, address: tuple[str, int]
) -> None:
    with Client(address) as client:
        client.exchange(request("/"))
        begun = time.monotonic()
        while not client.readable():
            driving.do(lambda: time.sleep(0.1))  # the stalls
            assert time.monotonic() - begun < PATIENCE
        assert client.closed()


# ---- all of it at once, at random


class Around:
    """Clients whose requests come about when their deadlines pass, to a worker that stands still at random.

    seen: numbers of the requests that the application was called for. unanswered: of those whose client saw nothing but
    an end.
    """

    def __init__(self, seed: int, most: int) -> None:
        self.random = random.Random(seed)
        self.most = most
        self.lock = threading.Lock()
        self.number = 0
        self.answered = 0
        self.seen: set[int] = set()
        self.unanswered: set[int] = set()
        self.wrong: list[str] = []

    def take(self) -> int | None:
        with self.lock:
            self.number += 1
            return self.number if self.number <= self.most else None

    def pause(self) -> float:
        with self.lock:
            return self.random.choice((0.0, 0.0, self.random.uniform(0.8, 1.1) * DEADLINE_MS / 1000))

    async def asgi(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                self.seen.add(int(event["text"]))
                await send({"type": "websocket.send", "text": event["text"]})
            return
        self.seen.add(int(scope["path"][1:]))
        await asgi(scope, receive, send)

    def note(self, number: int, status: int | None) -> bool:
        """Whether the connection can go on."""
        with self.lock:
            if status is None:
                self.unanswered.add(number)
            elif status == 200:
                self.answered += 1
            elif status != 408:
                self.wrong.append(f"{number}: {status}")
            return status == 200

    # one connection's life, each

    def plain(self, client: Client, number: int | None) -> None:
        while number is not None:
            status: int | None = None
            with suppress(OSError, EOFError, AssertionError):
                whole = request(f"/{number}")
                if number % 3 == 0:
                    whole = b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345" % number
                cut = number % len(whole)
                client.send(whole[:cut])
                self.wait(client, self.pause() if cut else 0.0)
                client.send(whole[cut:])
                status = client.answer("GET").status
            if not self.note(number, status):
                return
            self.wait(client, self.pause())
            number = self.take()

    def http2(self, connection: HTTP2, number: int | None) -> None:
        while number is not None:
            status: int | None = None
            with suppress(Exception):
                status = connection.request(get(f"/{number}"), b"12345" if number % 2 else None).status
            if not self.note(number, status):
                return
            self.wait(connection.client, self.pause())
            number = self.take()

    def websocket(self, websocket: WebSocket, number: int | None) -> None:
        while number is not None:
            status: int | None = None
            with suppress(OSError, EOFError, AssertionError):
                websocket.text(str(number))
                while (frame := websocket.frame()).payload != str(number).encode():
                    if frame.first & 15 == 9:
                        websocket.send(FIN | PONG, frame.payload)
                    elif frame.first & 15 == 8:
                        break
                else:
                    status = 200
            if not self.note(number, status):
                return
            number = self.take()

    def wait(self, client: Client, seconds: float) -> None:
        """Until it is time, or the server has something to say."""
        select.select([client.socket], [], [], seconds)

    def live(self, kind: int, plain: tuple[str, int], secure: tuple[str, int]) -> None:
        while (number := self.take()) is not None:
            try:
                if kind == 0:
                    with HTTP2(SimpleNamespace(address=plain, secure=False)) as connection:  # type: ignore[arg-type]
                        self.http2(connection, number)
                elif kind == 1:
                    with Client(plain) as client:
                        self.websocket(WebSocket(client, f"/{number}"), number)
                else:
                    context = shared().context() if kind == 2 else None
                    with Client(secure if context else plain, context=context) as client:
                        self.plain(client, number)
            except (OSError, AssertionError, EOFError):
                pass  # refused before it had a request: that is its right


@pytest.mark.alone
@pytest.mark.parametrize("kind", LOOPS)
def test_no_request_that_the_application_has_seen_is_without_its_answer(kind: str) -> None:
    whole = os.environ.get("SOAK") == "1"
    seed = random.randrange(1 << 32)
    around = Around(seed, 10_000 if whole else 3_000)
    tls = own_tls()
    limits = {**LIMITS, "timeout_ws_ping": 0, "timeout_h2_ping": 0}
    with Driving(kind, asgi=around.asgi, limits=limits) as driving, listener() as plain, listener() as secure:
        driving.do(lambda: driving.driver.add_listener(plain.fileno()))
        driving.do(lambda: driving.driver.add_listener(secure.fileno(), tls=tls))
        threads = [
            threading.Thread(target=around.live, args=(n % 5, plain.getsockname(), secure.getsockname()))
            for n in range(64)
        ]
        for thread in threads:
            thread.start()
        chance = random.Random(seed)
        while any(thread.is_alive() for thread in threads):
            seconds = chance.choice((0.0, 0.03, 0.03, DEADLINE_MS / 1000 * 1.5))
            driving.do(lambda seconds=seconds: time.sleep(seconds))  # type: ignore[misc]
            threads[0].join(chance.uniform(0.0, 0.1))
        for thread in threads:
            thread.join()
    print(f"seed {seed}: {around.answered} answered, {len(around.unanswered)} refused")
    assert not around.wrong
    assert around.answered > around.most / 4
    assert not around.seen & around.unanswered
