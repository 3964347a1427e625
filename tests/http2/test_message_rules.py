"""RFC 9113 section 8: what a message has to be; and RFC 7541, how its fields are compressed."""

import pytest

from http2.conftest import Dial
from kit.http2 import (
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PROTOCOL_ERROR,
    get,
)

pytestmark = pytest.mark.one_python

METHOD, SCHEME, PATH, AUTHORITY = (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")

MALFORMED = {
    "8.2.1 a name in capitals": get("/", ("X-One", "1")),
    "8.2.1 a name with a space": get("/", ("x one", "1")),
    "8.2.1 an empty name": get("/", ("", "1")),
    "8.2.1 a name with a colon": get("/", ("x:one", "1")),
    "8.2.1 a name with a control character": get("/", ("x\x01one", "1")),
    "8.2.1 a value with NUL": get("/", ("x-one", "a\0b")),
    "8.2.1 a value with LF": get("/", ("x-one", "a\nb: c")),
    "8.2.1 a value with CR": get("/", ("x-one", "a\rb")),
    "8.2.1 white space before a value": get("/", ("x-one", " a")),
    "8.2.1 white space after a value": get("/", ("x-one", "a\t")),
    "8.2.2 connection": get("/", ("connection", "close")),
    "8.2.2 keep-alive": get("/", ("keep-alive", "timeout=5")),
    "8.2.2 proxy-connection": get("/", ("proxy-connection", "keep-alive")),
    "8.2.2 transfer-encoding": get("/", ("transfer-encoding", "chunked")),
    "8.2.2 upgrade": get("/", ("upgrade", "websocket")),
    "8.2.2 te": get("/", ("te", "gzip")),
    "8.3 an unknown pseudo-header": get("/", (":unknown", "1")),
    "8.3 one of responses": get("/", (":status", "200")),
    "8.3 one after a field": [METHOD, SCHEME, AUTHORITY, ("x-one", "1"), PATH],
    "8.3 one twice: method": [METHOD, *get()],
    "8.3 one twice: path": [*get(), PATH],
    "8.3 one twice: scheme": [SCHEME, *get()],
    "8.3 one twice: authority": [AUTHORITY, *get()],
    "8.3.1 no method": [SCHEME, PATH, AUTHORITY],
    "8.3.1 no scheme": [METHOD, PATH, AUTHORITY],
    "8.3.1 no path": [METHOD, SCHEME, AUTHORITY],
    "8.3.1 neither authority nor host": [METHOD, SCHEME, PATH],
    "8.3.1 an empty path": [METHOD, SCHEME, (":path", ""), AUTHORITY],
    "8.3.1 two hosts": get("/", ("host", "test"), ("host", "test")),
    "8.3.1 host is not authority": get("/", ("host", "other")),
    "8.3.1 an invalid authority": [METHOD, SCHEME, PATH, (":authority", "a b")],
    "8.3.1 the absolute form": get("http://test/"),
    "8.3.1 a star without options": get("*"),
    "8.5 connect with a path": [(":method", "CONNECT"), PATH, AUTHORITY],
    "8.5 connect with a scheme": [(":method", "CONNECT"), SCHEME, AUTHORITY],
    "8441-4 protocol without connect": [METHOD, SCHEME, PATH, AUTHORITY, (":protocol", "websocket")],
    "9110-8.6 content-length is no number": get("/", ("content-length", "x")),
    "9110-8.6 content-length twice": get("/", ("content-length", "0"), ("content-length", "0")),
    "9110-8.6 content-length is negative": get("/", ("content-length", "-1")),
}

REFUSED = {
    "9110-7.1 a fragment": (get("/a#b"), 400),
    "9110-10.1.1 an unknown expectation": (get("/", ("expect", "the worst")), 417),
    "8.5 connect": ([(":method", "CONNECT"), AUTHORITY], 501),
    "8441-4 connect to what nobody speaks": (
        [(":method", "CONNECT"), SCHEME, PATH, AUTHORITY, (":protocol", "ftp")],
        501,
    ),
    "a long target": (get("/" + "a" * 9000), 414),
    "many fields": (get("/", *[(f"x-{number}", "1") for number in range(101)]), 431),
    "a large head": (get("/", *[("x-large", "a" * 8000)] * 5), 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_reset(dial: Dial, name: str) -> None:
    connection = dial()
    stream = connection.open(MALFORMED[name])
    if "authority" in name or "host" in name:
        connection.expect_malformed(stream)
    else:
        connection.expect_stream_error(stream, PROTOCOL_ERROR)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_is_answered(dial: Dial, name: str) -> None:
    fields, status = REFUSED[name]
    connection = dial()
    assert connection.request(fields).status == status
    assert connection.alive()


def test_a_body_that_is_announced_too_large(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/", ("content-length", str((1 << 30) + 1)), method="POST"), end=False)
    assert connection.response(stream).status == 413
    assert connection.alive()


@pytest.mark.parametrize(
    "fields",
    [
        get("/", ("te", "trailers")),
        get("/", ("host", "test")),
        get("/", ("host", "TEST")),
        [METHOD, SCHEME, PATH, ("host", "test")],
        get("/", ("x-empty", "")),
        get("/", ("x-bytes", "grüß")),
        get("*", method="OPTIONS"),
        get("/", ("expect", "100-continue")),
        get("/", method="HEAD"),
        get("/", ("content-length", "0")),
    ],
)
def test_what_is_right_is_served(dial: Dial, fields: list[tuple[str, str]]) -> None:
    assert dial().request(fields).status == 200


# ---- 8.1.1, 8.6: the length of the body


@pytest.mark.parametrize("pieces", [[b"abc"], [b"ab", b""], [b"abcdef"], [b"abcde", b"f"], []])
def test_8_1_1_a_length_that_is_not_the_bodys(dial: Dial, pieces: list[bytes]) -> None:
    connection = dial()
    stream = connection.open(get("/echo", ("content-length", "5"), method="POST"), end=not pieces)
    for number, piece in enumerate(pieces):
        connection.data(stream, piece, end=number + 1 == len(pieces))
    connection.expect_stream_error(stream, PROTOCOL_ERROR)


def test_8_1_1_a_length_that_is(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", ("content-length", "5"), method="POST"), end=False)
    connection.data(stream, b"ab").data(stream, b"").data(stream, b"cde").data(stream, end=True)
    assert connection.response(stream).body == b"abcde"


# ---- 8.1 trailers


def test_8_1_trailers_of_a_request(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.data(stream, b"body")
    connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, connection.block([("x-check", "1")]))
    assert connection.response(stream).body == b"body"


@pytest.mark.parametrize("fields", [[(":path", "/")], [("x-one", "1"), (":status", "200")], [("connection", "close")]])
def test_8_1_pseudo_headers_in_trailers(dial: Dial, fields: list[tuple[str, str]]) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, connection.block(fields))
    connection.expect_stream_error(stream, PROTOCOL_ERROR)


def test_8_1_a_second_head_that_is_not_the_end(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.frame(HEADERS, END_HEADERS, stream, connection.block([("x-one", "1")]))
    connection.expect_stream_error(stream, PROTOCOL_ERROR)


# ---- RFC 7541


BAD_BLOCKS = {
    "2.3.3 an index beyond the tables": b"\xff\x30",
    "6.1 index 0": b"\x80",
    "5.1 an integer without end": b"\x0f" + b"\xff" * 10,
    "5.2 a length beyond the block": b"\x00\x05ab",
    "5.2 Huffman: padding of eight bits": b"\x00\x81\xff\x00",
    "5.2 Huffman: padding of zeros": b"\x00\x81\x00\x01a",
    "5.2 Huffman: EOS": b"\x00\x84\xff\xff\xff\xff\x00",
    "6.3 a table larger than allowed": b"\x3f\xe2\x1f" + b"\x82",
    "4.2 a size update after a field": b"\x82\x20",
}


@pytest.mark.parametrize("name", BAD_BLOCKS)
def test_7541_a_block_that_cannot_be(dial: Dial, name: str) -> None:
    connection = dial()
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 1, BAD_BLOCKS[name])
    connection.expect_connection_error(COMPRESSION_ERROR)


def test_7541_the_table_is_kept_from_request_to_request(dial: Dial) -> None:
    connection = dial()
    fields = get("/scope", *[(f"x-field-{number}", "v" * 20) for number in range(60)])
    first, again = connection.request(fields).body, connection.request(fields).body
    assert first == again
    assert len(connection.block(fields)) < 300


def test_7541_4_3_the_table_shrinks_and_grows(dial: Dial) -> None:
    connection = dial()
    for size in (0, 4096, 100, 4096):
        connection.encoder.header_table_size = size
        fields = get("/", *[(f"x-{size}-{number}", "v" * 30) for number in range(50)])
        assert connection.request(fields).body == b"ok"


def test_7541_literals_of_every_kind(dial: Dial) -> None:
    block = b"\x82\x86\x84" + b"\x41\x04test" + b"\x40\x05x-one\x011" + b"\x00\x05x-two\x012" + b"\x10\x05x-six\x013"
    connection = dial()
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
    assert connection.response(1).body == b"ok"


def test_7541_a_field_that_is_cut_by_the_frames(dial: Dial) -> None:
    connection = dial()
    block = connection.block(get("/", ("x-long", "0123456789" * 10)))
    middle = len(block) // 2
    connection.frame(HEADERS, END_STREAM, 1, block[:middle]).frame(CONTINUATION, END_HEADERS, 1, block[middle:])
    assert connection.response(1).body == b"ok"
