"""Clients that stop in the middle, or go on as slowly as they can: each is gone by its own deadline."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from http2.conftest import Dial
from kit import Serve, Server, script
from kit.deadlines import SHORT, takes
from kit.http2 import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    HTTP2,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PING,
    PREFACE,
    Ended,
    frame,
    get,
    settings,
)
from kit.script import body
from kit.script import start as begins
from kit.waiting import Stopwatch, until

pytestmark = pytest.mark.one_python


@pytest.fixture(scope="module")
def loop() -> str:
    """The deadlines are the server's own, not the loop's: one of the two is enough."""
    return "asyncio"


@pytest.fixture
def quick(serve: Serve) -> Server:
    return serve(**SHORT, h2_ping_interval=20)  # no ping ends what a deadline has to end


@pytest.fixture
def dial_quick(quick: Server) -> Iterator[Dial]:
    with ExitStack() as stack:

        def new(*options: tuple[int, int], **more: bool) -> HTTP2:
            return stack.enter_context(HTTP2(quick, *options, **more))

        yield new


def drip(connection: HTTP2, data: bytes) -> None:
    """A byte, twenty times a second, until the server has had enough. AssertionError where it takes all of them."""
    try:
        for byte in data:
            connection.send(bytes([byte]))
            if connection.client.readable(0.05):
                connection.read_what_is_there()
    except (Ended, OSError):
        return
    pytest.fail(f"{len(data)} bytes were taken")


def slow_head(connection: HTTP2, parts: str) -> bytes:
    """Six seconds of a request's head that never comes to its end."""
    block = connection.block(get("/", ("x-slow", "a" * 200)))
    if parts == "frame":
        return frame(HEADERS, END_STREAM | END_HEADERS, 1, block)[:120]
    pieces = [frame(HEADERS, END_STREAM, 1, block[:10])]
    pieces += [frame(CONTINUATION, 0, 1, block[at : at + 10]) for at in range(10, 80, 10)]
    return b"".join(pieces)[:120]


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("parts", ["frame", "continuations"])
def test_a_dripping_head(quick: Server, dial_quick: Dial, parts: str) -> None:
    """The deadline of a head counts from its first byte, as in HTTP/1: another byte does not prolong it."""
    other, connection = dial_quick(), dial_quick()
    with takes(0.7):
        drip(connection, slow_head(connection, parts))
    assert dial_quick().alive()
    other.expect_end()


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("part", [5, 9, 20])
def test_half_a_head(quick: Server, dial_quick: Dial, part: int) -> None:
    connection = dial_quick(acknowledges=False)
    connection.send(connection.head(get("/", ("x-slow", "a" * 200)))[1][:part])
    with takes(0.7):
        connection.expect_gone()


@pytest.mark.alone(waits=True)
def test_half_a_head_beside_a_request_under_way(quick: Server, dial_quick: Dial) -> None:
    """Nothing else can come while the block is not complete, so the connection ends, and the application is told."""
    run = script(quick, ("receive",), ("receive",))
    connection = dial_quick()
    connection.open(get(run.target))
    run.journal(1)
    connection.send(connection.head(get("/", ("x-slow", "a" * 200)))[1][:20])
    with takes(0.7):
        connection.expect_gone()
    assert run.journal()[1] == ("event", {"type": "http.disconnect"})


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("sent", [1, 14, 23])
@pytest.mark.parametrize("secure", [False, True], ids=["cleartext", "tls"])
def test_half_a_preface(serve: Serve, secure: bool, sent: int) -> None:
    server = serve(secure=secure, **SHORT)
    with takes(0.8 if secure else 0.6), HTTP2(server, preface=False, acknowledges=False) as connection:
        connection.send(PREFACE[:sent])
        connection.expect_gone()


@pytest.mark.alone(waits=True)
def test_a_dripping_preface(dial_quick: Dial) -> None:
    with takes(0.6):
        drip(dial_quick(preface=False), PREFACE + settings(*[(0x79, 3)] * 20))


@pytest.mark.alone(waits=True)
def test_a_preface_and_nothing_else(quick: Server, dial_quick: Dial) -> None:
    with takes(0.8):
        dial_quick(preface=False, acknowledges=False).send(PREFACE).expect_gone()


@pytest.mark.alone(waits=True)
def test_half_a_frame_on_an_idle_connection(dial_quick: Dial) -> None:
    """A frame that has begun has the time of a head, which is the shorter one here."""
    connection = dial_quick()
    with takes(SHORT["timeout_request_head"]):
        assert connection.alive()
        connection.send(frame(PING, 0, 0, bytes(8))[:5])
        connection.expect_gone()


