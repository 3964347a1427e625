"""RFC 9113 sections 5.2 and 6.9: the server keeps to the client's windows, and gives back its own, whatever is thrown
away."""

import struct

import pytest

from http2.conftest import Dial
from kit import Serve, Server, script
from kit.http2 import (
    CANCEL,
    DATA,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    HTTP2,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    WINDOW_UPDATE,
    frame,
    get,
    settings,
)
from kit.script import answers, body, start

pytestmark = pytest.mark.one_python

MOST = (1 << 31) - 1
INITIAL = 65535
PIECE = 16384


def frames_of(connection: HTTP2, stream: int) -> list[int]:
    """Reads until the stream is over: the sizes of its DATA frames."""
    sizes = []
    while not connection.streams[stream].over:
        found = connection.read_frame()
        if found.kind == DATA and found.stream == stream:
            sizes.append(len(found.payload))
    return sizes


# ---- the client's windows


def test_the_window_of_a_connection_is_shared(dial: Dial, h2_server: Server) -> None:
    """Streams with all the room in the world have 65,535 bytes together, and not one more."""
    connection = dial((INITIAL_WINDOW_SIZE, MOST), window=False)
    streams = [connection.open(get(script(h2_server, start(), ("pieces", 4, 65536)).target)) for _ in range(3)]

    def taken() -> int:
        return sum(len(connection.streams[stream].body) for stream in streams)

    connection.wait(lambda: taken() >= INITIAL).ping()
    assert taken() == INITIAL
    connection.widen(0, 1).wait(lambda: taken() > INITIAL).ping(b"after it")
    assert taken() == INITIAL + 1
    connection.widen(0, MOST - 1)
    assert all(len(connection.response(stream).body) == 4 * 65536 for stream in streams)


def test_the_window_of_a_stream_ends_where_it_does(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 100), window=False)
    stream = connection.open(get(script(h2_server, start(), body(b"a" * 1000)).target))
    found = connection.streams[stream]
    connection.wait(lambda: len(found.body) >= 100).ping()
    for number in range(1, 10):
        assert len(found.body) == 100 * number
        connection.widen(stream, 100).read_frame()
        connection.ping(struct.pack(">Q", number))
    assert connection.response(stream).body == b"a" * 1000


def test_a_window_may_be_as_large_as_can_be_said(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, MOST), window=False)
    connection.widen(0, MOST - INITIAL)
    stream = connection.open(get(script(h2_server, start(), ("pieces", 10, 100_000)).target))
    assert len(connection.response(stream).body) == 1_000_000


def test_6_9_2_a_change_of_the_initial_window_overflows_one_that_was_widened(dial: Dial, h2_server: Server) -> None:
    connection, run = dial(), script(h2_server, ("receive",), ("receive",))
    stream = connection.open(get(run.target))
    connection.widen(stream, MOST - INITIAL).ping()
    connection.send(settings((INITIAL_WINDOW_SIZE, INITIAL + 1)))
    connection.expect_connection_error(FLOW_CONTROL_ERROR)


def test_6_9_2_the_initial_window_is_no_matter_of_the_connections(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, MOST), window=False)
    stream = connection.open(get(script(h2_server, start(), ("pieces", 4, 65536)).target))
    connection.wait(lambda: len(connection.streams[stream].body) >= INITIAL)
    connection.send(settings((INITIAL_WINDOW_SIZE, 1 << 20))).ping()
    assert len(connection.streams[stream].body) == INITIAL
    connection.widen(0, 1 << 20)
    assert len(connection.response(stream).body) == 4 * 65536


@pytest.mark.parametrize(("most", "allowed"), [(None, PIECE), (PIECE, PIECE), (100_000, 100_000)])
def test_frames_are_no_larger_than_the_client_allows(
    dial: Dial, h2_server: Server, most: int | None, allowed: int
) -> None:
    connection = dial(*([(MAX_FRAME_SIZE, most)] if most else []), (INITIAL_WINDOW_SIZE, MOST))
    connection.widen(0, MOST - INITIAL)
    sizes = frames_of(connection, connection.open(get(script(h2_server, start(), ("pieces", 1, 500_000)).target)))
    assert sum(sizes) == 500_000
    assert max(sizes) <= allowed


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET")])
def test_an_answer_that_has_no_body_needs_no_window(dial: Dial, h2_server: Server, status: int, method: str) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 0), window=False)
    target = script(h2_server, *answers(status, b"body")).target
    found = connection.response(connection.open(get(target, method=method)))
    assert (found.status, found.ended) == (status, True)


