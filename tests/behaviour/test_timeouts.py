"""Deadlines: each slow client is gone by its own, while another one is served at full speed."""

import time

import pytest

from kit import Client, Serve, Server, request, script
from kit.deadlines import SHORT, SLACK, takes
from kit.http2 import HTTP2, get
from kit.load import others_are_served
from kit.script import answers, body, start
from kit.waiting import Stopwatch


@pytest.fixture
def quick(serve: Serve) -> Server:
    return serve(**SHORT)


@pytest.mark.alone(waits=True)
def test_silent_connection_is_closed(quick: Server) -> None:
    with others_are_served(quick, 0.5), quick.connect() as client, takes(0.6):
        assert client.gone()


@pytest.mark.alone(waits=True)
def test_half_a_head_is_408(quick: Server) -> None:
    with others_are_served(quick, 0.5), quick.connect() as client, takes(0.7):
        answer = client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert answer.status == 408
        assert answer.closes
        assert client.gone()


@pytest.mark.alone(waits=True)
def test_dripping_head_is_408(quick: Server) -> None:
    """The deadline counts from the first byte: another byte does not prolong it."""
    with quick.connect() as client, takes(0.7):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        while not client.readable(0.05):
            client.send(b"a")
        assert client.answer().status == 408


def test_half_a_head_on_a_connection_kept_alive_is_408(quick: Server) -> None:
    with quick.connect() as client:
        client.exchange(request("/"))
        with takes(0.7):
            assert client.exchange(b"GET /").status == 408
            assert client.gone()


@pytest.mark.alone(waits=True)
def test_stalled_body_is_408_and_a_disconnect(quick: Server) -> None:
    run = script(quick, ("body",))
    with others_are_served(quick, 0.5), quick.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST"))
        with takes(0.6):
            answer = client.exchange(b"12345")
            assert answer.status == 408
            assert answer.closes
            assert client.gone()
    assert run.journal()[0] == ("body", 5, "http.disconnect")


def test_stalled_chunked_body_is_408(quick: Server) -> None:
    run = script(quick, ("body",))
    with quick.connect() as client, takes(0.6):
        answer = client.exchange(run.request("Transfer-Encoding: chunked", method="POST") + b"5\r\nab")
        assert answer.status == 408
        assert client.gone()


@pytest.mark.alone(waits=True)
def test_body_that_makes_progress_is_no_stall(quick: Server) -> None:
    """Longer in all than the deadline, but never without progress for so long."""
    run = script(quick, ("body",), *answers())
    watch = Stopwatch()
    with quick.connect() as client:
        client.send(run.request("Content-Length: 8", method="POST"))
        for _ in range(8):
            assert not client.readable(0.15)
            client.send(b"x")
        assert client.answer().body == b"ok"
    assert watch.elapsed() > 1.0


def test_body_that_the_application_does_not_take_is_no_stall(quick: Server) -> None:
    """Backpressure is the application's doing, not the client's."""
    run = script(quick, ("pause", 1.5), ("body",), *answers())
    with quick.connect() as client:
        assert client.exchange(run.request(method="POST", body=bytes(2_000_000))).body == b"ok"


def test_slow_application_is_no_timeout(quick: Server) -> None:
    run = script(quick, ("pause", 1.5), *answers())
    with quick.connect() as client:
        assert client.exchange(run.request()).body == b"ok"


def test_slow_stream_is_no_timeout(quick: Server) -> None:
    """A reader that has taken everything is not stalled."""
    run = script(quick, start(), body(b"a", True), ("pause", 1.5), body(b"b"))
    with quick.connect() as client:
        assert client.exchange(run.request()).body == b"ab"


@pytest.mark.alone(waits=True)
def test_stalled_reader_is_disconnected(quick: Server) -> None:
    run = script(quick, start(), ("until_refused", 65536))
    with others_are_served(quick, 0.5), quick.connect(receive_buffer=4096) as client:
        with takes(0.9):
            client.send(run.request())
            notes = run.journal()
        assert "OSError" in notes[-2][1]
        assert client.gone()


