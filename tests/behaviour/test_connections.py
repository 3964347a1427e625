"""Keep-alive, pipelining, half-close, reset: RFC 9112 section 9."""

import random

import pytest

from kit import Server, request, script
from kit.script import answers, body, start


def test_keep_alive_serves_many_requests(server: Server) -> None:
    with server.connect() as client:
        for _ in range(500):
            answer = client.exchange(request("/"))
            assert answer.body == b"ok"
            assert answer.get(b"connection") is None


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """H19: a slow first one holds back the others."""
    first = script(server, ("wait", "go"), *answers(200, b"first"))
    second = script(server, *answers(200, b"second"))
    with server.connect() as client:
        client.send(first.request() + second.request() + request("/echo", method="POST", body=b"third"))
        assert server.get("/") == b"ok"
        assert not client.readable()
        first.open("go")
        assert [client.answer().body for _ in range(3)] == [b"first", b"second", b"third"]


def test_the_next_application_starts_when_the_answer_before_is_complete(server: Server) -> None:
    """H19."""
    first = script(server, start(), body(b"a", True), ("wait", "go"), body(b"b"))
    second = script(server, ("note", "began"), *answers())
    with server.connect() as client:
        client.send(first.request() + second.request())
        assert client.receive_once().endswith(b"\r\n1\r\na\r\n")
        assert first.progress() == (1, False)
        assert second.noted() == []
        first.open("go")
        assert second.journal() == [("began",), ("end", None)]


def test_pipelined_answers_leave_in_one_send(server: Server) -> None:
    with server.connect() as client:
        for _ in range(50):
            data = client.send(request("/") * 16).receive_once()
            assert data.count(b"HTTP/1.1 200 OK\r\n") == 16


def test_thousand_pipelined_requests(server: Server) -> None:
    """More than are served in one turn."""
    with server.connect() as client:
        client.send(request("/") * 1000)
        for _ in range(1000):
            assert client.answer().body == b"ok"


def test_pipelined_bodies_do_not_mix(server: Server) -> None:
    with server.connect() as client:
        bodies = [bytes([65 + number % 26]) * number for number in range(1, 200)]
        client.send(b"".join(request("/echo", method="POST", body=data) for data in bodies))
        assert [client.answer().body for _ in bodies] == bodies


def test_half_closed_client_gets_its_answer_and_the_application_is_told(server: Server) -> None:
    run = script(server, ("receive",), ("receive",), *answers(200, b"still here"))
    with server.connect() as client:
        client.send(run.request()).half_close()
        assert client.answer().body == b"still here"
        assert client.closed()
    assert run.journal()[1] == ("event", {"type": "http.disconnect"})


def test_half_closed_client_that_waits_gets_a_streamed_answer(server: Server) -> None:
    run = script(server, start(), body(b"a", True), ("receive",), ("receive",), ("pieces", 100, 5000))
    with server.connect() as client:
        client.send(run.request()).half_close()
        answer = client.answer()
        assert answer.body == b"a" + bytes(500_000)
        assert client.closed()
    assert run.journal()[1] == ("event", {"type": "http.disconnect"})


def test_half_closed_pipeline_is_answered_whole(server: Server) -> None:
    with server.connect() as client:
        client.send(request("/") * 100).half_close()
        assert [client.answer().body for _ in range(100)] == [b"ok"] * 100
        assert client.closed()


@pytest.mark.parametrize("way", ["close", "half_close", "reset"])
def test_disconnect_is_seen_at_once(server: Server, way: str) -> None:
    """H16: on FIN and on RST, without another byte or deadline."""
    run = script(server, ("receive",), ("receive",), ("receive",), *(answers() if way == "half_close" else []))
    client = server.connect()
    with client:
        client.send(run.request())
        run.journal(1)
        getattr(client, way)()
        disconnect = ("event", {"type": "http.disconnect"})
        assert run.journal(3)[1:3] == [disconnect, disconnect]
    run.journal()


def test_send_after_a_reset_raises_oserror(server: Server) -> None:
    """H17: and when it escapes from the application it is not logged as an error."""
    run = script(server, start(), body(b"a", True), ("receive",), ("receive",), ("until_refused", 1000))
    client = server.connect()
    client.send(run.request())
    client.receive_once()
    client.reset()
    notes = run.journal()
    assert notes[-2][0] == "refused"
    assert "OSError" in notes[-2][1]
    assert notes[-1][1] is not None
    assert "Traceback" not in server.stderr_of_this_test()


def test_send_after_a_reset_that_nobody_received_raises_oserror(server: Server) -> None:
    """H17, for an application that never calls receive."""
    run = script(server, start(), body(b"a", True), ("until_refused", 1000))
    client = server.connect()
    client.send(run.request())
    client.receive_once()
    client.reset()
    assert "OSError" in run.journal()[-2][1]


def test_pipelined_requests_behind_a_reset_are_not_begun(server: Server) -> None:
    first = script(server, start(), body(b"a", True), ("until_refused", 1000))
    client = server.connect()
    client.send(first.request() + request("/") * 10)
    client.receive_once()
    client.reset()
    first.journal()
    assert server.get("/") == b"ok"


def test_silent_connection_is_closed_without_an_answer(server: Server) -> None:
    with server.connect() as client:
        client.half_close()
        assert client.closed()


def test_half_a_head_and_fin_is_closed(server: Server) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHo").half_close()
        assert client.gone()


def test_requests_byte_by_byte(server: Server) -> None:
    data = request("/echo?a", "X-A: b", "Cookie: c=d", method="POST", body=b"hello world")
    with server.connect() as client:
        for byte in data:
            client.send(bytes([byte]))
        assert client.answer().body == b"hello world"


def test_random_cuts(server: Server) -> None:
    """However the bytes are cut, the answers are the same."""
    randomness = random.Random(1)
    chunked = (
        request("/echo", "Transfer-Encoding: chunked", method="POST")
        + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nA: b\r\n\r\n"
    )
    kinds = [
        (request("/"), b"ok"),
        (request("/echo", method="POST", body=b"x" * 3000), b"x" * 3000),
        (chunked, b"abcdefg"),
    ]
    with server.connect() as client:
        for _ in range(150):
            picked = [randomness.choice(kinds) for _ in range(randomness.randint(1, 6))]
            data = b"".join(sent for sent, _ in picked)
            cuts = sorted(randomness.choices(range(len(data)), k=randomness.randint(0, 12)))
            for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                client.send(data[begin:end])
            for _, expected in picked:
                assert client.answer().body == expected
