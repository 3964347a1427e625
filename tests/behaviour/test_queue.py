"""Requests that wait for their application: for a place (--limit-queue), for a thread, in the kernel while the worker
is busy. The oldest request is served first; one that has waited longer than --queue-timeout is answered 503."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from fastserve import _core
from kit import request
from kit.answer import Answer
from kit.client import Client
from kit.http2 import get
from kit.place import Place
from kit.waiting import PATIENCE, until
from kit.websocket import handshake

PLACES = 2
QUEUE = 4
SHORT = 150
"""Milliseconds of --queue-timeout, in tests that wait for them to pass."""
LONG = 3_600_000

http2 = pytest.mark.skipif(not _core.HAVE_NGHTTP2, reason="a build without nghttp2")


class Held:
    """An application of both kinds, which notes whom it was called for. /wait... is answered when the gate opens, and
    so is /block..., which keeps an event loop from turning meanwhile; /slow... after a while."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.called: list[str] = []
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def enter(self, path: str) -> None:
        with self.lock:
            self.called.append(path)
            self.inside += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        self.enter(path)
        try:
            if path.startswith("/block"):
                assert self.gate.wait(PATIENCE)
            while path.startswith("/wait") and not self.gate.is_set():
                await asyncio.sleep(0.001)
            if path.startswith("/slow"):
                await asyncio.sleep(SHORT * 3 / 1000)
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close"})
                return
            body = b""
            while True:
                event = await receive()
                if event["type"] != "http.request":
                    return
                body += event["body"]
                if not event["more_body"]:
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": path.encode() + body})
        finally:
            self.leave()

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.enter(path)
        try:
            if path.startswith(("/wait", "/block")):
                assert self.gate.wait(PATIENCE)
            if path.startswith("/slow"):
                time.sleep(SHORT * 3 / 1000)
            body = environ["wsgi.input"].read()
            start_response("200 OK", [])
            return [path.encode() + body]
        finally:
            self.leave()


