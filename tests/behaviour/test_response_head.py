"""The head goes 20 ms after the start where the application then waits; a complete answer waits for nothing."""

from pathlib import Path

import pytest

from kit import Answer, BrokenAnswer, Client, Serve, Server, request, script
from kit.http2 import HTTP2, get
from kit.script import Step, body
from kit.script import start as begins
from kit.waiting import until

FIRST_STEP: tuple[Step, ...] = ()
LATER: tuple[Step, ...] = (("turn",), ("note", "goes on"), ("turn",))
"""The application has suspended before it answers."""

BEFORE = pytest.mark.parametrize("before", [FIRST_STEP, LATER], ids=["first step", "later"])


def head_of(client: Client) -> Answer:
    """The head, after which nothing comes yet."""
    answer = client.reader.head()
    assert not client.reader.buffer
    return answer


@BEFORE
def test_the_head_goes_before_the_body(server: Server, before: tuple[Step, ...]) -> None:
    """As EventSource has it, which is open when the head is there; and as who subscribes and then publishes does."""
    fields = [(b"content-type", b"text/event-stream")]
    run = script(server, *before, begins(200, *fields), ("wait", "go"), body(b"one", True), body(b"two"))
    with server.connect() as client:
        answer = head_of(client.send(run.request()))
        assert answer.get(b"content-type") == b"text/event-stream"
        run.open("go")
        client.reader.rest_of(answer)
        assert (answer.framing, answer.body) == ("chunked", b"onetwo")
        assert client.exchange(request("/")).body == b"ok"


@BEFORE
def test_a_late_body_in_one_piece_is_chunked(server: Server, before: tuple[Step, ...]) -> None:
    run = script(server, *before, begins(), ("wait", "go"), body(b"whole"))
    with server.connect() as client:
        answer = head_of(client.send(run.request()))
        run.open("go")
        client.reader.rest_of(answer)
        assert (answer.framing, answer.body) == ("chunked", b"whole")


def test_the_applications_own_length_stays(server: Server) -> None:
    run = script(server, begins(200, (b"content-length", b"5")), ("wait", "go"), body(b"whole"))
    with server.connect() as client:
        answer = head_of(client.send(run.request()))
        run.open("go")
        client.reader.rest_of(answer)
        assert (answer.framing, answer.body) == ("length", b"whole")
        assert client.exchange(request("/")).body == b"ok"


def test_http_1_0_is_delimited_by_the_close(server: Server) -> None:
    run = script(server, begins(), ("wait", "go"), body(b"whole"))
    with server.connect() as client:
        answer = head_of(client.send(run.request(version="1.0")))
        run.open("go")
        client.reader.rest_of(answer)
        assert (answer.framing, answer.body, answer.closes) == ("close", b"whole", True)


def test_head_and_304_have_no_body(server: Server) -> None:
    run = script(server, begins(), ("wait", "go"), body(b"whole"))
    unchanged = script(server, begins(304), ("wait", "go"), body())
    with server.connect() as client:
        head_of(client.send(run.request(method="HEAD")))
        run.open("go")
        run.journal()
        head_of(client.send(unchanged.request()))
        unchanged.open("go")
        unchanged.journal()
        assert client.exchange(request("/")).body == b"ok"


@BEFORE
def test_http2(server: Server, before: tuple[Step, ...]) -> None:
    run = script(server, *before, begins(), ("wait", "go"), body(b"whole"))
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target))
        connection.wait(lambda: bool(connection.streams[stream].heads))
        assert connection.streams[stream].status == 200
        assert connection.streams[stream].value("content-length") is None
        assert not connection.streams[stream].body
        run.open("go")
        assert connection.response(stream).body == b"whole"


@BEFORE
@pytest.mark.parametrize("turns", [0, 1])
def test_a_complete_answer_has_its_length(server: Server, before: tuple[Step, ...], turns: int) -> None:
    """Also where the application lets the loop come round once."""
    run = script(server, *before, begins(), *[("turn", turns)] * bool(turns), body(b"whole"))
    with server.connect() as client:
        for _ in range(20):
            answer = client.exchange(run.request())
            assert (answer.framing, answer.body) == ("length", b"whole")


