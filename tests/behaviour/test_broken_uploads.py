"""Uploads that their client breaks off: 499 in log and metrics, 400 to who still reads, and no traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kit import Client, Serve, Server, request, script
from kit.access_log import line_with
from kit.driving import Driving, listener
from kit.http2 import HTTP2, get
from kit.script import Step, answers, body
from kit.script import start as begins
from kit.status import Status
from kit.waiting import until

LENGTH = ("Content-Length: 10", b"abc")
CHUNKED = ("Transfer-Encoding: chunked", b"3\r\nabc\r\n")
FRAMINGS = pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunked"])

RETURNS: tuple[Step, ...] = (("body",),)
RAISES: tuple[Step, ...] = (("body",), ("raise_disconnect", "ClientDisconnect"))
WRAPS: tuple[Step, ...] = (("body",), ("raise_disconnect", "ClientDisconnect", "group"))
GIVES_UP = pytest.mark.parametrize("steps", [RETURNS, RAISES, WRAPS], ids=["returns", "raises", "a group"])


@GIVES_UP
@FRAMINGS
def test_by_fin(server: Server, framing: tuple[str, bytes], steps: tuple[Step, ...]) -> None:
    """The client has closed its half, and is told that its request was incomplete."""
    run = script(server, *steps)
    with server.connect() as client:
        client.send(run.request(framing[0], method="POST") + framing[1]).half_close()
        answer = client.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert client.closed()
    assert line_with(server, run.key + "?")["status"] == "499"
    assert run.journal()[0] == ("body", 3, "http.disconnect")


@GIVES_UP
@FRAMINGS
def test_by_reset(server: Server, framing: tuple[str, bytes], steps: tuple[Step, ...]) -> None:
    run = script(server, ("note", "called"), *steps)
    client = server.connect()
    client.send(run.request(framing[0], method="POST") + framing[1])
    run.journal(1)
    client.reset()
    assert line_with(server, run.key + "?")["status"] == "499"
    assert run.journal()[1] == ("body", 3, "http.disconnect")


@GIVES_UP
def test_by_the_end_of_http2(server: Server, steps: tuple[Step, ...]) -> None:
    run = script(server, *steps)
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target, method="POST"), end=False)
        connection.data(stream, b"abc").ping()
        connection.client.half_close()
        assert connection.response(stream).status == 400
        connection.expect_end()
    assert line_with(server, run.key + "?")["status"] == "499"


@GIVES_UP
def test_by_a_stream_reset(server: Server, steps: tuple[Step, ...]) -> None:
    run = script(server, *steps)
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target, method="POST"), end=False)
        connection.data(stream, b"abc").ping()
        connection.reset(stream)
        assert connection.alive()
    assert line_with(server, run.key + "?")["status"] == "499"
    assert run.journal()[0] == ("body", 3, "http.disconnect")


def test_an_application_that_has_not_asked_for_the_body_is_heard(server: Server) -> None:
    run = script(server, ("note", "called"), ("wait", "go"), *answers(422, b"not yours"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST") + b"abc").half_close()
        run.journal(1)
        run.open("go")
        answer = client.answer()
        assert (answer.status, answer.body) == (422, b"not yours")
        assert client.closed()
    assert line_with(server, run.key + "?")["status"] == "422"


def test_and_over_http2(server: Server) -> None:
    run = script(server, ("note", "called"), ("wait", "go"), *answers(422, b"not yours"))
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target, method="POST"), end=False)
        run.journal(1)
        connection.client.half_close()
        run.open("go")
        assert connection.response(stream).body == b"not yours"
        connection.expect_end()


def test_an_application_that_answers_it_with_a_500(server: Server) -> None:
    """As Starlette's middleware for errors does, before the exception goes on."""
    run = script(server, ("body",), ("try", begins(500)[1]), ("raise_disconnect", "ClientDisconnect"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST") + b"abc").half_close()
        assert client.answer().status == 400
    assert line_with(server, run.key + "?")["status"] == "499"
    assert "ClientDisconnected" in run.journal()[1][1]


def test_an_error_of_its_own_is_one(server: Server) -> None:
    run = script(server, ("body",), ("raise", "its own fault"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST") + b"abc").half_close()
        assert client.answer().status == 400
    server.expect_traceback("its own fault")
    assert line_with(server, run.key + "?")["status"] == "499"


def test_an_answer_that_has_begun_is_broken_off(server: Server) -> None:
    run = script(server, begins(), body(b"part", True), ("body",))
    with server.connect() as client:
        client.send(run.request("Content-Length: 10", method="POST") + b"abc").half_close()
        assert not client.rest().endswith(b"0\r\n\r\n")
    assert line_with(server, run.key + "?")["status"] == "200"


def test_a_request_that_is_complete_and_given_up(server: Server) -> None:
    """Its client has closed its half, and the application takes that for its end."""
    run = script(server, ("body",), ("receive",))
    with server.connect() as client:
        client.send(run.request("Content-Length: 3", method="POST") + b"abc").half_close()
        assert client.answer().status == 400
    assert line_with(server, run.key + "?")["status"] == "499"


def test_a_websocket_whose_application_does_not_catch_its_end(server: Server) -> None:
    """As Starlette's receive_text raises it."""
    from kit.websocket import WebSocket

    run = script(server, ("accepted",), ("receive",), ("raise_disconnect", "WebSocketDisconnect"))
    with server.connect() as client:
        WebSocket(client, run.target)
    assert run.journal()[-1] == ("end", ("WebSocketDisconnect", "1006"))


def test_starlette_and_fastapi(serve: Serve) -> None:
    for application, target in (("with_starlette:app", "/disconnected"), ("with_fastapi:app", "/items")):
        server = serve(application)
        for leave in (Client.half_close, Client.reset):
            with server.connect() as client:
                fields = "Content-Type: application/json", "Content-Length: 10", "Expect: 100-continue"
                client.send(request(f"{target}?{leave.__name__}", *fields, method="POST"))
                assert client.receive_once() == b"HTTP/1.1 100 Continue\r\n\r\n"  # a reset overtakes what was sent
                client.send(b'{"a"')
                leave(client)
                if leave is Client.half_close:
                    assert client.answer().status == 400
            assert line_with(server, f"{target}?{leave.__name__} ")["status"] == "499"


# ---- what is counted


async def gives_up(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while (await receive())["type"] == "http.request":
        pass


@contextmanager
def counted(kind: str) -> Iterator[tuple[Status, Callable[[], Client], dict[str, int]]]:
    status = Status()
    counters: dict[str, int] = {}
    with Driving(kind, asgi=gives_up, status=memoryview(status.memory)) as driving, listener() as listening:
        driving.do(lambda: driving.driver.add_listener(listening.fileno()))
        yield status, lambda: Client(listening.getsockname()), counters
        counters.update(driving.do(driving.driver.counters))


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("leave", [Client.half_close, Client.reset])
def test_the_metrics_have_it_once(kind: str, leave: Callable[[Client], Any]) -> None:
    with counted(kind) as (status, connect, counters):
        client = connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert until(lambda: status["in_flight"] == 1)
        leave(client)
        assert until(lambda: status["in_flight"] == 0)
        assert until(lambda: status.responses() == {"4xx": 1})
        assert status["application_errors"] == 0
        client.close()
    assert counters["error_body_cut"] == (leave is Client.half_close)
    assert counters["error_app_no_response"] == 0