class Served(Place):
    """The gate opens when the block is left."""

    def __init__(self, kind: str, **limits: int) -> None:
        self.held = Held()
        super().__init__(kind, asgi=self.held.asgi, wsgi=self.held.wsgi, **limits)

    def __enter__(self) -> Self:
        super().__enter__()
        self.driving.do(lambda: self.driving.driver.beat(0.02))
        return self

    def __exit__(self, *error: object) -> None:
        self.held.gate.set()
        assert until(lambda: self.held.inside == 0)
        assert until(lambda: self["queued"] == self["queued_since"] == 0)
        super().__exit__(*error)

    def fill(self, places: int, path: str = "/wait") -> list[Client]:
        """So many requests in the application."""
        clients = []
        for number in range(places):
            clients.append(self.connect().send(request(path)))
            assert until(lambda number=number: self.held.inside == number + 1)  # type: ignore[misc]
        return clients

    def queue(self, *data: bytes) -> list[Client]:
        """And these behind them, one after the other."""
        clients = []
        for each in data:
            before = self["queued"]
            clients.append(self.connect().send(each))
            assert until(lambda before=before: self["queued"] == before + 1)  # type: ignore[misc]
        return clients


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts one; ended after the test, with the gate open."""
    served: list[Served] = []
    clients: list[Client] = []

    def new(kind: str, **limits: int) -> Served:
        place = Served(kind, **limits)
        real = place.connect

        def connect() -> Client:
            clients.append(real())
            return clients[-1]

        place.connect = connect  # type: ignore[method-assign]
        place.__enter__()
        served.append(place)
        return place

    yield new
    for client in clients:
        client.close()
    for place in served:
        place.__exit__(None, None, None)


def is_refused(answer: Answer) -> bool:
    return answer.status == 503 and (answer.get(b"retry-after") or b"").isdigit()


anything = pytest.mark.parametrize("kind", ["asyncio", "uvloop", "eight"])
everything = pytest.mark.parametrize("kind", ["asyncio", "uvloop", "one", "eight"])
asgi = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


# ---- for a place


@anything
def test_who_waits_is_served_in_order(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=PLACES, max_queue=QUEUE)
    inside = place.fill(PLACES)
    waiting = place.queue(*(request(f"/wait/{number}") for number in range(QUEUE)))
    assert (place["queued"], place["running"]) == (QUEUE, PLACES)
    assert place["queued_since"] > 0
    assert is_refused(place.connect().exchange(request("/")))
    assert place["overloaded"] == 1
    place.held.gate.set()
    assert [client.answer().body for client in (*inside, *waiting)] == [b"/wait"] * PLACES + [
        f"/wait/{number}".encode() for number in range(QUEUE)
    ]
    if kind != "eight":  # threads begin as they come
        assert place.held.called[PLACES:] == [f"/wait/{number}" for number in range(QUEUE)]
    assert place.held.most == PLACES
    assert place.connect().exchange(request("/after")).status == 200


@anything
def test_none_waits_without_a_queue(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=PLACES)
    place.fill(PLACES)
    assert is_refused(place.connect().exchange(request("/")))


@anything
def test_bodies_of_those_that_wait(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE)
    place.fill(1)
    sizes = (10, 100_000, 3_000_000)
    clients = []
    for size in sizes:
        (client,) = place.queue(request("/wait", f"Content-Length: {size}", method="POST"))
        clients.append(client)
    senders = [
        threading.Thread(target=client.send, args=(b"x" * size,)) for client, size in zip(clients, sizes, strict=True)
    ]
    for sender in senders:
        sender.start()
    assert len(place.held.called) == 1
    place.held.gate.set()
    assert [len(client.answer().body) for client in clients] == [5 + size for size in sizes]
    for sender in senders:
        sender.join()


@anything
def test_clients_that_leave_the_queue(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE)
    place.fill(1)
    for _ in range(3):
        for client in place.queue(*(request(f"/left/{number}") for number in range(QUEUE))):
            client.reset()
        assert until(lambda: place["queued"] == 0)
    (last,) = place.queue(request("/last"))
    place.held.gate.set()
    assert last.answer().status == 200
    assert place.held.called == ["/wait", "/last"]


@anything
def test_clients_that_close_their_half(serve: Serve, kind: str) -> None:
    """They may still read, and are served."""
    place = serve(kind, max_concurrency=1, max_queue=QUEUE)
    place.fill(1)
    waiting = [client.half_close() for client in place.queue(*[request("/")] * QUEUE)]
    assert len(place.held.called) == 1
    place.held.gate.set()
    assert [client.answer().status for client in waiting] == [200] * QUEUE


@http2
@anything
def test_streams_wait(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=PLACES, max_queue=QUEUE)
    with place.http2() as client:
        streams = [client.open(get(f"/wait/{number}")) for number in range(PLACES + QUEUE)]
        assert until(lambda: place["queued"] == QUEUE)
        assert client.request(get("/")).status == 503
        client.reset(streams[-1])
        assert until(lambda: place["queued"] == QUEUE - 1)
        upload = client.open(get("/wait/upload", method="POST"), end=False)
        assert until(lambda: place["queued"] == QUEUE)
        client.data(upload, b"x" * 1000, end=True)
        client.ping()
        assert len(place.held.called) == PLACES
        place.held.gate.set()
        for number, stream in enumerate(streams[:-1]):
            assert client.response(stream).body == f"/wait/{number}".encode()
        assert client.response(upload).body == b"/wait/upload" + b"x" * 1000
    assert place.held.most == PLACES


@asgi
def test_websockets_wait(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE)
    place.fill(1)
    upgraded, left = place.queue(handshake("/chat"), handshake("/chat"))
    left.reset()
    assert until(lambda: place["queued"] == 1)
    place.held.gate.set()
    assert upgraded.answer().status == 101
    assert place.held.called == ["/wait", "/chat"]


@anything
def test_stop_ends_the_wait(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE)
    place.fill(1)
    (waiting,) = place.queue(request("/never"))
    assert place.driving.do(place.driving.driver.cancel_requests) == 2
    assert is_refused(waiting.answer())
    place.held.gate.set()
    assert until(lambda: place.held.inside == 0)
    assert place.held.called == ["/wait"]


@anything
def test_many_come_and_go(serve: Serve, kind: str) -> None:
    """No place is lost, and none is given twice."""
    place = serve(kind, max_concurrency=3, max_queue=5)
    place.held.gate.set()
    served = refused = 0

    def some(seed: int) -> None:
        nonlocal served, refused
        for number in range(40):
            with Client(place.address) as client:
                client.send(request("/wait" if (seed + number) % 3 else "/slow" if number % 20 == 0 else "/"))
                if (seed * 7 + number) % 5 == 0:
                    client.reset()
                    continue
                answer = client.answer()
                assert answer.status in (200, 503)
                served += answer.status == 200
                refused += answer.status == 503

    threads = [threading.Thread(target=some, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert served > 0
    assert place.held.most <= 3
    assert until(lambda: (place["running"], place["queued"], place["in_flight"]) == (0, 0, 0))
    assert place.connect().exchange(request("/")).status == 200


# ---- no longer than so


@anything
def test_wait_for_a_place_has_an_end(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE, timeout_queue=SHORT)
    (inside,) = place.fill(1)
    waiting = [place.connect().send(request("/never")) for _ in range(QUEUE)]
    assert all(is_refused(client.answer()) for client in waiting)  # while the place is still taken
    assert until(lambda: (place["queue_timeouts"], place["overloaded"]) == (QUEUE, 0))
    assert place.error("queue_timeout") == QUEUE
    place.held.gate.set()
    assert inside.answer().status == 200
    assert place.connect().exchange(request("/")).status == 200
    assert place.held.called == ["/wait", "/"]
    assert place["peer_errors"] == place["application_errors"] == 0


@http2
@anything
def test_wait_of_a_stream_has_an_end(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE, timeout_queue=SHORT)
    with place.http2() as client:
        first = client.open(get("/wait"))
        second = client.response(client.open(get("/never")))
        assert (second.status, second.value("retry-after")) == (503, "1")
        place.held.gate.set()
        assert client.response(first).status == 200
    assert place.held.called == ["/wait"]


@asgi
def test_wait_of_a_websocket_has_an_end(serve: Serve, kind: str) -> None:
    place = serve(kind, max_concurrency=1, max_queue=QUEUE, timeout_queue=SHORT)
    place.fill(1)
    assert is_refused(place.connect().exchange(handshake("/chat")))
    assert place.held.called == ["/wait"]


@pytest.mark.parametrize("protocol", ["1.1", pytest.param("2", marks=http2)])
def test_wait_for_a_thread_has_an_end(serve: Serve, protocol: str) -> None:
    place = serve("eight", timeout_queue=SHORT)
    inside = place.fill(8)
    if protocol == "2":
        with place.http2() as client:
            assert client.request(get("/never")).status == 503
    else:
        assert is_refused(place.connect().exchange(request("/never")))
    assert until(lambda: place["queue_timeouts"] == 1)
    place.held.gate.set()
    assert [client.answer().status for client in inside] == [200] * 8
    assert place.connect().exchange(request("/")).status == 200
    assert "/never" not in place.held.called


def test_queue_for_threads_is_shown(serve: Serve) -> None:
    place = serve("eight")
    place.fill(8)
    waiting = place.queue(request("/wait/0"), request("/wait/1"))
    assert place["queued_since"] > 0
    place.held.gate.set()
    assert [client.answer().status for client in waiting] == [200, 200]


# ---- in the kernel: the worker is busy with another request, and reads nothing


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "one"])
def test_requests_that_were_read_late(serve: Serve, kind: str) -> None:
    place = serve(kind, timeout_queue=SHORT)
    kept = place.connect()
    assert kept.exchange(request("/before")).status == 200
    (inside,) = place.fill(1, "/block")
    fresh = place.connect().send(request("/never"))
    upload = place.connect().send(request("/never", "Content-Length: 4", method="POST") + b"late")
    kept.send(request("/never"))
    time.sleep(SHORT * 3 / 1000)  # they wait, and nobody looks
    place.held.gate.set()
    assert inside.answer().status == 200
    assert is_refused(kept.answer())
    assert is_refused(fresh.answer())
    assert is_refused(upload.answer())
    assert kept.exchange(request("/after")).status == 200
    assert place.held.called == ["/before", "/block", "/after"]
    assert place["queue_timeouts"] == 3


@http2
@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "one"])
def test_streams_that_were_read_late(serve: Serve, kind: str) -> None:
    place = serve(kind, timeout_queue=SHORT)
    with place.http2() as client:
        assert client.request(get("/before")).status == 200
        place.fill(1, "/block")
        streams = [client.open(get("/never")) for _ in range(3)]
        time.sleep(SHORT * 3 / 1000)
        place.held.gate.set()
        assert [client.response(stream).status for stream in streams] == [503] * 3
        assert client.request(get("/after")).status == 200
    assert place.held.called == ["/before", "/block", "/after"]


@everything
def test_request_that_waits_for_the_one_before_it(serve: Serve, kind: str) -> None:
    """On its own connection: that is the client's doing."""
    place = serve(kind, timeout_queue=SHORT)
    client = place.connect().send(request("/slow") + request("/next"))
    assert client.answer().body == b"/slow"
    assert client.answer().body == b"/next"
    assert place["queue_timeouts"] == 0


