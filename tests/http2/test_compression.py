"""RFC 7541 both ways: the tables of the two sides never come apart, whatever becomes of a request."""

import pytest

from http2.conftest import Dial
from kit import Server, script
from kit.http2 import (
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    HTTP2,
    PREFACE,
    PROTOCOL_ERROR,
    Frame,
    frame,
    get,
    settings,
)
from kit.script import answers

pytestmark = pytest.mark.one_python

REQUEST = b"\x82\x86\x84\x41\x04test"
"""GET http / test; the authority becomes the newest entry of the table, index 62."""
AGAIN = b"\x82\x86\x84\xbe"
"""The same by that entry."""


def ask(connection: HTTP2, block: bytes, stream: int = 1) -> bytes:
    connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
    return connection.response(stream).body


def next_head(connection: HTTP2) -> Frame:
    """Reads until the next answer begins."""
    while (found := connection.read_frame()).kind != HEADERS:
        pass
    return found


# ---- what a client sends


BAD_BLOCKS = {
    "2.3.3 an index that is the first beyond the static table": b"\xbe",
    "2.3.3 an index beyond what has been added": b"\x40\x01a\x01b\xbf",
    "6.2.1 a name by an invalid index": b"\x7f\x00\x01a",
    "6.2.2 likewise, not to be added": b"\x0f\x2f\x01a",
    "6.2.3 likewise, never to be added": b"\x1f\x2f\x01a",
    "6.2 a name without a value": b"\x00\x01a",
    "6.2 a literal that ends after its first byte": b"\x40",
    "5.1 an integer that the block cuts off": b"\xff",
    "5.1 an integer above 32 bits": b"\xff\xff\xff\xff\xff\x7f",
    "5.2 Huffman: EOS within": b"\x00\x01a\x85\x1f\xff\xff\xff\xff",
    "5.2 Huffman: padding of more than seven bits": b"\x00\x01a\x82\x1f\xff",
    "5.2 Huffman: padding that is not EOS' beginning": b"\x00\x01a\x81\x18",
    "6.3 a size that the block cuts off": b"\x3f",
    "6.3 the second of two sizes is larger than allowed": b"\x20\x3f\xe2\x1f",
}


@pytest.mark.parametrize("name", BAD_BLOCKS)
def test_a_block_that_cannot_be_after_a_good_beginning(dial: Dial, name: str) -> None:
    connection = dial()
    beginning = b"" if name.startswith("6.3") else b"\x82\x86\x84"
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 1, beginning + BAD_BLOCKS[name])
    connection.expect_connection_error(COMPRESSION_ERROR)


@pytest.mark.parametrize(
    "prefix",
    [b"\x20", b"\x3f\xe1\x1f", b"\x20\x3f\xe1\x1f", b"\x3f\x01\x3f\xe1\x1f"],
    ids=["none", "most", "none-then-most", "32-then-most"],
)
def test_6_3_sizes_at_the_beginning_of_a_block(dial: Dial, prefix: bytes) -> None:
    connection = dial()
    assert ask(connection, prefix + REQUEST) == b"ok"
    assert connection.alive()


def test_4_2_a_table_of_no_bytes_holds_nothing(dial: Dial) -> None:
    connection = dial()
    assert ask(connection, b"\x20" + REQUEST) == b"ok"
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 3, AGAIN)
    connection.expect_connection_error(COMPRESSION_ERROR)


def test_4_3_a_smaller_table_evicts(dial: Dial) -> None:
    connection = dial()
    assert ask(connection, REQUEST) == b"ok"
    assert ask(connection, b"\x20\x3f\xe1\x1f" + REQUEST[:-6] + b"\x01\x04test", 3) == b"ok"
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 5, AGAIN)
    connection.expect_connection_error(COMPRESSION_ERROR)


