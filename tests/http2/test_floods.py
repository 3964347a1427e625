"""What costs a client nothing and the server something: each attack ends, and others are served meanwhile."""

import itertools
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from http2.conftest import Dial
from http2.test_extended_connect import Tunnel, connect
from kit import Serve, Server, script
from kit.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADER_TABLE_SIZE,
    HEADERS,
    HTTP2,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    RST_STREAM,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Ended,
    frame,
    get,
    settings,
)
from kit.script import start as begins
from kit.waiting import Stopwatch, until
from kit.websocket import BINARY, FIN
from kit.websocket import frame as websocket_frame
from supervised.conftest import amount

pytestmark = pytest.mark.one_python

Attack = Callable[[HTTP2], Iterator[bytes]]

MOST = 40_000
"""Pieces of an attack that a server may take at most."""


def rapid_reset(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2023-44487."""
    block = connection.block(get())
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, block) + frame(3, 0, stream, struct.pack(">I", 8))


def made_resets(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2025-8671: the server is made to reset streams itself."""
    block = connection.block(get("/echo", method="POST"))
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS, stream, block) + frame(WINDOW_UPDATE, 0, stream, bytes(4))


def made_resets_by_overflow(connection: HTTP2) -> Iterator[bytes]:
    block = connection.block(get("/echo", method="POST"))
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS, stream, block) + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff") * 2


def malformed(connection: HTTP2) -> Iterator[bytes]:
    for stream in itertools.count(1, 2):
        yield connection.head(get("/", ("connection", "close")), stream=stream)[1]


