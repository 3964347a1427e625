"""RFC 9113 section 6.9: windows, both ways; a slow stream never holds up another."""

import pytest

from http2.conftest import Dial
from kit import Serve, Server, script
from kit.http2 import (
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    INITIAL_WINDOW_SIZE,
    PROTOCOL_ERROR,
    WINDOW_UPDATE,
    get,
    settings,
)
from kit.script import body, start

MIB = 1 << 20


@pytest.mark.parametrize("length", [0, 3, 5])
def test_6_9_a_wrong_length(dial: Dial, length: int) -> None:
    connection = dial()
    connection.frame(WINDOW_UPDATE, 0, 0, bytes(length))
    connection.expect_connection_error(FRAME_SIZE_ERROR)


def test_6_9_no_increment_of_the_connection(dial: Dial) -> None:
    connection = dial()
    connection.widen(0, 0)
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_6_9_no_increment_of_a_stream(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.widen(stream, 0)
    connection.expect_stream_error(stream, PROTOCOL_ERROR)


def test_6_9_1_the_connections_window_overflows(dial: Dial) -> None:
    connection = dial()
    connection.widen(0, (1 << 31) - 1).widen(0, (1 << 31) - 1)
    connection.expect_connection_error(FLOW_CONTROL_ERROR)


def test_6_9_1_a_streams_window_overflows(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.widen(stream, (1 << 31) - 1).widen(stream, (1 << 31) - 1)
    connection.expect_stream_error(stream, FLOW_CONTROL_ERROR)


def test_6_9_1_bytes_beyond_the_window(dial: Dial, h2_server: Server) -> None:
    """The application takes nothing, so that the window does not open again."""
    connection, run = dial(), script(h2_server, ("wait", "end"))
    stream = connection.open(get(run.target, method="POST"), end=False)
    for _ in range(17):
        connection.data(stream, bytes(16384))
    connection.expect_stream_error(stream, FLOW_CONTROL_ERROR)
    run.open("end")


def test_6_9_2_an_initial_window_of_one_byte(dial: Dial) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 1))
    assert connection.request(get("/echo", method="POST"), b"some body").body == b"some body"


def test_6_9_2_the_window_changes_under_way_and_may_be_negative(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 10), window=False)
    stream = connection.open(get(script(h2_server, start(), body(b"a" * 30)).target))
    found = connection.wait(lambda: len(connection.streams[stream].body) == 10).streams[stream]
    connection.send(settings((INITIAL_WINDOW_SIZE, 4))).widen(stream, 6).ping()
    assert len(found.body) == 10
    connection.widen(stream, 3).wait(lambda: len(found.body) == 13)
    connection.send(settings((INITIAL_WINDOW_SIZE, 40)))
    assert connection.response(stream).body == b"a" * 30


def test_a_head_needs_no_window(dial: Dial) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 0))
    stream = connection.open(get())
    connection.wait(lambda: bool(connection.streams[stream].heads))
    assert connection.streams[stream].status == 200
    connection.widen(stream, 2)
    assert connection.response(stream).body == b"ok"


def test_large_bodies_both_ways(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    data = bytes(range(256)) * (3 * MIB // 256)
    stream = connection.open(get(script(h2_server, ("echo",)).target, method="POST"), end=False)
    for at in range(0, len(data), 16384):
        # What comes back is read as it comes, else neither side would have room in the end.
        connection.data(stream, data[at : at + 16384], end=at + 16384 >= len(data))
        wanted = at - 200_000
        connection.wait(lambda: len(connection.streams[stream].body) > wanted)  # noqa: B023 -- called here and now
    assert connection.response(stream).body == data


def test_a_stream_that_is_not_read_holds_nobody_up(dial: Dial, h2_server: Server) -> None:
    connection = dial((INITIAL_WINDOW_SIZE, 1000), window=False)
    connection.widen(0, 10 * MIB)
    run = script(h2_server, start(), ("pieces", 100, 65536))
    slow = connection.open(get(run.target))
    connection.wait(lambda: len(connection.streams[slow].body) == 1000)
    for _ in range(50):
        assert connection.request(get()).body == b"ok"
    assert len(connection.streams[slow].body) == 1000
    sent, waiting = run.progress()
    assert waiting
    assert sent < 4 * 65536
    connection.widen(slow, 20 * MIB)
    assert len(connection.response(slow).body) == 100 * 65536


def test_a_stream_whose_application_is_slow_holds_nobody_up(dial: Dial, h2_server: Server) -> None:
    """Its window stays closed, that of the connection does not."""
    connection, run = dial(), script(h2_server, ("wait", "go"), ("body",), start(), body(b"done"))
    slow = connection.open(get(run.target, method="POST"), end=False)
    for _ in range(16):
        connection.data(slow, bytes(16384))
    for _ in range(20):
        assert connection.request(get("/echo", method="POST"), bytes(16384)).body == bytes(16384)
    run.open("go")
    connection.wait(lambda: any(each.kind == WINDOW_UPDATE and each.stream == slow for each in connection.others))
    connection.data(slow, end=True)
    assert connection.response(slow).body == b"done"
    assert run.journal()[0] == ("body", 16 * 16384, "http.request")


def test_a_client_that_never_opens_its_window_is_given_up(serve: Serve, dial: Dial) -> None:
    server = serve(timeout_write="0.3")
    connection = dial((INITIAL_WINDOW_SIZE, 0), to=server)
    run = script(server, start(), ("until_refused", 65536))
    server.tracebacks_matter = False
    stream = connection.open(get(run.target))
    assert connection.response(stream).reset is not None
    assert any(entry[0] == "refused" and "ClientDisconnected" in entry[1] for entry in run.journal())
    assert connection.streams[stream].heads


def test_a_body_that_does_not_come_is_answered_408(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(timeout_request_body="0.3"))
    stream = connection.open(get("/echo", method="POST"), end=False)
    late = connection.open(get("/run/late?%5B('body',)%5D", method="POST"), end=False)
    assert connection.response(late).status == 408
    assert connection.response(stream).over
    assert connection.alive()
