"""A client that sends a body nobody wants sees its answer, and no reset: what it sends is thrown away, for a time."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kit import Client, Serve, Server, request, script
from kit.certificates import shared
from kit.script import answers
from kit.waiting import PATIENCE, Stopwatch, until

MEBIBYTE = 1 << 20
LARGE = 200
PIECE = bytes(MEBIBYTE)


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, serve: Serve) -> Server:
    return serve(limit_request_body=MEBIBYTE, secure=request.param == "tls")


def post(server: Server, target: str, mebibytes: int, *, chunked: bool) -> tuple[int, bytes]:
    """As a program that knows nothing of early answers does it: everything is sent before anything is read."""

    def pieces() -> Iterator[bytes]:
        for _ in range(mebibytes):
            yield PIECE

    connection: http.client.HTTPConnection
    if server.secure:
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=PATIENCE, context=shared().context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        length = {} if chunked else {"Content-Length": str(mebibytes * MEBIBYTE)}
        connection.request("POST", target, pieces(), length, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def refused(client: Client) -> bool:
    """Sends on and on, until the server has closed."""
    try:
        return until(lambda: client.send(bytes(1000)) is None)
    except ConnectionError:
        return True


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_our_own_413(server: Server, chunked: bool) -> None:
    assert post(server, "/echo", LARGE, chunked=chunked) == (413, b"Content Too Large")
    assert server.get("/") == b"ok"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_answer_of_the_application(serve: Serve, chunked: bool) -> None:
    server = serve(limit_request_body=0)
    run = script(server, *answers(413, b"too much for me"))
    assert post(server, run.target, LARGE, chunked=chunked) == (413, b"too much for me")
    assert server.get("/") == b"ok"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_wsgi_server(start: Serve, chunked: bool) -> None:
    server = start("wsgi_scripted:app", limit_request_body=MEBIBYTE)
    assert post(server, "/echo", LARGE, chunked=chunked) == (413, b"Content Too Large")
    assert server.get("/") == b"ok"


@contextmanager
def refused_upload(server: Server) -> Iterator[Client]:
    """A client that has its answer, and all of its body still to send."""
    with server.connect() as client:
        client.send(request("/echo", f"Content-Length: {1 << 40}", method="POST"))
        assert client.answer().status == 413
        yield client


@pytest.mark.alone(waits=True)
def test_it_has_an_end(serve: Serve) -> None:
    """Whoever sends for ever is closed."""
    server = serve(limit_request_body=MEBIBYTE, timeout_discard=1)
    with refused_upload(server) as client:
        watch = Stopwatch()
        assert refused(client)
        assert watch.elapsed() > 0.9
        assert watch.charged() < 4


@pytest.mark.alone(waits=True)
def test_silence_ends_it_sooner(serve: Serve) -> None:
    server = serve(limit_request_body=MEBIBYTE)
    with refused_upload(server):
        watch = Stopwatch()
        before = server.descriptors()
        assert until(lambda: server.descriptors() < before)
        assert watch.elapsed() > 1.5
        assert watch.charged() < 5


@pytest.mark.alone(waits=True)
def test_a_stop_does_not_wait_for_it(start: Serve) -> None:
    server = start(limit_request_body=MEBIBYTE)
    with refused_upload(server) as client:
        watch = Stopwatch()
        server.process.terminate()
        server.stopping = True
        assert refused(client)
        assert server.wait() == 0
        assert watch.charged() < 6
