"""What a worker holds of what clients send has a bound, in memory and in files, and counts as what it costs."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastserve import _core
from kit import Client, request
from kit.driving import KINDS
from kit.http2 import DATA, frame, get
from kit.place import Place
from kit.waiting import until

KIB, MIB = 1 << 10, 1 << 20
CHUNKED = "Transfer-Encoding: chunked"

http2 = pytest.mark.skipif(not _core.HAVE_NGHTTP2, reason="a build without nghttp2")


class Uploads:
    """An application of both kinds, which gives the length of the body: /later when the gate has opened. /never takes
    nothing of it, /raise raises."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.called = 0

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.called += 1
        if scope["path"] == "/later":
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        size, more = 0, scope["path"] != "/never"
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            size, more = size + len(event["body"]), event["more_body"]
        if scope["path"] == "/raise":
            raise LookupError("the application's own")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.called += 1
        if environ["PATH_INFO"] == "/later":
            assert self.gate.wait(20)
        size = len(environ["wsgi.input"].read()) if environ["PATH_INFO"] != "/never" else 0
        if environ["PATH_INFO"] == "/raise":
            raise LookupError("the application's own")
        start_response("200 OK", [])
        return [b"%d" % size]


class Bodies(Place):
    """Serves uploads; what stands at the gate goes on when the block is left."""

    def __init__(self, kind: str, **limits: int) -> None:
        self.uploads = Uploads()
        super().__init__(kind, asgi=self.uploads.asgi, wsgi=self.uploads.wsgi, **limits)

    def __exit__(self, *error: object) -> None:
        self.uploads.gate.set()
        super().__exit__(*error)


def upload(target: str, size: int, sent: int | None = None, *fields: str) -> bytes:
    """A request with a body of which `sent` bytes are sent."""
    head = request(target, f"Content-Length: {size}", *fields, method="POST")
    return head + bytes(size if sent is None else sent)