@pytest.mark.alone(waits=True)
def test_a_dripping_frame_on_an_idle_connection(dial_quick: Dial) -> None:
    """Bytes that are no request do not keep an idle connection open for ever."""
    connection = dial_quick()
    with takes(0.8):
        assert connection.alive()
        drip(connection, frame(0xEE, 0, 0, bytes(200)))


@pytest.mark.alone(waits=True)
def test_an_answer_that_takes_longer_than_an_idle_connection_may_last(quick: Server, dial_quick: Dial) -> None:
    """The time of an idle connection begins with the end of its last answer, as in HTTP/1."""
    connection = dial_quick()
    for _ in range(2):
        found = connection.request(get(script(quick, ("pause", 1.2), begins(), body(b"late")).target))
        assert found.body == b"late"
    with takes(0.8):
        assert connection.alive()
        connection.expect_end()


@pytest.mark.alone(waits=True)
def test_a_dripping_body_is_no_stall_and_one_that_stops_is(quick: Server, dial_quick: Dial) -> None:
    connection, run = dial_quick(), script(quick, ("body",), begins(), body(b"done"))
    stream = connection.open(get(run.target, method="POST"), end=False)
    connection.ping()
    for _ in range(20):
        connection.data(stream, b"a")
        assert not connection.client.readable(0.06)
    connection.data(stream, end=True)
    assert connection.response(stream).body == b"done"
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.data(stream, b"a")
    with takes(0.6):
        assert connection.response(stream).status == 408


@pytest.mark.alone(waits=True)
def test_an_answered_request_whose_body_never_ends(dial_quick: Dial) -> None:
    """It is broken off without an error (RFC 9113 section 8.1), else such streams would use up the connection."""
    connection = dial_quick()
    stream = connection.open(get(method="POST"), end=False)
    with takes(0.6):
        assert connection.response(stream).body == b"ok"
        connection.wait(lambda: connection.streams[stream].reset is not None)
    assert connection.streams[stream].reset == NO_ERROR
    assert connection.alive()


@pytest.mark.alone(waits=True)
def test_a_window_that_drips(quick: Server, dial_quick: Dial) -> None:
    """A byte of it now and then is progress; none is not."""
    quick.tracebacks_matter = False
    connection = dial_quick((INITIAL_WINDOW_SIZE, 1), window=False)
    stream = connection.open(get(script(quick, begins(), ("pieces", 1, 1000)).target))
    connection.wait(lambda: bool(connection.streams[stream].body))
    while len(connection.streams[stream].body) < 25:
        assert not connection.client.readable(0.08)
        connection.widen(stream, 1).read_frame()
    with takes(0.9):
        assert connection.response(stream).reset is not None
    connection.send(settings((INITIAL_WINDOW_SIZE, 65535)))  # for the answer of the next one
    assert connection.alive()


# ---- clients that do not close their end


def descriptors_fall(server: Server, most: int) -> bool:
    return until(lambda: server.descriptors() <= most)


@pytest.mark.alone(waits=True)
def test_an_idle_client_that_does_not_close(quick: Server) -> None:
    """It has GOAWAY and the end; after two seconds the descriptor goes too."""
    quick.get("/")
    before = quick.descriptors()
    with HTTP2(quick) as connection:
        assert connection.alive()
        connection.expect_end()
        assert connection.goaways[-1].code == NO_ERROR
        assert descriptors_fall(quick, before)


@pytest.mark.alone(waits=True)
def test_an_attacker_that_does_not_close(quick: Server) -> None:
    quick.get("/")
    before = quick.descriptors()
    connections = [HTTP2(quick) for _ in range(5)]
    try:
        for connection in connections:
            connection.frame(PING, 0, 1, bytes(8)).expect_gone()
        assert descriptors_fall(quick, before)
    finally:
        for connection in connections:
            connection.client.close()


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("secure", [False, True], ids=["cleartext", "tls"])
def test_a_stop_does_not_wait_for_a_client_that_does_not_close(start: Serve, secure: bool) -> None:
    server = start(secure=secure)
    with HTTP2(server) as connection:
        assert connection.alive()
        watch = Stopwatch()
        server.signal(signal.SIGTERM)
        connection.expect_end()
        assert server.wait() == 0
        assert watch.charged() < 6
