"""Framing of responses: RFC 9112 sections 6 and 9, RFC 9110 sections 6.4, 8.6, 15.3.5, 15.4.5."""

import select
from email.utils import parsedate_to_datetime

import pytest

from kit import BrokenAnswer, Server, request, script
from kit.script import Step, answers, body, start
from kit.waiting import PATIENCE


def test_complete_answer_byte_for_byte(server: Server) -> None:
    """H14: the length is added, nothing else than Date and Server."""
    run = script(server, *answers(200, b"hello", [(b"content-type", b"text/plain")]))
    with server.connect() as client:
        data = client.send(run.request()).receive_once()
    head, _, content = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    names = sorted(line.partition(b":")[0].lower() for line in lines[1:])
    assert names == [b"content-length", b"content-type", b"date", b"server"]
    assert b"content-length: 5" in [line.lower() for line in lines]
    assert content == b"hello"


def test_head_and_body_leave_in_one_send(server: Server) -> None:
    """One recv brings the whole response, each time."""
    with server.connect() as client:
        for _ in range(200):
            assert client.send(request("/")).receive_once().endswith(b"\r\n\r\nok")


def test_date_is_now(server: Server) -> None:
    from datetime import UTC, datetime, timedelta

    with server.connect() as client:
        date = client.exchange(request("/")).get(b"date")
    assert date is not None
    assert abs(parsedate_to_datetime(date.decode()) - datetime.now(UTC)) < timedelta(seconds=3)


def test_own_date_and_server_are_kept(server: Server) -> None:
    run = script(server, *answers(headers=[(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"mine")]))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert answer.get(b"date") == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert answer.get(b"server") == b"mine"


def test_headers_wait_for_the_first_body_event(server: Server) -> None:
    """H12."""
    run = script(server, start(), ("note", "started"), ("wait", "body"), body(b"x"))
    with server.connect() as client:
        client.send(run.request())
        run.journal(1)
        assert server.get("/") == b"ok"
        assert not client.readable()
        run.open("body")
        assert client.answer().body == b"x"


def test_pieces_are_chunked_and_leave_at_once(server: Server) -> None:
    """H13: a piece arrives while the application is still busy with the next one."""
    run = script(server, start(), body(b"one", True), ("wait", "more"), body(b"two", True), body(b"three"))
    with server.connect() as client:
        client.send(run.request())
        data = client.receive_once()
        assert data.endswith(b"\r\n\r\n3\r\none\r\n")
        assert b"transfer-encoding: chunked\r\n" in data.lower()
        assert b"content-length" not in data.lower()
        run.open("more")
        assert client.receive_once() == b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.plain
def test_pieces_of_one_turn_leave_in_one_send(server: Server) -> None:
    run = script(server, start(), ("pieces", 20, 1024))
    with server.connect() as client:
        data = client.send(run.request()).receive_once()
        assert data.endswith(b"\r\n0\r\n\r\n")
        assert data.count(b"400\r\n") == 20


def test_empty_pieces_make_no_chunk(server: Server) -> None:
    """An empty chunk would be the last one."""
    run = script(server, start(), body(b"", True), body(b"a", True), body(b"", True), body(b"b", True), body(b""))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.chunks, answer.framing) == ([b"a", b"b"], "chunked")
        assert client.exchange(request("/")).body == b"ok"


def test_last_empty_piece_after_an_empty_first_one(server: Server) -> None:
    run = script(server, start(), body(b"", True), body(b""))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b""
        assert client.exchange(request("/")).body == b"ok"


def test_own_content_length_is_kept_for_pieces(server: Server) -> None:
    run = script(server, start(200, (b"content-length", b"6")), body(b"abc", True), body(b"def"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("length", b"abcdef")
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 65536, 1 << 20, 10_000_000])
def test_bodies_of_every_size(server: Server, size: int) -> None:
    run = script(server, start(), ("pieces", 1, size))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.framing == "length"
        assert answer.body == bytes(size)
        assert client.exchange(request("/")).body == b"ok"


