"""Chunked and counted bodies, Expect, early answers: RFC 9112 sections 6 and 7, RFC 9110 section 10.1.1."""

from contextlib import suppress

import pytest

from kit import Serve, Server, request, script
from kit.script import answers, body, start
from kit.waiting import PATIENCE, Stopwatch

CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"g\r\nabc\r\n0\r\n\r\n", id="not-hex"),
        pytest.param(b"\r\nabc\r\n0\r\n\r\n", id="empty-size"),
        pytest.param(b"-1\r\nabc\r\n0\r\n\r\n", id="negative"),
        pytest.param(b"+3\r\nabc\r\n0\r\n\r\n", id="plus"),
        pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", id="prefix"),
        pytest.param(b"3 \r\nabc\r\n0\r\n\r\n", id="space"),
        pytest.param(b" 3\r\nabc\r\n0\r\n\r\n", id="space-before"),
        pytest.param(b"3\nabc\r\n0\r\n\r\n", id="bare-lf"),
        pytest.param(b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n", id="overflow"),
        pytest.param(b"3\r\nabc0\r\n\r\n", id="no-crlf-after-the-data"),
        pytest.param(b"3\r\nabcd\r\n0\r\n\r\n", id="data-too-long"),
        pytest.param(b"3\r\nabc\n0\r\n\r\n", id="lf-after-the-data"),
        pytest.param(b"3;\x00\r\nabc\r\n0\r\n\r\n", id="nul-in-extension"),
        pytest.param(b"3;" + b"a" * 2000 + b"\r\nabc\r\n0\r\n\r\n", id="long-extension"),
        pytest.param(b"1;aaaaaaaaaaaaaaaaaa\r\nx\r\n" * 200 + b"0\r\n\r\n", id="extension-flood"),
        pytest.param(b"3\r\nabc\r\n0\r\nA b\r\n\r\n", id="bad-trailer"),
        pytest.param(b"3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n", id="folded-trailer"),
    ],
)
def test_bad_chunk_is_400_and_a_disconnect(server: Server, data: bytes) -> None:
    """Bad chunk size, extension flood, missing CRLF: 400, and the application sees a disconnect."""
    run = script(server, ("body",))
    with server.connect() as client:
        answer = client.exchange(run.request(CHUNKED, method="POST") + data)
        assert answer.status == 400
        assert answer.closes
        assert run.journal()[0][2] == "http.disconnect"
        client.half_close()
        assert client.closed()


def test_good_chunks_arrive_joined_in_order(server: Server) -> None:
    data = b'1\r\na\r\n0002;x=y;z="a b"\r\nbc\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n'
    with server.connect() as client:
        client.send(request("/echo", CHUNKED, method="POST") + data + request("/"))
        assert client.answer().body == b"abc0123456789"
        assert client.answer().body == b"ok"


def test_forbidden_trailer_fields_are_dropped(server: Server) -> None:
    """RFC 9110 section 6.5.1: a trailer never becomes framing, routing or a field of the head."""
    data = b"3\r\nabc\r\n0\r\nContent-Length: 100\r\nHost: evil\r\nTransfer-Encoding: gzip\r\nX: y\r\n\r\n"
    run = script(server, ("body",), *answers())
    with server.connect() as client:
        client.send(run.request(CHUNKED, method="POST") + data + request("/"))
        assert client.answer().body == b"ok"
        assert client.answer().body == b"ok"
    assert run.journal()[0] == ("body", 3, "http.request")


def test_body_cut_by_fin_is_a_disconnect(server: Server) -> None:
    run = script(server, ("body",))
    with server.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST") + b"12345").half_close()
        assert run.journal()[0] == ("body", 5, "http.disconnect")
        client.gone()


