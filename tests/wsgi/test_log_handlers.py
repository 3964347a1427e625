"""A logging handler of the application's that raises: whatever the server has to say, it goes on serving."""

import pytest

from kit import BrokenAnswer, Serve, Server, request
from kit.script import Step
from wsgi.steps import answers, generator, script, start

CLIENTS = 30


@pytest.fixture
def spoilt(start_server: Serve) -> Server:
    """Each line of its log meets a handler that raises."""
    server = start_server(timeout_request=0.5, timeout_response_idle=0.5)
    assert script_answer(server, ("spoil_logging",), *answers()) == 200
    server.tracebacks_matter = False
    return server


def script_answer(server: Server, *steps: Step) -> int:
    with server.connect() as client:
        return client.exchange(script(server, *steps).request()).status


def check_serving(server: Server) -> None:
    with server.connect() as client:
        for _ in range(10):
            assert client.exchange(request("/")).body == b"ok"
    assert server.stderr_of_this_test().count("a logging handler has failed") == 1
    server.stop()


def test_exceptions_of_many_clients(spoilt: Server) -> None:
    """Each of them gets its answer."""
    run = script(spoilt, ("raise", "in the application"))
    clients = [spoilt.connect() for _ in range(CLIENTS)]
    try:
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert client.answer().status == 500
    finally:
        for client in clients:
            client.close()
    check_serving(spoilt)


def test_exception_in_close(spoilt: Server) -> None:
    run = script(spoilt, start(), generator(("yield", b"a"), closing=[("raise", "in close")]))
    with spoilt.connect() as client:
        for _ in range(5):
            assert client.exchange(run.request()).body == b"a"
    check_serving(spoilt)


def test_answers_that_are_too_long(spoilt: Server) -> None:
    run = script(spoilt, start("200 OK", ("Content-Length", "3")), generator(("yield", b"ab", b"cd", b"ef")))
    for _ in range(5):
        with spoilt.connect() as client:
            assert client.exchange(run.request()).body == b"abc"
    check_serving(spoilt)


def test_calls_that_are_overdue(spoilt: Server, threads: int) -> None:
    """Also those that no thread was free for."""
    run = script(spoilt, ("pause", 1.0), *answers())
    clients = [spoilt.connect() for _ in range(threads + 5)]
    try:
        for client in clients:
            client.send(run.request())
        statuses = [client.answer().status for client in clients]
        assert statuses.count(504) == threads
        assert statuses.count(503) == 5
    finally:
        for client in clients:
            client.close()
    check_serving(spoilt)


def test_answer_that_is_overdue_after_its_head(spoilt: Server) -> None:
    run = script(spoilt, start(), generator(("yield", b"one"), ("pause", 1.0), ("yield", b"two")))
    with spoilt.connect() as client, pytest.raises(BrokenAnswer):
        client.exchange(run.request())
    check_serving(spoilt)