def test_http_1_0_is_never_chunked(server: Server) -> None:
    run = script(server, start(), body(b"one", True), body(b"two"))
    with server.connect() as client:
        answer = client.exchange(run.request(version="1.0"))
        assert answer.framing == "close"
        assert answer.body == b"onetwo"


def test_http_1_0_pieces_with_keep_alive_asked_end_by_close(server: Server) -> None:
    run = script(server, start(), body(b"one", True), body(b"two"))
    with server.connect() as client:
        answer = client.exchange(run.request("Connection: keep-alive", version="1.0"))
        assert answer.framing == "close"
        assert (answer.get(b"connection") or b"close").lower() == b"close"
        assert answer.body == b"onetwo"


def test_http_1_0_keeps_alive_when_asked(server: Server) -> None:
    with server.connect() as client:
        for _ in range(2):
            answer = client.exchange(request("/", "Connection: Keep-Alive", version="1.0"))
            assert (answer.get(b"connection") or b"").lower() == b"keep-alive"
            assert (answer.framing, answer.body) == ("length", b"ok")


def test_http_1_0_closes_when_not_asked(server: Server) -> None:
    with server.connect() as client:
        answer = client.exchange(request("/", version="1.0"))
        assert answer.body == b"ok"
        assert client.closed()


def test_connection_close_is_obeyed(server: Server) -> None:
    with server.connect() as client:
        answer = client.exchange(request("/", "Connection: x, Close"))
        assert answer.closes
        assert client.closed()


def test_connection_close_of_the_application_is_obeyed(server: Server) -> None:
    run = script(server, *answers(headers=[(b"connection", b"close")]))
    with server.connect() as client:
        assert client.exchange(run.request()).closes
        assert client.closed()


def test_transfer_encoding_of_the_application_is_ignored(server: Server) -> None:
    """H11."""
    run = script(server, start(200, (b"transfer-encoding", b"chunked")), body(b"abc"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("length", b"abc")


def test_header_order_and_duplicates_are_kept(server: Server) -> None:
    headers = [(b"set-cookie", b"a=1"), (b"x-a", b"1"), (b"set-cookie", b"b=2"), (b"x-empty", b"")]
    run = script(server, *answers(headers=headers))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert [item for item in answer.fields if item[0] in (b"set-cookie", b"x-a", b"x-empty")] == headers


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], b"2"),
        ([(b"content-length", b"1000")], b"1000"),
    ],
    ids=["added", "own"],
)
def test_head_has_the_length_and_no_body(server: Server, headers: list[tuple[bytes, bytes]], length: bytes) -> None:
    run = script(server, *answers(headers=headers))
    with server.connect() as client:
        client.send(run.request(method="HEAD") + request("/"))
        answer = client.answer("HEAD")
        assert answer.get(b"content-length") == length
        assert client.answer().body == b"ok"


def test_head_of_pieces_has_no_body(server: Server) -> None:
    run = script(server, start(), body(b"a", True), body(b"b"))
    with server.connect() as client:
        client.send(run.request(method="HEAD") + request("/"))
        assert client.answer("HEAD").status == 200
        assert client.answer().body == b"ok"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"2")]], ids=["plain", "with-length"])
