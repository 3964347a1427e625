"""RFC 9113 sections 3.4 to 6: the preface, frames, streams and their states, errors."""

import struct

import pytest

from http2.conftest import Dial
from kit import Server, script
from kit.http2 import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    frame,
    get,
    settings,
)

pytestmark = pytest.mark.one_python

# ---- 3.4 the preface


def test_3_4_the_server_announces_what_it_allows(dial: Dial) -> None:
    assert dial().settings == {3: 128, 4: 262144, 5: 16384, 6: 32768, 8: 1}


def test_3_4_byte_by_byte(dial: Dial) -> None:
    connection = dial(preface=False)
    for byte in PREFACE + settings() + connection.head(get())[1]:
        connection.send(bytes([byte]))
    assert connection.response(1).body == b"ok"


def test_3_4_everything_at_once(dial: Dial) -> None:
    connection = dial(preface=False)
    connection.send(PREFACE + settings() + connection.head(get())[1])
    assert connection.response(1).body == b"ok"


def test_3_4_no_settings_after_the_magic(dial: Dial) -> None:
    connection = dial(preface=False)
    connection.send(PREFACE + frame(PING, 0, 0, bytes(8)))
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_3_4_what_only_begins_like_it_is_http_1(server: Server) -> None:
    with server.connect() as client:
        answer = client.exchange(b"PRI * HTTP/1.1\r\nHost: test\r\n\r\n")
        assert answer.status in (400, 501)
    with server.connect() as client:
        for byte in b"PUT /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab":
            client.send(bytes([byte]))
        assert client.answer().body == b"ab"


# ---- 4 frames


@pytest.mark.parametrize("kind", [10, 0x16, 0xFF])
def test_4_1_unknown_frames_are_ignored(dial: Dial, kind: int) -> None:
    connection = dial()
    connection.frame(kind, 0xFF, 0, b"whatever").frame(kind, 0, 1, b"")
    assert connection.alive()


def test_4_1_unknown_flags_and_the_reserved_bit_are_ignored(dial: Dial) -> None:
    connection = dial()
    connection.frame(PING, 0xFE, 0x80000000, b"12345678")
    connection.wait(lambda: any(each.kind == PING for each in connection.others))
    assert connection.alive()


@pytest.mark.parametrize("kind", [DATA, HEADERS, SETTINGS])
def test_4_2_a_frame_larger_than_allowed(dial: Dial, kind: int) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False) if kind == DATA else 0
    payload = bytes(16385) if kind != SETTINGS else bytes(16386)
    connection.frame(kind, 0, stream or (1 if kind == HEADERS else 0), payload)
    if kind == DATA:
        connection.expect_stream_error(stream, FRAME_SIZE_ERROR)
    else:
        connection.expect_connection_error(FRAME_SIZE_ERROR)