def continuations(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2024-27316 and its like."""
    yield frame(HEADERS, END_STREAM, 1, connection.block(get()))
    while True:
        yield frame(CONTINUATION, 0, 1, b"\x00\x05x-one\x011" * 100)


def empty_continuations(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9516, -9518."""
    yield frame(HEADERS, END_STREAM, 1, connection.block(get()))
    while True:
        yield frame(CONTINUATION, 0, 1)


def header_bomb(connection: HTTP2) -> Iterator[bytes]:
    """A field of 4,000 bytes in the table, of which each further byte makes another one."""
    yield frame(HEADERS, 0, 1, connection.block(get()) + b"\x40\x01x\x7f\xa1\x1e" + b"a" * 4000)
    while True:
        yield frame(CONTINUATION, 0, 1, b"\xbe" * 4000)


def empty_data(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9518."""
    yield connection.head(get("/echo", method="POST"), end=False)[1]
    while True:
        yield frame(DATA, 0, 1) * 10


def settings_flood(_: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9515."""
    while True:
        yield settings((INITIAL_WINDOW_SIZE, 65535))


def ping_flood(_: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9512."""
    while True:
        yield frame(PING, 0, 0, bytes(8))


def priority_flood(_: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9513."""
    for stream in itertools.cycle(range(1, 1000, 2)):
        yield frame(PRIORITY, 0, stream, bytes(4) + b"\x01")


def tiny_windows(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9511: an answer a byte at a time."""
    yield settings((INITIAL_WINDOW_SIZE, 0)) + connection.head(get("/scope"))[1]
    while True:
        yield frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))


def only_padding(connection: HTTP2) -> Iterator[bytes]:
    """Of CVE-2019-9518's kind: frames that are not empty and bring nothing."""
    yield connection.head(get("/echo", method="POST"), end=False)[1]
    for padding in itertools.cycle((0, 1, 255)):
        yield frame(DATA, PADDED, 1, bytes([padding]) + bytes(padding))


def made_resets_by_late_data(connection: HTTP2) -> Iterator[bytes]:
    """Of CVE-2025-8671's kind: more after the end, so that the server breaks off what it has begun."""
    target = "/run/late?" + quote(repr([("receive",), ("receive",)]), safe="")
    block = connection.block(get(target, method="POST"))
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, block) + frame(DATA, 0, stream, b"a")


def late_headers(connection: HTTP2) -> Iterator[bytes]:
    """Of a stream that is over since others have been begun."""
    for stream in (1, 9, 11, 13):
        yield connection.head(get(), stream=stream)[1]
    while True:
        yield connection.head(get(), stream=5)[1]


def late_ends(connection: HTTP2) -> Iterator[bytes]:
    """Of a stream that the server has broken off, on which frames may come late."""
    yield connection.head(get("/", ("connection", "close"), method="POST"), stream=1, end=False)[1]
    while True:
        yield frame(DATA, END_STREAM, 1) * 10


def late_resets(connection: HTTP2) -> Iterator[bytes]:
    yield connection.head(get(), stream=1)[1]
    while True:
        yield frame(RST_STREAM, 0, 1, struct.pack(">I", 8))


def goaway_flood(_: HTTP2) -> Iterator[bytes]:
    while True:
        yield frame(GOAWAY, 0, 0, bytes(8))


def tiny_windows_of_the_connection(_: HTTP2) -> Iterator[bytes]:
    while True:
        yield frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))


def table_sizes(_: HTTP2) -> Iterator[bytes]:
    """Each makes the server's own table another one."""
    for size in itertools.cycle((0, 4096)):
        yield settings((HEADER_TABLE_SIZE, size))


def windows_of_all_streams(connection: HTTP2) -> Iterator[bytes]:
    """Each change is one of every stream that is open."""
    for stream in range(1, 200, 2):
        yield connection.head(get("/echo", method="POST"), stream=stream, end=False)[1]
    for size in itertools.cycle((0, 65535)):
        yield settings(*[(INITIAL_WINDOW_SIZE, size ^ number) for number in range(100)])


def header_bomb_of_cookies(connection: HTTP2) -> Iterator[bytes]:
    """The same with crumbs, which are to be joined."""
    cookie = b"\x60\x7f\xa1\x1e" + b"a" * 4000
    yield frame(HEADERS, 0, 1, connection.block(get()) + cookie)
    while True:
        yield frame(CONTINUATION, 0, 1, b"\xbe" * 4000)


def a_byte_with(*others: bytes) -> Callable[[HTTP2], Iterator[bytes]]:
    """DATA of a byte each, which pays for windows and for a PING, and what it does not pay for."""

    def pieces(connection: HTTP2) -> Iterator[bytes]:
        yield connection.head(get(), stream=1)[1] + connection.head(get("/echo", method="POST"), stream=3, end=False)[1]
        while True:
            yield frame(DATA, 0, 3, b"x") + b"".join(others)

    return pieces


def bytes_with_settings(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(settings((INITIAL_WINDOW_SIZE, 65535)))(connection)


def bytes_with_priorities(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(frame(PRIORITY, 0, 1, bytes(4) + b"\x01"))(connection)


def bytes_with_resets(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))(connection)


def bytes_with_unknown_frames(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(frame(0xEE))(connection)


def bytes_with_four_pings(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(*[frame(PING, 0, 0, bytes(8))] * 4)(connection)


def bytes_with_windows_of_a_byte(connection: HTTP2) -> Iterator[bytes]:
    return a_byte_with(*[frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))] * 4)(connection)


def bytes_that_nobody_takes(connection: HTTP2) -> Iterator[bytes]:
    """Of a request that was answered before."""
    yield connection.head(get("/", ("expect", "more"), method="POST"), stream=1, end=False)[1]
    while True:
        yield frame(DATA, 0, 1, b"x") + frame(PING, 0, 0, bytes(8))


def bytes_of_a_tunnel_with_settings(connection: HTTP2) -> Iterator[bytes]:
    connection.open(connect(), stream=1, end=False)
    connection.wait(lambda: bool(connection.streams[1].heads))
    while True:
        yield frame(DATA, 0, 1, websocket_frame(FIN | BINARY)) + settings((INITIAL_WINDOW_SIZE, 65535))


def tiny_windows_of_a_large_answer(connection: HTTP2) -> Iterator[bytes]:
    """CVE-2019-9511, of an answer that does not end: what is sent a byte at a time pays for nothing."""
    large = quote(repr([begins(), ("pieces", 10, 100_000)]), safe="")
    yield settings((INITIAL_WINDOW_SIZE, 0)) + connection.head(get(f"/run/dribbled?{large}"))[1]
    while True:
        yield frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))


def unknown_frames(_: HTTP2) -> Iterator[bytes]:
    while True:
        yield frame(0xEE)


ATTACKS: list[Attack] = [
    rapid_reset,
    made_resets,
    made_resets_by_overflow,
    malformed,
    continuations,
    empty_continuations,
    header_bomb,
    empty_data,
    settings_flood,
    ping_flood,
    priority_flood,
    tiny_windows,
    unknown_frames,
    only_padding,
    made_resets_by_late_data,
    late_headers,
    late_ends,
    late_resets,
    goaway_flood,
    tiny_windows_of_the_connection,
    table_sizes,
    windows_of_all_streams,
    header_bomb_of_cookies,
    bytes_with_settings,
    bytes_with_priorities,
    bytes_with_resets,
    bytes_with_unknown_frames,
    bytes_with_four_pings,
    bytes_with_windows_of_a_byte,
    bytes_that_nobody_takes,
    bytes_of_a_tunnel_with_settings,
    tiny_windows_of_a_large_answer,
]