def test_204_and_304_have_no_body(server: Server, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    run = script(server, *answers(status, b"xx", headers))
    with server.connect() as client:
        client.send(run.request() + request("/"))
        answer = client.answer()
        assert answer.status == status
        if status == 204:
            assert answer.get(b"content-length") is None
        assert answer.get(b"transfer-encoding") is None
        assert client.answer().body == b"ok"


@pytest.mark.parametrize("content", [[body(b"")], [body(b"xx")], [body(b"x", True), body(b"x")]], ids=repr)
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"2")]], ids=["plain", "with-length"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_205_has_no_content(
    server: Server, content: list[Step], headers: list[tuple[bytes, bytes]], method: str
) -> None:
    """RFC 9110 section 15.3.6, whatever the application gives; it is framed as empty."""
    run = script(server, start(205, *headers), *content)
    with server.connect() as client:
        client.send(run.request(method=method) + request("/"))
        answer = client.answer(method)
        assert (answer.status, answer.all(b"content-length"), answer.body) == (205, [b"0"], b"")
        assert answer.get(b"transfer-encoding") is None
        assert client.answer().body == b"ok"


@pytest.mark.parametrize("status", [200, 299, 418, 499, 599, 999])
def test_statuses_with_and_without_a_phrase(server: Server, status: int) -> None:
    run = script(server, *answers(status))
    with server.connect() as client:
        assert client.exchange(run.request()).status == status


def test_body_longer_than_its_length_is_cut(server: Server) -> None:
    """H14: cut, logged, connection closed."""
    run = script(
        server, start(200, (b"content-length", b"3")), ("try", {"type": "http.response.body", "body": b"abcdef"})
    )
    with server.connect() as client:
        client.send(run.request() + request("/"))
        assert client.answer().body == b"abc"
        assert client.closed()
    server.stderr.wait(lambda text: "ontent-" in text and run.key in text)
    server.tracebacks_matter = False


def test_body_longer_than_its_length_over_two_pieces_is_cut(server: Server) -> None:
    run = script(
        server, start(200, (b"content-length", b"3")), body(b"ab", True), ("try", body(b"cdef", True)[1]), ("turn",)
    )
    with server.connect() as client:
        client.send(run.request())
        assert client.answer().body == b"abc"
        assert client.closed()
    server.stderr.wait(lambda text: run.key in text)
    server.tracebacks_matter = False


def test_body_shorter_than_its_length_closes_visibly(server: Server) -> None:
    """H14: the client sees that bytes are missing."""
    run = script(
        server, start(200, (b"content-length", b"10")), ("try", {"type": "http.response.body", "body": b"abc"})
    )
    with server.connect() as client:
        client.send(run.request() + request("/"))
        with pytest.raises((BrokenAnswer, ConnectionResetError)):
            client.answer()
    server.stderr.wait(lambda text: run.key in text)
    server.tracebacks_matter = False


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"x-a", b"b\r\nset-cookie: c")], id="crlf"),
        pytest.param([(b"x-a", b"b\nc")], id="lf"),
        pytest.param([(b"x-a", b"b\rc")], id="cr"),
        pytest.param([(b"x-a", b"b\x00c")], id="nul"),
        pytest.param([(b"x a", b"b")], id="space-in-name"),
        pytest.param([(b"x:a", b"b")], id="colon-in-name"),
        pytest.param([(b"", b"b")], id="empty-name"),
        pytest.param([(b"x\r\n", b"b")], id="crlf-in-name"),
        pytest.param([(b"content-length", b"abc")], id="length-no-number"),
        pytest.param([(b"content-length", b"-1")], id="length-negative"),
        pytest.param([(b"content-length", b"2"), (b"content-length", b"3")], id="lengths-differ"),
    ],
)
def test_bad_response_header_is_500(server: Server, headers: list[tuple[bytes, bytes]]) -> None:
    run = script(server, *answers(headers=headers))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.status == 500
        assert answer.get(b"set-cookie") is None
        assert answer.get(b"x-a") is None
    assert run.journal()[-1][1] is not None
    server.expect_traceback("GET", run.key)


@pytest.mark.parametrize("status", [99, 0, -1, 1000, 100, 101, 199, 1 << 70])
def test_invalid_status_is_500(server: Server, status: int) -> None:
    run = script(server, *answers(status))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    assert run.journal()[-1][1] is not None
    server.expect_traceback("GET", run.key)


def test_answer_that_the_client_cannot_take_at_once_arrives_whole(server: Server) -> None:
    """The out-queue goes on where the socket stopped."""
    run = script(server, start(), ("pieces", 300, 30_000))
    with server.connect(receive_buffer=8192) as client:
        client.send(run.request())
        select.select([client.socket], [], [], PATIENCE)
        answer = client.answer()
        assert answer.body == bytes(9_000_000)