def test_4_2_a_frame_as_large_as_allowed(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.data(stream, b"a" * 16384, end=True)
    assert connection.response(stream).body == b"a" * 16384


def test_4_3_a_block_that_does_not_decode(dial: Dial) -> None:
    connection = dial()
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff")
    connection.expect_connection_error(COMPRESSION_ERROR)


@pytest.mark.parametrize("between", [frame(PRIORITY, 0, 1, bytes(5)), frame(PING, 0, 0, bytes(8)), frame(0xBB)])
def test_4_3_nothing_comes_between_the_parts_of_a_block(dial: Dial, between: bytes) -> None:
    connection = dial()
    block = connection.block(get())
    connection.frame(HEADERS, END_STREAM, 1, block[:3]).send(between)
    connection.frame(CONTINUATION, END_HEADERS, 1, block[3:])
    connection.expect_connection_error(PROTOCOL_ERROR)


# ---- 5.1 states


@pytest.mark.parametrize("kind", [DATA, RST_STREAM, WINDOW_UPDATE, CONTINUATION])
def test_5_1_idle(dial: Dial, kind: int) -> None:
    connection = dial()
    connection.frame(kind, 0, 1, struct.pack(">I", 1))
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_5_1_half_closed_data(dial: Dial, h2_server: Server) -> None:
    connection, run = dial(), script(h2_server, ("wait", "end"))
    stream = connection.open(get(run.target))
    connection.data(stream, b"more")
    connection.expect_stream_error(stream, STREAM_CLOSED)
    run.open("end")


def test_5_1_half_closed_headers(dial: Dial, h2_server: Server) -> None:
    connection, run = dial(), script(h2_server, ("wait", "end"))
    stream = connection.open(get(run.target))
    connection.open(get(), stream=stream)
    connection.expect_stream_error(stream, STREAM_CLOSED)
    run.open("end")


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_closed_by_its_end(dial: Dial, kind: int) -> None:
    connection = dial()
    connection.request(get())
    connection.frame(kind, END_HEADERS, 1, connection.block(get()) if kind == HEADERS else b"a")
    connection.expect_stream_error(1, STREAM_CLOSED, PROTOCOL_ERROR)


def test_5_1_window_updates_and_resets_come_late(dial: Dial) -> None:
    connection = dial()
    connection.request(get())
    connection.widen(1, 10).reset(1).frame(PRIORITY, 0, 1, bytes(4) + b"\x10")
    assert connection.alive()


def test_5_1_closed_by_a_reset_then_data(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.reset(stream).data(stream, b"late")
    connection.expect_stream_error(stream, STREAM_CLOSED, PROTOCOL_ERROR)


@pytest.mark.parametrize("stream", [2, 0])
def test_5_1_1_numbers_of_clients_are_odd(dial: Dial, stream: int) -> None:
    connection = dial()
    connection.open(get(), stream=stream)
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_5_1_1_numbers_only_grow(dial: Dial) -> None:
    connection = dial()
    connection.open(get(), stream=5)
    connection.response(5)
    connection.open(get(), stream=3)
    connection.expect_connection_error(PROTOCOL_ERROR, STREAM_CLOSED)


def test_5_1_2_more_streams_than_allowed(dial: Dial) -> None:
    connection = dial()
    for _ in range(128):
        connection.open(get("/echo", method="POST"), end=False)
    stream = connection.open(get())
    # It has acknowledged the limit by then: nghttp2 takes it as an error of the connection (section 5.4.1).
    connection.expect_stream_error(stream, REFUSED_STREAM, PROTOCOL_ERROR)


def test_5_1_2_as_many_streams_as_allowed(dial: Dial) -> None:
    connection = dial()
    for _ in range(128):
        connection.open(get("/echo", method="POST"), end=False)
    for number in range(1, 256, 2):
        connection.data(number, end=True)
    assert all(connection.response(number).ended for number in range(1, 256, 2))
    assert connection.alive()


# ---- 5.3, 5.5, 6.3: priorities are ignored


def test_5_3_priorities(dial: Dial) -> None:
    connection = dial()
    connection.frame(PRIORITY, 0, 77, struct.pack(">IB", 1, 5))
    connection.frame(
        HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, struct.pack(">IB", 0, 1) + connection.block(get())
    )
    assert connection.response(1).body == b"ok"


@pytest.mark.parametrize("length", [0, 4, 6])
def test_6_3_priority_of_a_wrong_length(dial: Dial, length: int) -> None:
    connection = dial()
    connection.frame(PRIORITY, 0, 1, bytes(length))
    connection.expect_stream_error(1, FRAME_SIZE_ERROR)


def test_6_3_priority_of_no_stream(dial: Dial) -> None:
    connection = dial()
    connection.frame(PRIORITY, 0, 0, bytes(5))
    connection.expect_connection_error(PROTOCOL_ERROR)


# ---- 6.1 DATA, 6.2 HEADERS


def test_6_1_data_of_no_stream(dial: Dial) -> None:
    connection = dial()
    connection.frame(DATA, 0, 0, b"a")
    connection.expect_connection_error(PROTOCOL_ERROR)


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_6_1_padded_data(dial: Dial, padding: int) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(DATA, PADDED | END_STREAM, stream, bytes([padding]) + b"body" + bytes(padding))
    assert connection.response(stream).body == b"body"


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_6_padding_longer_than_the_frame(dial: Dial, kind: int) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False) if kind == DATA else 1
    connection.frame(kind, PADDED | END_HEADERS, stream, b"\x05abcd")
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_6_2_padded_headers(dial: Dial) -> None:
    connection = dial()
    connection.frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x03" + connection.block(get()) + bytes(3))
    assert connection.response(1).body == b"ok"


# ---- 6.4 RST_STREAM


@pytest.mark.parametrize("length", [0, 3, 5])
def test_6_4_reset_of_a_wrong_length(dial: Dial, length: int) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(RST_STREAM, 0, stream, bytes(length))
    connection.expect_connection_error(FRAME_SIZE_ERROR)


def test_6_4_reset_of_no_stream(dial: Dial) -> None:
    connection = dial()
    connection.reset(0)
    connection.expect_connection_error(PROTOCOL_ERROR)


# ---- 6.5 SETTINGS


@pytest.mark.parametrize(
    ("flags", "stream", "payload", "code"),
    [
        (ACK, 0, b"a", FRAME_SIZE_ERROR),
        (0, 1, b"", PROTOCOL_ERROR),
        (0, 0, b"abc", FRAME_SIZE_ERROR),
        (0, 0, struct.pack(">HI", ENABLE_PUSH, 2), PROTOCOL_ERROR),
        (0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1 << 31), FLOW_CONTROL_ERROR),
        (0, 0, struct.pack(">HI", MAX_FRAME_SIZE, 16383), PROTOCOL_ERROR),
        (0, 0, struct.pack(">HI", MAX_FRAME_SIZE, 1 << 24), PROTOCOL_ERROR),
    ],
)
def test_6_5_wrong_settings(dial: Dial, flags: int, stream: int, payload: bytes, code: int) -> None:
    connection = dial()
    connection.frame(SETTINGS, flags, stream, payload)
    connection.expect_connection_error(code)


