"""--ws-message-timeout: a message that has begun goes on within it, and ends within ten times as long."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fastserve import _core
from http2.test_extended_connect import Tunnel
from kit import Serve, Server, script
from kit.deadlines import takes
from kit.http2 import HTTP2
from kit.waiting import Stopwatch
from kit.websocket import BINARY, CLOSE, FIN, PING, PONG, TEXT, WebSocket, frame

TIMEOUT = 0.4
POLICY = 1008


class Late:
    """A WebSocket over either protocol, whose frames are sent as bytes."""

    def __init__(self, over: str, server: Server, stack: ExitStack, target: str = "/echo") -> None:
        self.socket: WebSocket | None = None
        if over == "HTTP/1.1":
            self.client = stack.enter_context(server.connect())
            self.socket = WebSocket(self.client, target)
        else:
            connection = stack.enter_context(HTTP2(server))
            self.client = connection.client
            self.tunnel = Tunnel(connection, target)

    def send(self, data: bytes) -> None:
        if self.socket is not None:
            self.client.send(data)
        else:
            self.tunnel.send(data)

    def frame(self) -> tuple[int, bytes]:
        if self.socket is None:
            return self.tunnel.frame()
        received = self.socket.frame()
        return received.first, received.payload

    def ask(self, before: bytes = b"") -> tuple[int, bytes]:
        """What comes back for a ping; some fifty times a second."""
        self.client.readable(0.02)
        self.send(before + frame(FIN | PING))
        return self.frame()

    def closed_with(self) -> int:
        """The code of the close frame; what comes before it is answers to pings."""
        while (received := self.frame())[0] != FIN | CLOSE:
            assert received[0] == FIN | PONG
        return int.from_bytes(received[1], "big")


Connect = Callable[..., Late]


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    if request.param == "HTTP/2" and not _core.HAVE_NGHTTP2:
        pytest.skip("a build without nghttp2")
    with ExitStack() as stack:
        yield lambda server, *target: Late(request.param, server, stack, *target)


@pytest.fixture
def impatient(serve: Serve) -> Server:
    return serve(ws_message_timeout=TIMEOUT)


BEGINNINGS = {
    "a fragment": frame(TEXT, b"a"),
    "half a frame": frame(FIN | BINARY, b"abc")[:-1],
    "half a head": frame(FIN | BINARY, b"abc")[:1],
    "half a ping": frame(FIN | PING, b"abc")[:-1],
    "a fragment after a message": frame(FIN | TEXT) + frame(0x2, b"abc"),
}


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_a_message_that_does_not_go_on(connect: Connect, impatient: Server, begin: str) -> None:
    late = connect(impatient)
    late.send(BEGINNINGS[begin])
    with takes(TIMEOUT):
        if begin == "a fragment after a message":
            assert late.frame() == (FIN | TEXT, b"")
        assert late.closed_with() == POLICY


@pytest.mark.alone
def test_pings_do_not_carry_it_on(connect: Connect, impatient: Server) -> None:
    late = connect(impatient)
    late.send(frame(TEXT, b"a"))
    watch = Stopwatch()
    while watch.elapsed() < TIMEOUT * 0.8:
        assert late.ask()[0] == FIN | PONG
    assert late.closed_with() == POLICY
    assert watch.charged() < 2 * TIMEOUT + 1


@pytest.mark.alone(waits=True)
def test_a_message_that_goes_on_has_ten_times_as_long(connect: Connect, impatient: Server) -> None:
    late = connect(impatient)
    watch = Stopwatch()
    late.send(frame(BINARY, b"a"))
    received: tuple[int, bytes] = (FIN | PONG, b"")
    longest = last = 0.0  # between two fragments: on a busy machine we are the one that is late
    while received[0] == FIN | PONG and watch.elapsed() < 20 * TIMEOUT:
        received = late.ask(frame(0, b"a"))
        longest, last = max(longest, watch.elapsed() - last), watch.elapsed()
    assert received == (FIN | CLOSE, POLICY.to_bytes(2, "big"))
    assert watch.elapsed() > 9.5 * TIMEOUT or longest > 0.8 * TIMEOUT
    assert watch.charged() < 10 * TIMEOUT + 2


@pytest.mark.alone
def test_each_message_has_its_own_time(connect: Connect, serve: Serve) -> None:
    """A connection on which there is always one that is not complete, and none is late."""
    timeout = TIMEOUT / 2  # nothing else runs meanwhile, and the whole takes twelve times as long
    late = connect(serve(ws_message_timeout=timeout))
    watch = Stopwatch()
    late.send(frame(BINARY, b"a"))
    while watch.elapsed() < 12 * timeout:
        late.client.readable(0.02)
        late.send(frame(FIN, b"b") + frame(BINARY, b"a"))
        assert late.frame() == (FIN | BINARY, b"ab")
    late.send(frame(FIN, b"c"))
    assert late.frame() == (FIN | BINARY, b"ac")


@pytest.mark.alone(waits=True)
def test_an_application_that_does_not_read_makes_nobody_late(connect: Connect, serve: Serve) -> None:
    """The rest has come, or waits in the kernel."""
    server = serve(ws_message_timeout=TIMEOUT, ws_max_queue=1)
    run = script(server, ("accepted",), ("pause", 4 * TIMEOUT), ("echoes",))
    late = connect(server, run.target)
    late.send(frame(FIN | BINARY, b"x") * 3 + frame(BINARY, b"a"))
    late.send(frame(FIN, b"b"))
    for expected in (b"x", b"x", b"x", b"ab"):
        assert late.frame() == (FIN | BINARY, expected)