@everything
def test_slow_upload_is_no_wait(serve: Serve, kind: str) -> None:
    place = serve(kind, timeout_queue=SHORT, max_concurrency=1, max_queue=1)
    client = place.connect().send(request("/", "Content-Length: 4", method="POST") + b"sl")
    assert not client.readable(SHORT * 3 / 1000)
    client.send(b"ow")
    assert client.answer().body == b"/slow"
    assert place["queue_timeouts"] == 0


@pytest.mark.parametrize("protocol", ["1.1", pytest.param("2", marks=http2)])
def test_slow_upload_that_waits_for_a_place_meanwhile(serve: Serve, protocol: str) -> None:
    """A WSGI application is called when all of it is there. Until then only its client is late."""
    place = serve("eight", timeout_queue=SHORT, max_concurrency=1, max_queue=1)
    (inside,) = place.fill(1)
    if protocol == "2":
        with place.http2() as client:
            stream = client.open(get("/", method="POST"), end=False)
            client.data(stream, b"sl")
            free_a_place(place, inside)
            client.data(stream, b"ow", end=True)
            assert client.response(stream).body == b"/slow"
    else:
        (upload,) = place.queue(request("/", "Content-Length: 4", method="POST") + b"sl")
        free_a_place(place, inside)
        assert upload.send(b"ow").answer().body == b"/slow"
    assert place["queue_timeouts"] == 0


def free_a_place(place: Served, inside: Client) -> None:
    """After longer than anybody is to wait."""
    assert until(lambda: place["queued"] == 1)
    assert not inside.readable(SHORT * 3 / 1000)
    place.held.gate.set()
    assert inside.answer().status == 200
    assert until(lambda: (place["queued"], place["running"]) == (0, 1))


@everything
def test_patient(serve: Serve, kind: str) -> None:
    place = serve(kind, timeout_queue=LONG, max_concurrency=1, max_queue=QUEUE)
    with place.connect() as client:
        for number in range(20):
            assert client.exchange(request(f"/{number}")).status == 200
    assert place["queue_timeouts"] == 0