def test_4_4_an_entry_larger_than_the_table_empties_it(dial: Dial) -> None:
    connection = dial()
    large = b"\x40\x01x\x7f\xa1\x1e" + b"a" * 4000
    too_large = b"\x40\x01x\x7f\x81\x1f" + b"a" * 4096
    assert ask(connection, REQUEST) == b"ok"
    assert ask(connection, AGAIN + large, 3) == b"ok"
    assert ask(connection, REQUEST[:-6] + b"\x01\x04test" + b"\xbe", 5) == b"ok"
    assert ask(connection, REQUEST[:-6] + b"\x01\x04test" + too_large, 7) == b"ok"
    connection.frame(HEADERS, END_HEADERS | END_STREAM, 9, AGAIN)
    connection.expect_connection_error(COMPRESSION_ERROR)


def test_4_4_a_name_is_taken_from_an_entry_that_is_evicted_by_it(dial: Dial) -> None:
    """RFC 7541 section 4.4 warns of it: the name has to be kept before the table makes room."""
    connection = dial()
    name = b"x-name-" + b"n" * 2000
    first = b"\x40\x7f" + bytes([(len(name) - 127) % 128 + 128, (len(name) - 127) // 128]) + name + b"\x01a"
    assert ask(connection, REQUEST[:-6] + b"\x01\x04test" + first) == b"ok"
    value = b"v" * 2000
    again = b"\x7e\x7f" + bytes([(len(value) - 127) % 128 + 128, (len(value) - 127) // 128]) + value
    scope = ask(connection, b"\x82\x86\x04\x06/scope\x01\x04test" + again, 3)
    assert repr((name, value)).encode() in scope


def test_5_2_every_byte_that_a_value_may_have_by_huffman(dial: Dial) -> None:
    value = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
    connection = dial()
    block = connection.encoder.encode([*get("/scope"), (b"x-all", value)], huffman=True)
    assert value not in block
    assert repr((b"x-all", value)).encode() in ask(connection, block)


@pytest.mark.parametrize("flags", [END_STREAM, 0])
def test_an_empty_block_is_no_request(dial: Dial, flags: int) -> None:
    connection = dial()
    connection.frame(HEADERS, END_HEADERS | flags, 1)
    connection._next = 3
    connection.expect_stream_error(1, PROTOCOL_ERROR)


BROKEN = {
    "malformed by its last field": [("x-kept", "1"), ("x-known", "2"), ("connection", "close")],
    "malformed by its first field": [("X-Bad", "1"), ("x-kept", "1"), ("x-known", "2")],
    "malformed by a pseudo-header": [("x-kept", "1"), (":path", "/"), ("x-known", "2")],
    "answered 431": [*[("x-large", "a" * 4000)] * 9, ("x-kept", "1"), ("x-known", "2")],
    "answered 400": [("x-kept", "1"), ("x-known", "2"), ("host", "te st")],
}


@pytest.mark.parametrize("name", BROKEN)
def test_fields_of_a_refused_request_are_in_the_table(dial: Dial, name: str) -> None:
    connection = dial()
    fields = BROKEN[name]
    authority = [] if "400" in name else [(":authority", "test")]
    connection.response(connection.open([*get()[:3], *authority, *fields]))
    block = connection.block(get("/scope", ("x-kept", "1"), ("x-known", "2")))
    assert b"x-k" not in block
    scope = ask(connection, block, 3)
    assert b"(b'x-kept', b'1'), (b'x-known', b'2')" in scope


def test_fields_of_a_stream_that_is_refused_are_in_the_table(dial: Dial, h2_server: Server) -> None:
    """In one segment with the preface, so that the client knows of no limit yet."""
    run = script(h2_server, ("wait", "go"), *answers())
    connection = dial(preface=False)
    heads = [connection.head(get(run.target)) for _ in range(128)]
    over, data = connection.head(get("/", ("x-kept", "1")))
    connection.send(b"".join([PREFACE, settings(), *(head for _, head in heads), data]))
    connection.expect_refused(over)
    run.open("go")
    assert all(connection.response(stream).body == b"ok" for stream, _ in heads)
    block = connection.block(get("/scope", ("x-kept", "1")))
    assert b"x-kept" not in block
    assert b"(b'x-kept', b'1')" in ask(connection, block, over + 2)


def test_fields_of_a_stream_that_was_reset_are_in_the_table(dial: Dial) -> None:
    connection = dial()
    stream, head = connection.head(get("/echo", ("x-kept", "1"), method="POST"), end=False)
    connection.send(head).reset(stream, CANCEL).ping()
    assert b"(b'x-kept', b'1')" in connection.request(get("/scope", ("x-kept", "1"))).body


def test_fields_of_trailers_are_in_the_table(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    trailers = connection.block([("x-kept", "1"), ("connection", "close")])
    connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers)
    connection.expect_stream_error(stream, PROTOCOL_ERROR)
    assert b"(b'x-kept', b'1')" in connection.request(get("/scope", ("x-kept", "1"))).body


# ---- what the server sends


@pytest.mark.parametrize("sizes", [[0], [64], [0, 4096], [100_000], [4096, 0], [(1 << 32) - 1]])
def test_the_table_of_answers_is_what_the_client_allows(dial: Dial, h2_server: Server, sizes: list[int]) -> None:
    """The decoder refuses a table that is larger, and one that was not said to have shrunk (RFC 7541 section 4.2)."""
    connection = dial()
    target = script(h2_server, *answers(headers=[(b"x-one", b"1"), (b"x-two", b"2")])).target
    before = connection.request(get(target))
    connection.send(b"".join(settings((HEADER_TABLE_SIZE, size)) for size in sizes)).ping()
    connection.decoder.max_allowed_table_size = sizes[-1]
    for _ in range(3):
        found = connection.request(get(target))
        assert [field for field in found.heads[0] if field[0] != "date"] == [
            field for field in before.heads[0] if field[0] != "date"
        ]
    assert connection.decoder.header_table.maxsize <= min(sizes[-1], 4096)


def test_both_sizes_of_one_settings_frame_are_said(dial: Dial) -> None:
    """RFC 7541 section 4.2: the smallest one between two blocks, for entries were evicted by it, then the last."""
    connection = dial()
    assert connection.alive()
    connection.send(settings((HEADER_TABLE_SIZE, 0), (HEADER_TABLE_SIZE, 4096))).ping()
    connection.open(get())
    head = next_head(connection)
    assert head.payload.startswith(b"\x20\x3f\xe1\x1f")
    connection.response(head.stream)
    assert connection.alive()


def test_answers_become_short(dial: Dial, h2_server: Server) -> None:
    fields = [(b"x-field-%d" % number, b"value-%d" % number) for number in range(20)]
    target = script(h2_server, *answers(headers=fields)).target
    connection = dial()
    sizes = []
    for _ in range(2):
        stream = connection.open(get(target))
        head = next_head(connection)
        sizes.append(len(head.payload))
        connection.response(stream)
    assert sizes[1] < sizes[0] / 4


def test_a_secret_of_the_answer_is_a_field_like_others(dial: Dial, h2_server: Server) -> None:
    """set-cookie comes line by line: several are never one."""
    fields = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/"), (b"set-cookie", b"a=1")]
    found = dial().request(get(script(h2_server, *answers(headers=fields)).target))
    assert [value for name, value in found.heads[0] if name == "set-cookie"] == ["a=1", "b=2; Path=/", "a=1"]


def test_no_field_is_left_of_an_earlier_block(dial: Dial) -> None:
    """A second block of the same connection has its own fields and no other one's."""
    connection = dial()
    first = connection.request(get("/scope", ("x-one", "1"))).body
    second = connection.request(get("/scope", ("x-two", "2"))).body
    assert b"x-one" in first
    assert b"x-two" not in first
    assert b"x-two" in second
    assert b"x-one" not in second


def test_frames_of_a_block_may_be_as_small_as_a_byte_and_as_large_as_allowed(dial: Dial) -> None:
    connection = dial()
    block = connection.block(get("/", *[("x-large", "a" * 7000 + str(number)) for number in range(4)]))
    assert len(block) > 16384
    connection.send(frame(HEADERS, END_STREAM, 1, block[:16384]) + frame(CONTINUATION, 0, 1, block[16384:16385]))
    connection.send(frame(CONTINUATION, END_HEADERS, 1, block[16385:]))
    assert connection.response(1).body == b"ok"