def chunks(size: int, piece: int) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (piece, bytes(piece)) for _ in range(size // piece))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["asyncio", "uvloop"])
def asgi(request: pytest.FixtureRequest) -> Iterator[Bodies]:
    with Bodies(request.param, buffered=MIB) as place:
        yield place


@pytest.fixture(params=["one", "eight"])
def wsgi(request: pytest.FixtureRequest) -> Iterator[Bodies]:
    with Bodies(request.param, buffered=MIB, body_files=2 * MIB, body_buffer=256 * KIB) as place:
        yield place


# ---- what fits, and what does not


def fill(place: Bodies, size: int = 64 * KIB) -> list[Client]:
    """Uploads whose last byte is missing, or which nobody takes, until there is no room for another."""
    clients: list[Client] = []
    while place["buffered"] + size + KIB < MIB:
        before = place["buffered"]
        clients.append(place.connect().send(upload("/later", size + 1, size)))
        assert place.reaches(buffered=before + size)
    return clients


def test_body_without_room_is_503(asgi: Bodies) -> None:
    """Its application is not called; requests without a body are served, and with one as soon as there is room."""
    clients = fill(asgi)
    with asgi.connect() as other:
        called = asgi.uploads.called
        answer = other.exchange(upload("/", 64 * KIB))
        assert (answer.status, (answer.get(b"retry-after") or b"").isdigit()) == (503, True)
        assert asgi.uploads.called == called
        assert asgi["no_room"] == 1
        assert asgi["peer_errors"] == 0
    with asgi.connect() as other:
        assert other.exchange(request("/")).body == b"0"
        asgi.uploads.gate.set()
        for client in clients:
            assert client.exchange(b"x").body == b"%d" % (64 * KIB + 1)
        assert asgi.empty()
        assert other.exchange(upload("/", 64 * KIB)).body == b"%d" % (64 * KIB)
    for client in clients:
        client.close()


def test_application_that_waits_for_its_body_gets_it(asgi: Bodies) -> None:
    """What nobody holds takes no room."""
    with asgi.connect() as waiting:
        waiting.send(upload("/", 3 * MIB, 0))
        assert until(lambda: asgi.uploads.called == 1)
        clients = fill(asgi)
        assert waiting.exchange(bytes(3 * MIB)).body == b"%d" % (3 * MIB)
    for client in clients:
        client.close()


def test_body_that_grows_out_of_its_room_is_a_disconnect(asgi: Bodies) -> None:
    clients = fill(asgi)
    with asgi.connect() as client:
        clients.pop().reset()
        assert until(lambda: asgi["buffered"] < MIB - 64 * KIB)
        client.send(upload("/later", 300 * KIB, 16 * KIB))
        assert until(lambda: asgi.uploads.called == len(clients) + 2)
        clients += fill(asgi, 16 * KIB)
        client.send(bytes(48 * KIB))
        assert client.answer().status == 503
    for each in clients:
        each.reset()
    assert asgi.empty()


@http2
def test_streams_without_room_are_503(asgi: Bodies) -> None:
    """Each stream by itself; the connection and its other streams go on."""
    with asgi.http2() as client:
        streams = [client.open(get("/later", method="POST"), end=False) for _ in range(8)]
        for stream in streams:
            client.send(frame(DATA, 0, stream, bytes(16 * KIB)) * 16).ping(b"%08d" % stream)
        assert client.request(get("/")).body == b"0"
        assert 4 <= asgi["no_room"] < 8
        client.wait(lambda: sum(client.streams[stream].over for stream in streams) == asgi["no_room"])
        refused = [stream for stream in streams if client.streams[stream].over]
        assert {client.streams[stream].status for stream in refused} == {503}
        asgi.uploads.gate.set()
        for stream in streams:
            if stream not in refused:
                client.data(stream, b"", end=True)
                assert client.response(stream).body == b"%d" % (256 * KIB)
        assert asgi.empty()


def test_memory_that_is_full_leads_to_files(wsgi: Bodies) -> None:
    """A body that would be held in memory goes to a file as long as there is room for that."""
    clients = fill(wsgi, 200 * KIB)
    with wsgi.connect() as other:
        for framed in (
            upload("/", 200 * KIB),
            request("/", CHUNKED, method="POST") + chunks(200 * KIB, KIB) + b"0\r\n\r\n",
        ):
            assert other.exchange(framed).body == b"%d" % (200 * KIB)
        clients.append(wsgi.connect().send(upload("/", 200 * KIB, 100 * KIB)))
        assert wsgi.reaches(body_files=100 * KIB)
        assert wsgi["no_room"] == 0
    for client in clients:
        client.close()
    assert wsgi.empty()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_files_that_are_full_are_503(wsgi: Bodies, chunked: bool) -> None:
    """Before anything is sent where the length is known, and before 100 (Continue)."""
    with wsgi.connect() as first, wsgi.connect() as second, wsgi.connect() as third:
        first.send(upload("/", 1900 * KIB, 1800 * KIB))
        assert wsgi.reaches(body_files=1800 * KIB)
        if chunked:
            second.send(request("/", CHUNKED, method="POST") + chunks(600 * KIB, 10 * KIB))
        else:
            second.send(upload("/", 600 * KIB, 0, "Expect: 100-continue"))
        answer = second.answer()
        assert (answer.status, (answer.get(b"retry-after") or b"").isdigit()) == (503, True)
        assert (wsgi["no_room"], wsgi["peer_errors"]) == (1, 0)
        assert third.exchange(upload("/", 200 * KIB)).body == b"%d" % (200 * KIB)
        assert first.exchange(bytes(100 * KIB)).body == b"%d" % (1900 * KIB)
        assert wsgi.empty()
        assert third.exchange(upload("/", 1900 * KIB)).body == b"%d" % (1900 * KIB)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_that_could_never_fit_is_413(wsgi: Bodies, chunked: bool) -> None:
    size = 2 * MIB + 1
    with wsgi.connect() as client:
        if chunked:
            client.send_until_blocked(request("/", CHUNKED, method="POST") + chunks(size + 9 * KIB, 10 * KIB), 1)
        else:
            client.send(upload("/", size, 0, "Expect: 100-continue"))
        answer = client.answer()
        assert (answer.status, answer.get(b"retry-after")) == (413, None)
    assert (wsgi["never_fits"], wsgi["no_room"], wsgi.uploads.called) == (1, 0, 0)
    assert wsgi.empty()


# ---- it is given back, however a request ends

ENDS: dict[str, Callable[[Client], object]] = {
    "reset": lambda client: client.reset(),
    "close": lambda client: client.close(),
    "half close": lambda client: client.half_close(),
    "end": lambda client: client.send(b"0\r\n\r\n"),
    "bad chunk": lambda client: client.send(b"xyz\r\n"),
    "too large": lambda client: client.send(b"%x\r\n" % (2 * MIB)),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [20 * KIB, 400 * KIB])
def test_what_a_request_held_is_given_back(kind: str, size: int, end: str) -> None:
    limits = {"buffered": 8 * MIB, "body_files": 8 * MIB, "body_buffer": 100 * KIB, "max_body": MIB}
    with Bodies(kind, **limits) as place:
        clients = [place.connect() for _ in range(4)]
        least = 0
        for client in clients:
            least += min(size, 64 * KIB)
            client.send(request("/later", CHUNKED, method="POST") + chunks(size, KIB))
            assert place.holds(least)
        for client in clients:
            ENDS[end](client)
        if end == "reset":
            assert place.empty()
        place.uploads.gate.set()  # an application may take what has come before the end
        assert place.empty()
        for client in clients:
            client.close()


@pytest.mark.parametrize("target", ["/raise", "/never", "/"])
def test_what_an_application_has_taken_or_not_is_given_back(
    kind: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"buffered": 8 * MIB, "body_files": 8 * MIB, "body_buffer": 100 * KIB}
    caplog.set_level(logging.CRITICAL, f"driving.{kind}")  # a record would hold the frames, and the input with them
    with Bodies(kind, **limits) as place, place.connect() as client:
        for size in (KIB, 90 * KIB, 200 * KIB):
            answer = client.exchange(upload(target, size))
            assert answer.status == (500 if target == "/raise" else 200)
            assert place.empty()


@http2
def test_what_a_stream_held_is_given_back(kind: str) -> None:
    limits = {"buffered": 8 * MIB, "body_files": 8 * MIB, "body_buffer": 100 * KIB}
    with Bodies(kind, **limits) as place:
        for leaving in ("reset", "connection"):
            with place.http2() as client:
                streams = [client.open(get("/later", method="POST"), end=False) for _ in range(5)]
                for stream in streams:
                    client.send(frame(DATA, 0, stream, bytes(10 * KIB)) * 15)
                client.ping()
                assert place["buffered"] + place["body_files"] >= 750 * KIB
                if leaving == "reset":
                    for stream in streams:
                        client.reset(stream)
                    client.ping()
                else:
                    client.client.reset()
            assert place.empty()


# ---- pieces cost what they cost


@pytest.mark.parametrize("piece", [1, 2, 100, 5000])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_pieces_are_put_together(kind: str, piece: int, framing: str) -> None:
    """They come in segments of their own; the body is whole, and what it costs is little more than its bytes."""
    size = 3000 if piece < 100 else 60_000
    body = bytes(number % 251 for number in range(size))
    limits = {"buffered": 8 * MIB, "body_buffer": 512 * KIB}
    with Bodies(kind, **limits) as place, place.connect() as client:
        head = CHUNKED if framing == "chunked" else f"Content-Length: {size + 1}"
        client.send(request("/later", head, method="POST"))
        for at in range(0, size, piece):
            part = body[at : at + piece]
            client.send(b"%x\r\n%b\r\n" % (len(part), part) if framing == "chunked" else part)
        assert place.reaches(buffered=size)
        assert place["buffered"] <= (65536 + 64 if framing == "length" and place.wsgi else 1.25 * size + 16384)
        place.uploads.gate.set()
        client.send(b"1\r\nx\r\n0\r\n\r\n" if framing == "chunked" else b"x")
        assert client.answer().body == b"%d" % (size + 1)