def test_6_5_unknown_settings_are_ignored_and_all_are_acknowledged(dial: Dial) -> None:
    connection = dial()
    before = sum(each.kind == SETTINGS for each in connection.others)
    connection.send(settings((0x77, 1), (0xFFFF, 0xFFFFFFFF)))
    connection.wait(lambda: sum(each.kind == SETTINGS for each in connection.others) > before)
    assert connection.alive()


# ---- 6.6 PUSH_PROMISE


def test_6_6_clients_do_not_push(dial: Dial) -> None:
    connection = dial()
    connection.frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + connection.block(get()))
    connection.expect_connection_error(PROTOCOL_ERROR)


# ---- 6.7 PING


def test_6_7_ping(dial: Dial) -> None:
    assert dial().ping(b"abcdefgh").alive()


@pytest.mark.parametrize(("stream", "length", "code"), [(0, 7, FRAME_SIZE_ERROR), (0, 9, FRAME_SIZE_ERROR), (1, 8, 1)])
def test_6_7_wrong_pings(dial: Dial, stream: int, length: int, code: int) -> None:
    connection = dial()
    connection.frame(PING, 0, stream, bytes(length))
    connection.expect_connection_error(code)


def test_6_7_an_answer_that_nobody_asked_for(dial: Dial) -> None:
    connection = dial()
    connection.frame(PING, ACK, 0, bytes(8))
    assert connection.alive()


# ---- 6.8 GOAWAY


def test_6_8_goaway_of_a_stream(dial: Dial) -> None:
    connection = dial()
    connection.frame(GOAWAY, 0, 1, bytes(8))
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_6_8_a_client_that_leaves_is_served_to_its_end(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(GOAWAY, 0, 0, bytes(8)).data(stream, b"last", end=True)
    assert connection.response(stream).body == b"last"
    connection.expect_end()


# ---- 6.10 CONTINUATION


def test_6_10_a_block_in_many_parts(dial: Dial) -> None:
    connection = dial()
    block = connection.block(get())
    connection.frame(HEADERS, END_STREAM, 1, block[:1])
    for byte in block[1:5]:
        connection.frame(CONTINUATION, 0, 1, bytes([byte]))
    connection.frame(CONTINUATION, END_HEADERS, 1, block[5:])
    assert connection.response(1).body == b"ok"


@pytest.mark.parametrize("stream", [0, 3])
def test_6_10_a_part_of_another_stream(dial: Dial, stream: int) -> None:
    connection = dial()
    connection.frame(HEADERS, END_STREAM, 1, connection.block(get()))
    connection.frame(CONTINUATION, END_HEADERS, stream, b"")
    connection.expect_connection_error(PROTOCOL_ERROR)


def test_6_10_a_part_after_the_end(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(CONTINUATION, END_HEADERS, stream, b"")
    connection.expect_connection_error(PROTOCOL_ERROR)