@pytest.mark.alone(waits=True)
def test_slow_reader_is_not_stalled(quick: Server) -> None:
    run = script(quick, start(), ("pieces", 1, 3_000_000))
    with quick.connect(receive_buffer=4096) as client:
        client.send(run.request())
        begun, got = time.monotonic(), 0
        while got < 3_000_000:
            data = client.socket.recv(65536 if time.monotonic() - begun > 1.8 else 4096)
            assert data
            got += len(data)
            if time.monotonic() - begun < 1.8:
                time.sleep(0.02)  # this reader is slow: that is its part


@pytest.mark.alone(waits=True)
def test_idle_keep_alive_is_closed(quick: Server) -> None:
    with others_are_served(quick, 0.5), quick.connect() as client:
        client.exchange(request("/"))
        with takes(0.8):
            assert client.closed()


@pytest.mark.alone(waits=True)
def test_requests_begin_the_keep_alive_time_anew(quick: Server) -> None:
    with quick.connect() as client:
        begun = time.monotonic()
        while time.monotonic() - begun < 1.6:
            assert client.exchange(request("/")).body == b"ok"
            assert not client.readable(0.3)


def test_no_body_timeout_after_continue_was_not_asked(quick: Server) -> None:
    """A client that waits for 100 is not late while the application has not read."""
    run = script(quick, ("pause", 1.2), ("body",), *answers())
    with quick.connect() as client:
        client.send(run.request("Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert client.answer().status == 100
        assert client.exchange(b"abc").body == b"ok"


@pytest.mark.alone(waits=True)
def test_all_slow_clients_together_are_gone(quick: Server) -> None:
    """Fifty of each kind; the server goes on as if nothing were."""
    starts = [b"", b"GET / HT", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"]
    clients: list[Client] = []
    try:
        with others_are_served(quick, 0.5):
            clients += [quick.connect().send(data) for data in starts * 50]
            for client in clients:
                assert client.gone()
    finally:
        for client in clients:
            client.close()


@pytest.mark.alone(waits=True)
def test_application_that_does_not_answer_in_time(serve: Serve) -> None:
    """504, the task's stack in the log, and the task is cancelled."""
    server = serve(timeout_request=0.5)
    run = script(server, ("wait", "never"), *answers())
    with others_are_served(server, 0.5), server.connect() as client:
        watch = Stopwatch()
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (504, b"Gateway Timeout")
        assert watch.elapsed() > 0.4
        assert watch.charged() < 0.5 + SLACK
        assert client.exchange(request("/")).body == b"ok"
    assert run.journal()[-1] == ("end", ("CancelledError", "the application did not answer in time"))
    line = f"did not answer within 0.5 seconds: GET /run/{run.key}"
    server.stderr.wait(lambda text: "do_wait" in text.partition(line)[2])


IDLE = ("timeout_response_idle", "did not go on with its answer within 0.5 seconds")
WHOLE = ("timeout_response", "did not complete its answer within 0.5 seconds")


@pytest.mark.parametrize(("option", "text"), [IDLE, WHOLE])
def test_answer_that_does_not_go_on_is_broken(serve: Serve, option: str, text: str) -> None:
    server = serve(**{option: 0.5})
    run = script(server, start(), body(b"one", more=True), ("wait", "never"))
    with server.connect() as client, takes(0.5):
        client.send(run.request())
        seen = client.rest()
    assert b"one" in seen
    assert not seen.endswith(b"0\r\n\r\n")
    assert run.journal()[-1][1][0] == "CancelledError"
    server.stderr.wait_for(f"the application {text}: GET /run/{run.key}")


@pytest.mark.parametrize(("option", "text"), [IDLE, WHOLE])
def test_stream_of_http2_that_does_not_go_on_is_reset(serve: Serve, option: str, text: str) -> None:
    server = serve(**{option: 0.5})
    run = script(server, start(), body(b"one", more=True), ("wait", "never"))
    with HTTP2(server) as connection:
        with takes(0.5):
            stream = connection.open(get(run.target))
            assert connection.response(stream).reset is not None
        assert connection.alive()
    assert run.journal()[-1][1][0] == "CancelledError"
    server.stderr.wait_for(f"the application {text}: GET /run/{run.key}")


def test_request_of_http2_that_is_not_answered_in_time(serve: Serve) -> None:
    server = serve(timeout_request=0.5)
    run = script(server, ("wait", "never"))
    with HTTP2(server) as connection, takes(0.5):
        assert connection.request(get(run.target)).status == 504
        assert connection.alive()
    assert run.journal()[-1][1][0] == "CancelledError"


def test_endless_answer_is_ended_by_the_time_of_the_whole(serve: Serve) -> None:
    server = serve(timeout_response=0.5)
    run = script(server, start(), ("ticks", 0.05))
    with server.connect() as client, takes(0.5):
        assert b"tick" in client.send(run.request()).rest()
    assert run.journal()[-1][1][0] == "CancelledError"


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("option", ["timeout_request", "timeout_response_idle"])
def test_answer_that_goes_on_is_left_alone(serve: Serve, option: str) -> None:
    """However long it takes: an event stream, say."""
    server = serve(**{option: 0.8})
    steps = [step for _ in range(4) for step in (body(b"tick", True), ("pause", 0.4))]
    run = script(server, start(), *steps, body(b"end"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"tick" * 4 + b"end"
    with HTTP2(server) as connection:
        assert connection.request(get(run.target)).body == b"tick" * 4 + b"end"
    assert run.journal()[-1] == ("end", None)


def test_answer_that_has_begun_is_in_time(serve: Serve) -> None:
    server = serve(timeout_request=0.5)
    run = script(server, start(), ("pause", 1.0), body(b"late"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"late"


ALL = {"timeout_request": 0.8, "timeout_response_idle": 0.8, "timeout_response": 0.8}


@pytest.mark.alone(waits=True)
def test_upload_is_the_clients_time(serve: Serve) -> None:
    server = serve(**ALL)
    run = script(server, ("body",), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 8", method="POST"))
        for _ in range(8):
            assert not client.readable(0.2)
            client.send(b"x")
        assert client.answer().body == b"ok"
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target, method="POST"), end=False)
        for number in range(8):
            assert not connection.client.readable(0.2)
            connection.data(stream, b"x", end=number == 7)
        assert connection.response(stream).body == b"ok"


@pytest.mark.alone(waits=True)
@pytest.mark.parametrize("option", ["timeout_request", "timeout_response"])
def test_what_the_application_takes_adds_up(serve: Serve, option: str) -> None:
    """Half before the upload, half after it."""
    server = serve(**{option: 0.8})
    run = script(server, ("pause", 0.4), ("body",), ("note", "whole"), ("wait", "never"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 1", method="POST"))
        assert not client.readable(1.2)
        with takes(0.4):
            assert client.exchange(b"x").status == 504


@pytest.mark.alone(waits=True)
def test_slow_reader_is_the_clients_time(serve: Serve) -> None:
    """52 MB to a client that takes a second for them, with a pause in the midst."""
    server = serve(**ALL)
    run = script(server, start(), ("pieces", 800, 65536))
    with server.connect() as client:
        client.send(run.request())
        time.sleep(1.0)  # this client is slow: that is its part
        head = client.reader.head()
        time.sleep(1.0)
        assert len(client.reader.rest_of(head).body) == 800 * 65536
    with HTTP2(server, window=False) as connection:
        stream = connection.open(get(run.target))
        time.sleep(1.5)
        connection.window = True
        connection.widen(0, 1 << 30).widen(stream, 1 << 30)
        assert len(connection.response(stream).body) == 800 * 65536
    assert "did not" not in server.stderr_of_this_test()


def test_client_that_asks_late_for_a_body_is_not_late_itself(serve: Serve) -> None:
    """The deadline of a body begins when the application waits for it, outside of any turn of the connection."""
    server = serve(timeout_first_byte=0.3, timeout_request_body=0.6)
    run = script(server, ("pause", 1.2), ("body",))
    fields = get(run.target, ("expect", "100-continue"), method="POST")
    with server.connect() as client:
        client.send(run.request("Content-Length: 5", method="POST"))
        with takes(1.8):
            assert client.answer().status == 408
    with HTTP2(server) as connection, takes(1.8):
        stream = connection.open(fields, end=False)
        connection.wait(lambda: connection.streams[stream].over)


@pytest.mark.alone(waits=True)
def test_application_that_answers_in_time_is_left_alone(serve: Serve) -> None:
    server = serve(timeout_request=1)
    run = script(server, ("pause", 0.3), *answers())
    with server.connect() as client:
        for _ in range(4):
            assert client.exchange(run.request()).body == b"ok"
    assert "did not answer" not in server.stderr_of_this_test()