def test_continue_is_sent_when_the_application_first_reads(server: Server) -> None:
    """H18."""
    run = script(server, ("wait", "read"), ("body",), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert server.get("/") == b"ok"
        assert not client.readable()
        run.open("read")
        assert client.receive_once() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.exchange(b"abc").body == b"ok"
        assert run.journal()[0] == ("body", 3, "http.request")
        assert client.exchange(request("/")).body == b"ok"


def test_continue_is_not_case_sensitive(server: Server) -> None:
    with server.connect() as client:
        client.send(request("/echo", "Content-Length: 3", "Expect: 100-CONTINUE", method="POST"))
        assert client.answer().status == 100
        assert client.exchange(b"abc").body == b"abc"


def test_no_continue_when_the_application_answers_early(server: Server) -> None:
    """H18: the final answer comes at once, and the connection cannot go on unless the body comes."""
    run = script(server, *answers(403, b"no"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 300000", "Expect: 100-continue", method="POST"))
        answer = client.answer()
        assert (answer.status, answer.body) == (403, b"no")


def test_no_continue_when_the_body_is_already_there(server: Server) -> None:
    """RFC 9110 section 10.1.1: it may be left out once body bytes have come; 0, or 1 interim response."""
    with server.connect() as client:
        client.send(request("/echo", "Expect: 100-continue", method="POST", body=b"abc"))
        answer = client.answer()
        if answer.status == 100:
            answer = client.answer()
        assert answer.body == b"abc"


def test_no_continue_in_http_1_0(server: Server) -> None:
    with server.connect() as client:
        client.send(request("/echo", "Expect: 100-continue", method="POST", body=b"abc", version="1.0"))
        assert client.answer().body == b"abc"


def test_unknown_expectation_is_417(server: Server) -> None:
    with server.connect() as client:
        answer = client.exchange(request("/", "Expect: 200-ok"))
        assert answer.status == 417
        assert answer.closes


def test_early_answer_drains_a_small_body_and_keeps_the_connection(server: Server) -> None:
    run = script(server, *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 1000", method="POST"))
        assert client.answer().body == b"ok"
        client.send(bytes(1000))
        assert client.exchange(request("/")).body == b"ok"


def test_early_answer_to_a_body_without_end_closes_after_a_bounded_time(serve: Serve) -> None:
    """The answer arrives whole; then what comes is thrown away for --timeout-discard, however fast it comes."""
    server = serve(timeout_discard=0.5, limit_request_body=0)
    run = script(server, *answers())
    with server.connect() as client:
        client.send(run.request(f"Content-Length: {1 << 50}", method="POST"))
        answer = client.answer()
        assert answer.body == b"ok"
        watch = Stopwatch()
        with suppress(OSError):
            while watch.elapsed() < PATIENCE:
                client.send(bytes(65536))
        assert watch.charged() < 5


def test_body_comes_in_pieces_as_it_arrives(server: Server) -> None:
    """H9: the application need not wait for the whole body."""
    run = script(server, ("receive",), ("receive",), ("receive",), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 6", method="POST") + b"ab")
        assert run.journal(1) == [("event", {"type": "http.request", "body": b"ab", "more_body": True})]
        client.send(b"cd")
        assert run.journal(2)[1] == ("event", {"type": "http.request", "body": b"cd", "more_body": True})
        client.send(b"ef")
        assert client.answer().body == b"ok"
        assert run.journal(3)[2] == ("event", {"type": "http.request", "body": b"ef", "more_body": False})


def test_upload_of_ten_mebibytes_is_echoed(server: Server) -> None:
    data = bytes(range(256)) * 40960
    with server.connect() as client:
        assert client.exchange(request("/echo", method="POST", body=data)).body == data


def test_receive_after_the_body_waits_for_the_disconnect(server: Server) -> None:
    """H8: no extra event after the last one except disconnect."""
    run = script(server, ("receive",), ("note", "waits"), ("receive",), start(), body())
    with server.connect() as client:
        client.send(run.request())
        assert run.journal(2)[0] == ("event", {"type": "http.request", "body": b"", "more_body": False})
    assert run.journal(3)[2] == ("event", {"type": "http.disconnect"})