def test_an_exception_after_the_head_is_a_broken_answer(server: Server) -> None:
    run = script(server, begins(), ("wait", "go"), ("raise", "too late for a 500"))
    with server.connect() as client:
        assert head_of(client.send(run.request())).status == 200
        run.open("go")
        assert client.gone()
    server.expect_traceback("too late for a 500")


def test_a_head_that_cannot_be_sent_is_refused_at_the_body(server: Server) -> None:
    """Nobody is there to be told when its time is over. Nothing has been sent: another start may follow."""
    wrong = begins(200, (b"content-length", b"five"))
    run = script(server, wrong, ("pause", 0.2), ("try", body(b"x")[1]), begins(201), body(b"right"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (201, b"right")
    assert run.journal()[0][0] == "refused"


def test_a_body_may_wait_for_the_head(serve: Serve) -> None:
    """A client that sends its body only when it has seen the head is not late."""
    server = serve(timeout_request_body=5)
    run = script(server, ("echo",))
    with server.connect() as client:
        client.send(run.request("Content-Length: 5", method="POST"))
        answer = head_of(client)
        client.send(b"hello")
        assert client.reader.rest_of(answer).body == b"hello"


def test_a_file_after_the_head(serve: Serve, tmp_path: Path) -> None:
    server = serve(asgi_extensions="pathsend,zerocopysend")
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 10_000)
    for number, last in enumerate(
        [
            ("send", {"type": "http.response.pathsend", "path": str(path)}),
            ("file", str(path), {"offset": 0}),
        ]
    ):
        run = script(server, begins(), ("wait", f"go{number}"), last)
        with server.connect() as client:
            answer = head_of(client.send(run.request()))
            run.open(f"go{number}")
            assert client.reader.rest_of(answer).body == path.read_bytes()


def test_trailers_after_the_head(server: Server) -> None:
    trailers = ("send", {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
    run = script(server, begins(200, trailers=True), ("wait", "go"), body(b"abc"), trailers)
    with server.connect() as client:
        answer = head_of(client.send(run.request("TE: trailers", "Connection: TE")))
        run.open("go")
        client.reader.rest_of(answer)
        assert (answer.body, answer.trailers) == (b"abc", [(b"x-sum", b"1")])


def timers(server: Server) -> list[float]:
    """Seconds that the timers of the process have left."""
    left = []
    for path in Path(f"/proc/{server.pid}/fdinfo").iterdir():
        for line in path.read_text().splitlines():
            if line.startswith("it_value:"):
                seconds, nanoseconds = line.partition("(")[2].rstrip(")").split(",")
                left.append(int(seconds) + int(nanoseconds) / 1e9)
    return left


@pytest.mark.alone
def test_a_complete_answer_arms_no_timer(start: Serve) -> None:
    """The one that stands is for the connection's own deadlines."""
    server = start(access_log=False, timeout_first_byte=60, timeout_keep_alive=60)
    with server.connect() as client:
        client.exchange(request("/"))
        assert until(lambda: all(left > 10 for left in timers(server)))
        for _ in range(50):
            client.exchange(request("/"))
            assert all(left > 10 for left in timers(server))


def test_a_client_that_goes_while_the_head_waits(server: Server) -> None:
    for _ in range(20):
        run = script(server, ("note", "called"), begins(), ("wait", "go"), ("try", body(b"x")[1]))
        client = server.connect().send(run.request())
        run.journal(1)
        client.reset()
        run.open("go")
        assert run.journal()[-1] == ("end", None)


def test_a_broken_answer_is_no_complete_one(server: Server) -> None:
    run = script(server, begins(), ("pause", 0.1), ("raise", "broken"))
    with server.connect() as client, pytest.raises(BrokenAnswer):
        client.exchange(run.request())
    server.expect_traceback("broken")