AT_ONCE: dict[Attack, int] = {made_resets: PROTOCOL_ERROR, made_resets_by_late_data: STREAM_CLOSED}
"""What ends a connection before it is a flood: an increment of nothing, and what follows the end of a stream."""


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_flood_is_ended_and_others_are_served(dial: Dial, h2_server: Server, attack: Attack) -> None:
    other = dial()
    other.ping()
    before = h2_server.resident()
    connection = dial(acknowledges=False)
    pieces = attack(connection)
    try:
        for sent in range(MOST // 100):
            connection.send(b"".join(itertools.islice(pieces, 100)))
            connection.read_what_is_there()
            if sent % 20 == 0:
                watch = Stopwatch()
                assert other.alive()
                assert watch.charged() < 2
        connection.ping()  # what the sockets held is dealt with, too
        pytest.fail(f"{MOST} pieces were taken")
    except (Ended, AssertionError, OSError):
        pass  # the connection has ended
    connection.expect_gone()
    # A reset by the kernel may overtake it; some attacks are errors of the connection at once.
    codes = {AT_ONCE.get(attack, ENHANCE_YOUR_CALM)}
    assert {each.code for each in connection.goaways} <= codes, connection.goaways
    assert other.alive()
    assert h2_server.resident() - before < 16 << 20


def test_what_a_busy_client_does_is_no_flood(dial: Dial) -> None:
    """Requests with a priority each, and a window for each of their answers."""
    connection = dial()
    for _ in range(40):
        heads = [connection.head(get()) for _ in range(100)]
        connection.send(b"".join(data + frame(PRIORITY, 0, stream, bytes(4) + b"\x01") for stream, data in heads))
        assert all(connection.response(stream).body == b"ok" for stream, _ in heads)
    assert connection.goaways == []


def test_small_messages_are_no_flood(dial: Dial, h2_server: Server) -> None:
    """A byte each way, two windows for it, and a PING to measure the way."""
    connection = dial()
    stream = connection.open(get(script(h2_server, ("echo",)).target, method="POST"), end=False)
    found = connection.streams[stream]
    for _ in range(5000):
        connection.send(frame(DATA, 0, stream, b"x") + frame(PING, 0, 0, bytes(8)))
        connection.wait(lambda: found.body == b"x")
        found.body = b""
    assert connection.goaways == []


def test_small_messages_of_a_websocket_are_no_flood(dial: Dial) -> None:
    tunnel = Tunnel(dial())
    message = websocket_frame(FIN | BINARY, b"x")
    for _ in range(5000):
        tunnel.connection.send(frame(DATA, 0, tunnel.stream, message) + frame(PING, 0, 0, bytes(8)))
        assert tunnel.frame() == (FIN | BINARY, b"x")
    assert tunnel.connection.goaways == []


def test_answers_that_nobody_takes_are_bounded(dial: Dial, h2_server: Server) -> None:
    """A hundred streams with a large answer each, and windows of a byte."""
    h2_server.tracebacks_matter = False
    connection = dial((INITIAL_WINDOW_SIZE, 1), window=False)
    connection.ping()
    before = h2_server.resident()
    runs = [script(h2_server, begins(), ("until_refused", 65536)) for _ in range(100)]
    for run in runs:
        connection.open(get(run.target))
    connection.wait(lambda: all(len(connection.streams[stream].body) == 1 for stream in range(1, 200, 2)))
    assert all(run.progress()[0] <= 3 * 65536 for run in runs)
    assert h2_server.resident() - before < 64 << 20
    connection.client.close()
    assert all("ClientDisconnected" in run.journal()[0][1] for run in runs)


@pytest.mark.alone(measures=True)
def test_a_thousand_cancelled_streams_a_second(serve: Serve) -> None:
    """From eight clients; what one of them is allowed to do. Nothing is left behind."""
    server = serve()
    seconds = amount(3, 20)
    with ExitStack() as stack:
        connections = [stack.enter_context(HTTP2(server)) for _ in range(8)]
        cancel(server, connections, 1.0)
        before, counts, cancelled = server.resident(), server.get("/ledger"), 0
        cancelled = cancel(server, connections, seconds)
        assert cancelled > 800 * seconds
        assert server.resident() - before < 4 << 20
        assert all(connection.alive() for connection in connections)
        assert until(lambda: server.get("/ledger") == counts), (server.get("/ledger"), counts)


def cancel(server: Server, connections: list[HTTP2], seconds: float) -> int:
    """Begins requests whose application waits, and breaks them off: a thousand a second."""
    target = script(server, ("receive",), ("receive",)).target
    count, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while count < 1000 * passed:
            connection = connections[count % len(connections)]
            connection.reset(connection.open(get(target)))
            count += 1
        for connection in connections:
            connection.read_what_is_there()
        time.sleep(0.005)  # the pace is what is tested
    return count