def test_a_large_answer_leaves_room_for_small_ones(dial: Dial, h2_server: Server) -> None:
    """No window is in the way of either: an endless answer is no reason to wait for its end."""
    h2_server.tracebacks_matter = False
    connection = dial((INITIAL_WINDOW_SIZE, MOST))
    connection.widen(0, MOST - INITIAL)
    connection.window = False
    run = script(h2_server, start(), ("until_refused", 65536))
    endless = connection.open(get(run.target))
    connection.wait(lambda: len(connection.streams[endless].body) > 1 << 20)
    assert connection.alive()
    connection.ping()
    assert not connection.streams[endless].over
    connection.reset(endless, CANCEL)
    assert "ClientDisconnected" in run.journal()[0][1]


def test_answers_of_several_streams_share_the_connection(dial: Dial, h2_server: Server) -> None:
    """None comes to its end before every other has moved on, once all of them wait for the connection's window."""
    connection = dial((INITIAL_WINDOW_SIZE, MOST), window=False)
    streams = [connection.open(get(script(h2_server, start(), ("pieces", 40, 65536)).target)) for _ in range(4)]
    connection.wait(lambda: all(connection.streams[stream].heads for stream in streams))
    connection.wait(lambda: sum(len(connection.streams[stream].body) for stream in streams) == INITIAL)
    connection.widen(0, MOST)
    order = []
    while not all(connection.streams[stream].over for stream in streams):
        found = connection.read_frame()
        if found.kind == DATA:
            order.append((found.stream, bool(found.flags & END_STREAM)))
    first_end = next(at for at, (_, ends) in enumerate(order) if ends)
    assert {stream for stream, _ in order[:first_end]} == set(streams)


# ---- the server's windows


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_counts_and_is_given_back(dial: Dial, padding: int) -> None:
    """6.1: all of a frame's payload is under flow control, padding included."""
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    part = bytes([padding]) + b"a" + bytes(padding)
    for at in range(0, 3000, 100):
        connection.send(b"".join([frame(DATA, PADDED, stream, part)] * 100))
        connection.ping(struct.pack(">Q", at))
    connection.data(stream, end=True)
    assert connection.response(stream).body == b"a" * 3000


def test_bodies_that_nobody_takes_are_given_back_to_the_connection(dial: Dial, h2_server: Server) -> None:
    """Twelve megabytes in streams that are broken off, through a window of one."""
    connection = dial()
    for number in range(60):
        run = script(h2_server, ("body",))
        stream = connection.open(get(run.target, method="POST"), end=False)
        for _ in range(12):
            connection.data(stream, bytes(PIECE))
        connection.reset(stream).ping(struct.pack(">Q", number))
    assert connection.request(get("/echo", method="POST"), bytes(PIECE)).body == bytes(PIECE)
    assert connection.goaways == []


def test_bodies_of_refused_requests_are_given_back_to_the_connection(serve: Serve, dial: Dial) -> None:
    """Bytes that were under way when the server answered 413 and broke off."""
    connection = dial(to=serve(limit_request_body="1000"))
    for number in range(40):
        stream = connection.open(get("/echo", method="POST"), end=False)
        for _ in range(12):
            connection.data(stream, bytes(PIECE))
        assert connection.response(stream).status == 413
        connection.ping(struct.pack(">Q", number))
    assert connection.request(get("/echo", method="POST"), bytes(1000)).body == bytes(1000)
    assert connection.goaways == []


def test_a_window_opens_only_as_the_application_takes(dial: Dial, h2_server: Server) -> None:
    """256 KiB wait for it, and no byte more is asked for."""
    connection, run = dial(), script(h2_server, ("wait", "go"), ("body",), start(), body(b"done"))
    stream = connection.open(get(run.target, method="POST"), end=False)
    for _ in range(connection.settings[INITIAL_WINDOW_SIZE] // PIECE):
        connection.data(stream, bytes(PIECE))
    connection.ping()
    assert not [each for each in connection.others if each.kind == WINDOW_UPDATE and each.stream == stream]
    run.open("go")
    connection.wait(lambda: any(each.kind == WINDOW_UPDATE and each.stream == stream for each in connection.others))
    connection.data(stream, end=True)
    assert connection.response(stream).body == b"done"


def test_configured_windows_are_announced(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(h2_stream_window="100000", h2_connection_window="3M", h2_max_frame_size="32K"))
    connection.ping()
    assert connection.settings[INITIAL_WINDOW_SIZE] == 100_000
    assert connection.settings[MAX_FRAME_SIZE] == 32768
    updates = [each for each in connection.others if each.kind == WINDOW_UPDATE]
    assert [(each.stream, int.from_bytes(each.payload, "big")) for each in updates] == [(0, (3 << 20) - INITIAL)]
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.data(stream, bytes(32768), end=True)
    assert connection.response(stream).body == bytes(32768)


def test_pings_are_answered_while_an_answer_waits_for_its_window(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 0), window=False)
    connection.open(get(script(h2_server, start(), ("pieces", 10, 65536)).target))
    for number in range(20):
        connection.ping(struct.pack(">Q", number))
    assert sum(each.kind == PING for each in connection.others) == 20
