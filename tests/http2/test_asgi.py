"""HTTP/2 as an ASGI application sees it, and a WSGI application."""

import ast
import signal
from pathlib import Path

import pytest

from http2.conftest import Dial
from kit import Serve, Server, script
from kit.http2 import CANCEL, HTTP2, INTERNAL_ERROR, NO_ERROR, get
from kit.script import answers, body
from kit.script import start as begins


def scope_of(connection: HTTP2, *fields: tuple[str, str], target: str = "/scope") -> dict[str, object]:
    scope: dict[str, object] = ast.literal_eval(connection.request(get(target, *fields)).body.decode())
    return scope


def test_the_scope(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    fields = (("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2"), ("host", "test"), ("cookie", "c=3"))
    scope = scope_of(connection, *fields, target="/scope?q=%20")
    assert scope["http_version"] == "2"
    assert scope["scheme"] == ("https" if h2_server.secure else "http")
    assert scope["method"] == "GET"
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/scope", b"/scope", b"q=%20")
    assert scope["headers"] == [(b"host", b"test"), (b"cookie", b"a=1; b=2; c=3"), (b"x-one", b"1")]
    extensions = scope["extensions"]
    assert isinstance(extensions, dict)
    assert "http.response.trailers" in extensions
    assert ("tls" in extensions) == h2_server.secure


def test_many_streams_at_once(dial: Dial) -> None:
    connection = dial()
    heads = [connection.head(get("/echo", method="POST"), end=False) for _ in range(100)]
    connection.send(b"".join(data for _, data in heads))
    for stream, _ in heads:
        connection.data(stream, f"{stream}".encode(), end=True)
    assert all(connection.response(stream).body == f"{stream}".encode() for stream, _ in heads)


def test_small_answers_leave_together(dial: Dial, h2_server: Server) -> None:
    """What the requests of one segment are answered comes in one segment."""
    if h2_server.secure:
        pytest.skip("a segment of records cannot be seen")
    connection = dial()
    connection.ping()
    connection.send(b"".join(connection.head(get())[1] for _ in range(10)))
    data = connection.client.receive_once()
    assert data.count(b"ok") == 10


def test_a_cancelled_request(dial: Dial, h2_server: Server) -> None:
    run = script(h2_server, ("receive",), ("note", "waits"), ("receive",))
    connection = dial()
    stream = connection.open(get(run.target))
    run.journal(2)
    connection.reset(stream, CANCEL)
    assert run.journal()[2] == ("event", {"type": "http.disconnect"})
    assert connection.alive()


def test_a_cancelled_answer(dial: Dial, h2_server: Server) -> None:
    h2_server.tracebacks_matter = False
    run = script(h2_server, begins(), ("until_refused", 100))
    connection = dial()
    stream = connection.open(get(run.target))
    connection.wait(lambda: bool(connection.streams[stream].body))
    connection.reset(stream, CANCEL)
    refused = run.journal()[0]
    assert (refused[0], refused[1][0]) == ("refused", "ClientDisconnected")
    assert connection.alive()


def test_the_application_raises_before_its_answer(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    assert connection.request(get(script(h2_server, ("raise", "before")).target)).status == 500
    h2_server.expect_traceback("before")
    assert connection.alive()


def test_the_application_raises_within_its_answer(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    found = connection.request(get(script(h2_server, begins(), body(b"half", more=True), ("raise", "within")).target))
    assert (found.status, found.ended, found.reset) == (200, False, INTERNAL_ERROR)
    h2_server.expect_traceback("within")
    assert connection.alive()


def test_an_answer_longer_than_it_said(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    found = connection.request(
        get(script(h2_server, begins(200, (b"content-length", b"2")), ("try", body(b"long")[1])).target)
    )
    assert found.body == b"lo"
    assert connection.alive()


def test_an_answer_shorter_than_it_said(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    found = connection.request(
        get(script(h2_server, begins(200, (b"content-length", b"9")), ("try", body(b"short")[1])).target)
    )
    assert (found.ended, found.reset) == (False, INTERNAL_ERROR)
    assert connection.alive()


def test_early_hints_and_expectations(dial: Dial, h2_server: Server) -> None:
    hint = ("send", {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    connection = dial()
    stream = connection.open(
        get(script(h2_server, ("body",), hint, *answers()).target, ("expect", "100-continue")), end=False
    )
    connection.wait(lambda: bool(connection.streams[stream].heads))
    connection.data(stream, b"awaited", end=True)
    heads = [dict(head) for head in connection.response(stream).heads]
    assert [head[":status"] for head in heads] == ["100", "103", "200"]
    assert heads[1]["link"] == "</a.css>; rel=preload"


def test_trailers_of_an_answer(dial: Dial, h2_server: Server) -> None:
    def trailers(*pairs: tuple[bytes, bytes], more: bool = False) -> tuple[str, dict[str, object]]:
        return ("send", {"type": "http.response.trailers", "headers": list(pairs), "more_trailers": more})

    connection = dial()
    steps = [
        begins(trailers=True),
        ("pieces", 10, 10_000),
        trailers((b"X-One", b"1"), more=True),
        trailers((b"x-two", b"2")),
    ]
    found = connection.request(get(script(h2_server, *steps).target))
    assert (len(found.body), found.heads[1]) == (100_000, [("x-one", "1"), ("x-two", "2")])
    found = connection.request(get(script(h2_server, begins(trailers=True), body(b"a"), trailers()).target))
    assert (found.body, found.ended, len(found.heads)) == (b"a", True, 1)


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET")])
def test_answers_without_a_body(dial: Dial, h2_server: Server, status: int, method: str) -> None:
    connection = dial()
    found = connection.request(get(script(h2_server, *answers(status, b"four")).target, method=method))
    assert (found.status, found.body) == (status, b"")
    assert found.value("content-length") == ("4" if method == "HEAD" else None)
    assert connection.alive()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_205_has_no_content(dial: Dial, h2_server: Server, method: str) -> None:
    """RFC 9110 section 15.3.6, whatever the application gives."""
    connection = dial()
    for steps in (answers(205, b"four", [(b"content-length", b"4")]), [begins(205), body(b"fo", True), body(b"ur")]):
        found = connection.request(get(script(h2_server, *steps).target, method=method))
        assert (found.status, found.body, found.ended, found.value("content-length")) == (205, b"", True, "0")
    assert connection.alive()


def test_a_file(dial: Dial, serve: Serve, h2_server: Server, tmp_path: Path) -> None:
    offering = serve(secure=h2_server.secure, asgi_extensions="pathsend")
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 2000)
    connection = dial(to=offering)
    send = ("send", {"type": "http.response.pathsend", "path": str(path)})
    found = connection.request(get(script(offering, begins(), send).target))
    assert found.body == path.read_bytes()
    assert found.value("content-length") == "512000"


def test_hop_by_hop_fields_of_the_application_are_left_out(dial: Dial, h2_server: Server) -> None:
    fields = [(b"Connection", b"close"), (b"Keep-Alive", b"1"), (b"Transfer-Encoding", b"chunked"), (b"X-Kept", b"1")]
    connection = dial()
    found = connection.request(get(script(h2_server, *answers(headers=fields)).target))
    assert [name for name, _ in found.heads[0]] == [":status", "x-kept", "content-length", "date", "server"]
    assert connection.alive()


def test_configured_header_fields(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(header=["X-One: 1", "X-Two: 2 3"]))
    found = connection.request(get())
    assert (found.value("x-one"), found.value("x-two")) == ("1", "2 3")


def test_an_answer_before_the_body_has_come(dial: Dial) -> None:
    """The rest of a small one is read and forgotten, a large one is reset without an error (section 8.1)."""
    connection = dial()
    stream = connection.open(get(method="POST"), end=False)
    assert connection.response(stream).body == b"ok"
    connection.data(stream, bytes(10_000), end=True)
    assert connection.alive()
    stream = connection.open(get(method="POST"), end=False)
    connection.response(stream)
    for _ in range(17):
        connection.data(stream, bytes(16384))
    connection.wait(lambda: connection.streams[stream].reset is not None)
    assert connection.streams[stream].reset == NO_ERROR
    assert connection.alive()


def test_concurrency_is_limited(serve: Serve, dial: Dial) -> None:
    server = serve(limit_concurrency="1")
    connection = dial(to=server)
    first = connection.open(get("/echo", method="POST"), end=False)
    found = connection.request(get())
    assert (found.status, found.value("retry-after")) == (503, "1")
    connection.data(first, b"1", end=True)
    assert connection.response(first).body == b"1"


def test_requests_of_a_connection_are_limited(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(limit_keep_alive_requests="3"))
    for _ in range(3):
        assert connection.request(get()).body == b"ok"
    connection.expect_end()
    assert connection.goaways[-1].last_stream == 5


def test_an_idle_connection_is_closed(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(timeout_keep_alive="0.3"))
    assert connection.alive()
    connection.expect_end()


def test_a_silent_client_is_pinged_and_given_up(serve: Serve, dial: Dial) -> None:
    server = serve(h2_ping_interval="0.2", h2_ping_timeout="0.4")
    run = script(server, ("receive",), ("receive",))
    connection = dial(to=server, acknowledges=False)
    connection.open(get(run.target))
    connection.expect_gone()
    assert run.journal()[1] == ("event", {"type": "http.disconnect"})
    connection = dial(to=server)
    stream = connection.open(get(script(server, ("pause", 1.2), *answers()).target))
    assert connection.response(stream).body == b"ok"


def test_the_end_of_the_server(start: Serve) -> None:
    """GOAWAY twice: that the end comes, then what was the last stream; what was begun is served to its end."""
    server = start()
    with HTTP2(server) as connection:
        run = script(server, ("receive",), ("note", "here"), ("wait", "go"), *answers())
        stream = connection.open(get(run.target))
        run.journal(2)
        server.signal(signal.SIGTERM)
        connection.wait(lambda: bool(connection.goaways))
        assert (connection.goaways[0].last_stream, connection.goaways[0].code) == ((1 << 31) - 1, NO_ERROR)
        later = connection.open(get(f"/open/{run.key}.go"))  # may have been on its way
        assert connection.response(later).status == 200
        assert connection.response(stream).body == b"ok"
        connection.expect_end()
        assert connection.goaways[-1].last_stream == later
    server.stop()


# ---- WSGI


@pytest.fixture
def wsgi(serve: Serve) -> Server:
    return serve("wsgi_environ:app", threads="2")


def test_wsgi(wsgi: Server) -> None:
    with HTTP2(wsgi) as connection:
        environ = connection.request(get("/a%20b?c=d", ("cookie", "a=1"), ("cookie", "b=2"))).body.decode()
        assert "HTTP/2.0" in environ
        assert "a=1; b=2" in environ
        assert "/a b" in environ
        for _ in range(20):
            heads = [connection.head(get()) for _ in range(20)]
            connection.send(b"".join(data for _, data in heads))
            assert all(connection.response(stream).status == 200 for stream, _ in heads)
