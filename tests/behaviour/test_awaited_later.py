"""What `send` gives is awaited where the application likes: an error is raised there, not where `send` is called."""

from typing import Any

import pytest

from kit import Server, script
from kit.script import answers, body, start
from kit.websocket import WebSocket

START = start()[1]
BAD: list[tuple[Any, str]] = [
    ({"type": "http.response.start", "status": 99}, "ValueError"),
    ({"type": "http.response.start", "status": "200"}, "TypeError"),
    ({"type": "http.response.body", "body": b"too early"}, "RuntimeError"),
    ({"type": "no.such.event"}, "ValueError"),
    ({}, "ValueError"),
    (5, "TypeError"),
    ({"type": "http.response.pathsend", "path": "/not-offered"}, "ValueError"),
]


@pytest.mark.parametrize(("message", "error"), BAD, ids=repr)
def test_an_error_waits_for_the_await(server: Server, message: Any, error: str) -> None:
    run = script(server, ("later", message), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    assert run.journal()[:2] == [("called",), ("refused", error)]


@pytest.mark.parametrize(("message", "error"), BAD, ids=repr)
def test_an_error_is_the_tasks(server: Server, message: Any, error: str) -> None:
    run = script(server, ("by_task", message), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    assert run.journal()[0] == ("refused", error)


def test_gather_gives_errors_back(server: Server) -> None:
    first, second = ({"type": "http.response.body", "body": part, "more_body": True} for part in (b"a", b"b"))
    bad = {"type": "http.response.body", "body": "text"}
    run = script(server, ("gather", START, first, bad, second, {"type": "nothing"}), body(b"c"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"abc"
    assert run.journal()[0] == (None, None, "TypeError", None, "ValueError")


def test_the_effects_have_the_order_of_the_calls(server: Server) -> None:
    """The bytes are queued when `send` is called, whenever it is awaited."""
    run = script(server, ("gather", START, body(b"a", True)[1], body(b"b", True)[1], body(b"c")[1]))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"abc"


def test_after_the_client_has_left(server: Server) -> None:
    run = script(server, start(), ("note", "sent"), ("receive",), ("wait", "go"), ("by_task", body(b"a", True)[1]))
    client = server.connect()
    client.send(run.request("Content-Length: 1", method="POST"))
    run.journal(1)
    client.reset()
    run.journal(2)
    run.open("go")
    assert run.journal()[2] == ("refused", "ClientDisconnected")


def test_a_failed_send_that_nobody_awaits_is_logged(server: Server) -> None:
    run = script(server, ("forget", {"type": "http.response.start", "status": 99}), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    server.expect_traceback("a failed send() was never awaited: GET /run/" + run.key, "between 200 and 999")


def test_a_good_send_that_nobody_awaits_is_sent(server: Server) -> None:
    run = script(server, ("forget", START), ("forget", body(b"ok")[1]))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"


def test_a_websockets_send(server: Server) -> None:
    bad = {"type": "websocket.send", "bytes": 5}
    run = script(server, ("accepted",), ("later", bad), ("by_task", bad), ("gather", bad, {"type": "x"}))
    with server.connect() as client:
        WebSocket(client, run.target)
        notes = run.journal()
    assert notes[:4] == [("called",), ("refused", "TypeError"), ("refused", "TypeError"), ("TypeError", "ValueError")]
