"""--limit-concurrency counts the applications that run, whether or not their client is still there."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastserve import _core
from kit import request
from kit.http2 import get
from kit.place import Place
from kit.waiting import PATIENCE, until
from kit.websocket import handshake

LIMIT = 3
CLIENTS = 40

http2 = pytest.mark.skipif(not _core.HAVE_NGHTTP2, reason="a build without nghttp2")


class Held:
    """An application of both kinds. /wait is answered when the gate opens, /after before that, and goes on; neither
    looks whether its client is there. A WebSocket is accepted, and then held."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1

    def reaches(self, inside: int) -> bool:
        return until(lambda: self.inside == inside)

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.enter()
        try:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await self.opened()
                return
            if scope["path"] == "/wait":
                await self.opened()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
            if scope["path"] == "/after":
                await self.opened()
        except OSError:
            pass  # the client has gone
        finally:
            self.leave()

    async def opened(self) -> None:
        while not self.gate.is_set():
            await asyncio.sleep(0.001)

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.enter()
        try:
            if environ["PATH_INFO"] == "/wait":
                assert self.gate.wait(PATIENCE)
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/after":
                return Closing([b"hello"], self.close)
            return [b"hello"]
        finally:
            if environ["PATH_INFO"] != "/after":
                self.leave()

    def close(self) -> None:
        assert self.gate.wait(PATIENCE)
        self.leave()


class Closing:
    """An iterable whose close() lasts longer than its answer."""

    def __init__(self, pieces: list[bytes], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


class Few(Place):
    """Serves it to LIMIT at a time; the gate opens when the block is left."""

    def __init__(self, kind: str) -> None:
        self.held = Held()
        super().__init__(kind, asgi=self.held.asgi, wsgi=self.held.wsgi, max_concurrency=LIMIT)

    def __exit__(self, *error: object) -> None:
        self.held.gate.set()
        assert until(lambda: self.held.inside == 0)
        super().__exit__(*error)


@pytest.fixture(params=["asyncio", "uvloop", "eight"])
def place(request: pytest.FixtureRequest) -> Iterator[Few]:
    with Few(request.param) as place:
        yield place


@pytest.fixture(params=["asyncio", "uvloop"])
def asgi_place(request: pytest.FixtureRequest) -> Iterator[Few]:
    with Few(request.param) as place:
        yield place


def comes_free(place: Few) -> None:
    """When the applications have ended, all is as before."""
    assert place.held.inside == LIMIT
    place.held.gate.set()
    assert until(lambda: place.held.inside == 0)
    with place.connect() as client:
        assert until(lambda: client.exchange(request("/")).status == 200)
    assert place.held.most == LIMIT


@pytest.mark.parametrize("leaving", ["reset", "close"])
def test_clients_that_leave(place: Few, leaving: str) -> None:
    for number in range(CLIENTS):
        client = place.connect()
        client.send(request("/wait"))
        if number < LIMIT:
            assert place.held.reaches(number + 1)
        else:
            assert client.answer().status == 503
        getattr(client, leaving)()
    assert (place.held.entered, place["overloaded"]) == (LIMIT, CLIENTS - LIMIT)
    comes_free(place)


def test_applications_that_go_on_after_their_answer(place: Few) -> None:
    """A background task of Starlette's, a close() of WSGI."""
    clients = [place.connect() for _ in range(LIMIT + 1)]
    try:
        for client in clients[:LIMIT]:
            assert client.exchange(request("/after")).body == b"hello"
        assert until(lambda: place.held.inside == LIMIT)
        answer = clients[LIMIT].exchange(request("/"))
        assert (answer.status, (answer.get(b"retry-after") or b"").isdigit()) == (503, True)
        comes_free(place)
    finally:
        for client in clients:
            client.close()


@http2
def test_streams_that_are_broken_off(place: Few) -> None:
    with place.http2() as client:
        for number in range(CLIENTS):
            stream = client.open(get("/wait"))
            if number < LIMIT:
                assert place.held.reaches(number + 1)
                client.reset(stream)
            else:
                assert client.response(stream).status == 503
        assert place.held.entered == LIMIT
        comes_free(place)


@http2
def test_connections_whose_streams_run(place: Few) -> None:
    """The whole connection goes, with the streams on it."""
    for number in range(CLIENTS):
        with place.http2() as client:
            stream = client.open(get("/wait"))
            if number < LIMIT:
                assert place.held.reaches(number + 1)
            else:
                assert client.response(stream).status == 503
            client.client.reset()
    assert place.held.entered == LIMIT
    comes_free(place)


def test_websockets(asgi_place: Few) -> None:
    place = asgi_place
    for number in range(CLIENTS):
        client = place.connect()
        answer = client.exchange(handshake("/wait"))
        assert answer.status == (101 if number < LIMIT else 503)
        client.reset()
    assert place.held.entered == LIMIT
    comes_free(place)


@http2
def test_websockets_over_http2(asgi_place: Few) -> None:
    fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/wait"),
        (":authority", "test"),
        ("sec-websocket-version", "13"),
    ]
    with asgi_place.http2() as client:
        for number in range(CLIENTS):
            stream = client.open(fields, end=False)
            answer = client.streams[stream]
            while not answer.heads:
                client.read_frame()
            assert answer.status == (200 if number < LIMIT else 503)
            client.reset(stream)
        assert asgi_place.held.entered == LIMIT
        comes_free(asgi_place)
