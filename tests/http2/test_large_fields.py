"""Field sections that are large: of requests up to their limits, of answers without any."""

import pytest

from http2.conftest import Dial
from kit import Serve, Server
from kit.http2 import (
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    HTTP2,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PING,
    get,
    settings,
)

LIMIT = 32768


def size_of(fields: list[tuple[str, str]]) -> int:
    """As SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 section 6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def request_of(size: int, largest: int = 8000) -> list[tuple[str, str]]:
    """A request whose fields have this size together."""
    fields = get()
    while (left := size - size_of(fields)) > 0:
        part = min(left, largest) if left - largest > 40 or left <= largest else left - 40
        fields.append(("x-big", "v" * (part - 32 - len("x-big"))))
    assert size_of(fields) == size
    return fields


# ---- of requests


@pytest.mark.parametrize("size", [1000, 16384, LIMIT - 1, LIMIT])
def test_a_head_within_the_limit(dial: Dial, size: int) -> None:
    connection = dial()
    assert connection.settings[MAX_HEADER_LIST_SIZE] == LIMIT
    assert connection.request(request_of(size)).body == b"ok"


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 4 * LIMIT])
def test_a_head_above_the_limit(dial: Dial, size: int) -> None:
    connection = dial()
    assert connection.request(request_of(size)).status == 431
    assert connection.alive()


def test_a_head_far_above_the_limit(dial: Dial) -> None:
    connection = dial()
    connection.open(request_of(4 * LIMIT + 1))
    connection.expect_connection_error(ENHANCE_YOUR_CALM)


def test_a_value_above_the_limit(dial: Dial) -> None:
    connection = dial()
    assert connection.request(get("/", ("x-big", "a" * 70_000))).status == 431
    assert connection.alive()


def test_a_value_that_is_larger_than_any(dial: Dial) -> None:
    """nghttp2 takes none above 64 KiB as it comes, whatever the limit; then the tables have come apart."""
    connection = dial()
    block = connection.encoder.encode(get("/", ("x-big", "a" * 70_000)), huffman=False)
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    connection.frame(HEADERS, END_STREAM, 1, parts[0])
    for part in parts[1:-1]:
        connection.frame(CONTINUATION, 0, 1, part)
    connection.frame(CONTINUATION, END_HEADERS, 1, parts[-1])
    connection.expect_connection_error(COMPRESSION_ERROR, ENHANCE_YOUR_CALM)


def test_a_small_limit(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(h2_max_header_list="1K"))
    assert connection.settings[MAX_HEADER_LIST_SIZE] == 1024
    assert connection.request(request_of(1024)).body == b"ok"
    assert connection.request(request_of(1025)).status == 431
    assert connection.alive()


@pytest.mark.parametrize("limit", [100 << 10, 512 << 10])
def test_a_limit_that_is_large(serve: Serve, dial: Dial, limit: int) -> None:
    """As many CONTINUATION frames as such a head needs, and again."""
    connection = dial(to=serve(h2_max_header_list=limit))
    connection.huffman = False
    assert connection.settings[MAX_HEADER_LIST_SIZE] == limit
    for size in (limit - 1, limit, 200 << 10 if limit > 200 << 10 else 1000):
        assert connection.request(request_of(size, 20_000)).body == b"ok"
    for size in (limit + 1, 4 * limit):
        assert connection.request(request_of(size, 20_000)).status == 431
    connection.open(request_of(4 * limit + 1, 20_000))
    connection.expect_connection_error(ENHANCE_YOUR_CALM)


def test_many_large_heads_are_no_flood(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(h2_max_header_list=512 << 10))
    connection.huffman = False
    fields = request_of(500 << 10, 20_000)
    for _ in range(100):
        assert connection.request(fields).body == b"ok"
    assert connection.goaways == []


def test_cookies_are_one_field_however_many_crumbs_they_are(dial: Dial) -> None:
    """Browsers send each cookie by itself (RFC 9113 section 8.2.3); in HTTP/1 the same request has one field."""
    crumbs = [("cookie", f"cookie-{number}=value") for number in range(180)]
    joined = "; ".join(value for _, value in crumbs)
    connection = dial()
    assert repr((b"cookie", joined.encode())).encode() in connection.request(get("/scope", *crumbs)).body
    others = [(f"x-{number}", "1") for number in range(100)]
    assert connection.request(get("/", *crumbs, *others)).status == 431
    assert connection.alive()


def test_the_limit_of_fields_is_that_of_http_1(serve: Serve, dial: Dial) -> None:
    """Host is one of them, though it came as :authority."""
    server = serve(limit_request_fields="10")
    connection = dial(to=server)
    fields = [(f"x-{number}", "1") for number in range(11)]
    of_http_1 = []
    for count in range(8, 12):
        with server.connect() as client:
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields[:count])
            of_http_1.append(client.exchange(f"GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode()).status)
    assert [connection.request(get("/", *fields[:count])).status for count in range(8, 12)] == of_http_1
    assert 200 in of_http_1
    assert 431 in of_http_1


# ---- of answers


@pytest.fixture
def wide(serve: Serve, dial: Dial) -> HTTP2:
    """A client that takes fields of any size, connected to an application that sends them."""
    connection = dial(to=serve("large_fields:app"))
    connection.decoder.max_header_list_size = 1 << 24
    return connection


def fields_from(pairs: list[tuple[str, str]], size: int) -> list[str]:
    return [name for name, value in pairs if name.startswith("x-") and value == "v" * size]


@pytest.mark.parametrize(("count", "size"), [(15, 1000), (60, 1000), (70, 1000), (10, 60_000), (1, 200_000)])
def test_a_head_of_an_answer(wide: HTTP2, count: int, size: int) -> None:
    found = wide.request(get(f"/head/{count}/{size}"))
    assert found.status == 200
    assert fields_from(found.heads[0], size) == [f"x-{number}" for number in range(count)]
    assert found.body == b"ok"
    assert wide.alive()


@pytest.mark.parametrize(("count", "size"), [(15, 1000), (60, 2000), (5, 60_000)])
def test_trailers_of_an_answer(wide: HTTP2, count: int, size: int) -> None:
    found = wide.request(get(f"/trailers/{count}/{size}"))
    assert (found.status, found.body, found.ended) == (200, b"ok", True)
    assert fields_from(found.heads[-1], size) == [f"x-{number}" for number in range(count)]
    assert wide.alive()


@pytest.mark.parametrize(("count", "size"), [(15, 1000), (60, 2000), (5, 60_000)])
def test_hints(wide: HTTP2, count: int, size: int) -> None:
    found = wide.request(get(f"/hints/{count}/{size}"))
    assert [dict(head)[":status"] for head in found.heads] == ["103", "200"]
    assert [value for name, value in found.heads[0] if name == "link"] == ["v" * size] * count
    assert found.body == b"ok"


@pytest.mark.parametrize("most", [16384, 65536])
def test_a_block_comes_in_frames_that_the_client_allows(wide: HTTP2, most: int) -> None:
    """And nothing in between (RFC 9113 section 6.10), though an answer to a PING is due."""
    wide.send(settings((MAX_FRAME_SIZE, most))).ping()
    stream, head = wide.head(get("/head/50/1000"))
    wide.send(head + wide.head(get())[1]).frame(PING, 0, 0, b"in there")
    kinds = []
    while not wide.streams[stream].over:
        found = wide.read_frame()
        assert len(found.payload) <= most
        kinds.append((found.kind, found.stream))
    begin = kinds.index((HEADERS, stream))
    parts = kinds.count((CONTINUATION, stream))
    assert parts >= 40_000 // most
    assert kinds[begin + 1 : begin + 1 + parts] == [(CONTINUATION, stream)] * parts


def test_many_large_heads_leave_no_memory_behind(wide: HTTP2, serve: Serve) -> None:
    server: Server = serve("large_fields:app")
    for _ in range(10):
        wide.request(get("/head/60/1000"))
    before = server.resident()
    for _ in range(100):
        assert wide.request(get("/head/60/1000")).status == 200
    assert server.resident() - before < 2 << 20
