"""Starlette's ways to answer, with and without BaseHTTPMiddleware."""

import pytest

from kit import Open
from kit.waiting import until

LINES = "".join(f"{number}\n" for number in range(100))
FILE = bytes(range(256)) * 2000


@pytest.fixture(params=["", "/stamped"], ids=["plain", "middleware"])
def prefix(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def test_plain(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    response = client.get(prefix + "/", params={"name": "é"})
    assert response.text == "hello é"
    assert response.headers.get("x-stamp") == ("stamped" if prefix else None)


def test_lifespan_state(framework: Open) -> None:
    _, client = framework("with_starlette:app")
    assert client.get("/state").text == "open"


def test_streaming(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    for _ in range(5):
        assert client.get(prefix + "/stream").text == LINES


def test_streaming_request_and_response(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    # httpx does not read before it has sent everything: all of the answer has to fit into the sockets.
    pieces = [bytes([65 + number]) * 5000 for number in range(20)]
    assert client.post(prefix + "/stream-echo", content=iter(pieces)).content == b"".join(pieces)


@pytest.mark.http1
def test_server_sent_events_end_when_the_client_leaves(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    closed = client.get("/show").json()["streams"].count("closed")
    headers = {"accept-encoding": "identity"}
    with client.stream("GET", prefix + "/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert [next(lines) for _ in range(6)] == ["event: tick", "data: 0", "", "event: tick", "data: 1", ""]
    assert until(lambda: client.get("/show").json()["streams"].count("closed") == closed + 1)


def test_background_task_runs_after_the_answer(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    before = client.get("/show").json()["done"].count("task")
    assert client.get(prefix + "/background").text == "accepted"
    assert until(lambda: client.get("/show").json()["done"].count("task") == before + 1)


def test_background_task_goes_on_when_the_client_has_left(framework: Open) -> None:
    server, client = framework("with_starlette:app")
    before = client.get("/show").json()["done"].count("task")
    with server.client() as other:
        assert other.get("/background").text == "accepted"
    assert until(lambda: client.get("/show").json()["done"].count("task") == before + 1)


def test_file(framework: Open, prefix: str) -> None:
    _, client = framework("with_starlette:app")
    response = client.get(prefix + "/file")
    assert response.content == FILE
    assert 'filename="file.bin"' in response.headers["content-disposition"]
    etag = response.headers["etag"]
    part = client.get(prefix + "/file", headers={"range": "bytes=100-199", "accept-encoding": "identity"})
    assert (part.status_code, part.content) == (206, FILE[100:200])
    assert etag
    head = client.head(prefix + "/file", headers={"accept-encoding": "identity"})
    assert head.headers["content-length"] == str(len(FILE))
    assert client.get(prefix + "/file").content == FILE


def test_failing_route(framework: Open, prefix: str) -> None:
    server, client = framework("with_starlette:app")
    assert client.get(prefix + "/fail").status_code == 500
    server.expect_traceback("starlette route fails")
    assert client.get("/").status_code == 200


@pytest.mark.plain
def test_client_that_leaves_in_its_body(framework: Open) -> None:
    server, client = framework("with_starlette:app")
    before = client.get("/show").json()["done"].count("disconnect")
    with server.connect() as raw:
        raw.send(b"POST /disconnected HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        raw.reset()
    assert until(lambda: client.get("/show").json()["done"].count("disconnect") == before + 1)


def test_files_are_compressed(framework: Open) -> None:
    """A file that the kernel sends would go past the middleware: that is offered only where it is asked for."""
    _, client = framework("with_starlette:app")
    response = client.get("/stamped/file", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.content == FILE


def test_files_are_packed_by_brotli(framework: Open) -> None:
    _, client = framework("with_starlette:app")
    response = client.get("/packed/file.bin", headers={"accept-encoding": "br"})
    assert response.status_code == 200
    assert response.headers["content-encoding"] == "br"
    assert response.content == FILE
