"""HTTP/2 and WSGI applications: streams of one connection on a few threads."""

import ast
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kit import Serve, Server
from kit.http2 import (
    CANCEL,
    DATA,
    END_STREAM,
    HTTP2,
    INITIAL_WINDOW_SIZE,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    WINDOW_UPDATE,
    frame,
    get,
)
from kit.waiting import until
from wsgi.steps import Gate, answers, closings, generator, said, script, start

PIECE = 16384
MIB = 1 << 20


@pytest.fixture(scope="module")
def loop() -> str:
    """A WSGI worker has none."""
    return "asyncio"


@pytest.fixture(params=[1, 4], ids=["one-thread", "four-threads"])
def threaded(request: pytest.FixtureRequest, serve: Serve) -> Server:
    return serve("wsgi_scripted:app", threads=request.param)


@pytest.fixture
def start_threads() -> Iterator[Serve]:
    """Starts a server of this test alone: its threads have learned nothing yet."""
    with ExitStack() as stack:

        def new(**options: Any) -> Server:
            return stack.enter_context(Server("wsgi_scripted:app", **options))

        yield new


@pytest.fixture
def connection(threaded: Server) -> Iterator[HTTP2]:
    with HTTP2(threaded) as connection:
        yield connection


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Opens at the end, so that a test that failed leaves no waiting thread behind."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def upload(connection: HTTP2, stream: int, data: bytes) -> None:
    """Within the server's windows: it has said that there is room again before each piece."""
    room = [65535, connection.settings[INITIAL_WINDOW_SIZE]]

    def look() -> bool:
        for each in connection.others:
            if each.kind == WINDOW_UPDATE and each.stream in (0, stream):
                room[0 if each.stream == 0 else 1] += int.from_bytes(each.payload, "big")
        connection.others.clear()
        return min(room) >= PIECE

    for at in range(0, len(data), PIECE):
        connection.wait(look)
        part = data[at : at + PIECE]
        connection.data(stream, part, end=at + PIECE >= len(data))
        room[0] -= len(part)
        room[1] -= len(part)


# ---- bodies


@pytest.mark.parametrize("size", [1, PIECE, 200_000, 3 * MIB])
@pytest.mark.parametrize("announced", [True, False], ids=["length", "no-length"])
def test_a_body_both_ways(connection: HTTP2, size: int, announced: bool) -> None:
    data = bytes(number * 7 % 251 for number in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    fields = [("content-length", str(size))] if announced else []
    stream = connection.open(get("/echo", *fields, method="POST"), end=False)
    upload(connection, stream, data)
    assert connection.response(stream).body == data


def test_a_body_of_many_small_frames(connection: HTTP2) -> None:
    stream = connection.open(get("/echo", method="POST"), end=False)
    for at in range(50):
        connection.send(b"".join(frame(DATA, 0, stream, b"a") for _ in range(100)))
        connection.ping(struct.pack(">Q", at))
    connection.data(stream, end=True)
    assert connection.response(stream).body == b"a" * 5000


def test_an_application_is_called_with_the_whole_body(connection: HTTP2, threaded: Server) -> None:
    """A slow upload holds no thread: as many of them as there are, and requests are answered still."""
    slow = [connection.open(get("/echo", method="POST"), end=False) for _ in range(20)]
    for stream in slow:
        connection.data(stream, b"half ")
    for _ in range(5):
        assert connection.request(get()).body == b"ok"
    for stream in slow:
        connection.data(stream, b"%d" % stream, end=True)
    assert all(connection.response(stream).body == b"half %d" % stream for stream in slow)


def test_an_upload_that_is_broken_off_is_never_seen(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, *answers())
    stream = connection.open(get(run.target, method="POST"), end=False)
    connection.data(stream, b"half").reset(stream, CANCEL).ping()
    assert connection.request(get()).body == b"ok"
    assert run.noted() == []


def test_an_upload_that_is_shorter_than_it_said_is_never_seen(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, *answers())
    stream = connection.open(get(run.target, ("content-length", "10"), method="POST"), end=False)
    connection.data(stream, b"half", end=True)
    connection.expect_stream_error(stream, PROTOCOL_ERROR)
    assert run.noted() == []


@pytest.mark.plain
def test_an_upload_whose_client_sends_no_more_is_400_and_499_in_the_log(threaded: Server) -> None:
    """It still reads: FIN closes its half of the connection."""
    run = script(threaded, *answers())
    with HTTP2(threaded) as connection:
        stream = connection.open(get(run.target, method="POST"), end=False)
        connection.data(stream, b"half").ping()
        connection.wire.shutdown(socket.SHUT_WR)
        assert connection.response(stream).status == 400
    logged = re.compile(re.escape(run.key) + r"\S* HTTP/2\.0\" 499 ")
    threaded.stdout.wait(lambda text: logged.search(text) is not None)
    assert run.noted() == []


# ---- the environ


def test_the_environ(serve: Serve) -> None:
    server = serve("wsgi_environ:app", threads=2)
    with HTTP2(server) as connection:
        fields = (("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("content-type", "text/plain"))
        stream = connection.open(get("/a%20b?c=%20", *fields, ("content-length", "4"), method="POST"), end=False)
        connection.data(stream, b"body", end=True)
        _, environ, _ = ast.literal_eval(connection.response(stream).body.decode())
    wanted = {
        "REQUEST_METHOD": "POST",
        "SERVER_PROTOCOL": "HTTP/2.0",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=%20",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "4",
        "HTTP_HOST": "test",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_ONE": "1",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ[name] for name in wanted} == wanted
    assert not [name for name in environ if ":" in name or name.startswith("HTTP_:")]


# ---- answers


def test_pieces_of_a_generator(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, start(), generator(("pieces", 300, 10_000)))
    found = connection.request(get(run.target))
    assert (found.status, found.body, found.value("content-length")) == (200, bytes(3_000_000), None)
    assert closings(run.journal()) == 1


def test_what_write_is_given_comes_before_the_rest(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, start(), ("write", b"one ", b"two "), ("return", [b"three"]))
    assert connection.request(get(run.target)).body == b"one two three"


def test_hints(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, ("hint", [("Link", "</a.css>; rel=preload")]), *answers())
    heads = [dict(head) for head in connection.request(get(run.target)).heads]
    assert [head[":status"] for head in heads] == ["103", "200"]
    assert heads[0]["link"] == "</a.css>; rel=preload"


@pytest.mark.parametrize(
    ("status", "method"), [("200 OK", "HEAD"), ("204 No Content", "GET"), ("205 Reset", "GET"), ("304 Not", "GET")]
)
def test_answers_without_a_body(connection: HTTP2, threaded: Server, status: str, method: str) -> None:
    found = connection.request(get(script(threaded, *answers(status, b"four")).target, method=method))
    assert (found.status, found.body, found.ended) == (int(status[:3]), b"", True)
    assert connection.request(get()).body == b"ok"


def test_fields_of_the_connection_are_left_out(connection: HTTP2, threaded: Server) -> None:
    """PEP 3333 forbids them, or the server takes them for itself; they are never on the wire."""
    fields = [("X-Kept", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    found = connection.request(get(script(threaded, *answers(headers=fields)).target))
    names = [name for name, _ in found.heads[0]]
    assert names.count("set-cookie") == 2
    assert "x-kept" in names
    assert not {"connection", "transfer-encoding", "keep-alive"} & set(names)
    assert all(name == name.lower() for name in names)


def test_it_raises_before_its_answer(connection: HTTP2, threaded: Server) -> None:
    assert connection.request(get(script(threaded, ("raise", "before")).target)).status == 500
    said(threaded, "before")
    assert connection.request(get()).body == b"ok"


def test_it_raises_within_its_answer(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, start(), generator(("yield", b"half"), ("raise", "within")))
    found = connection.request(get(run.target))
    assert (found.status, found.body, found.ended, found.reset) == (200, b"half", False, INTERNAL_ERROR)
    said(threaded, "within")
    assert closings(run.journal()) == 1
    assert connection.request(get()).body == b"ok"


def test_an_answer_shorter_than_it_said(connection: HTTP2, threaded: Server) -> None:
    run = script(threaded, start("200 OK", ("Content-Length", "9")), generator(("yield", b"short")))
    found = connection.request(get(run.target))
    assert (found.body, found.ended, found.reset) == (b"short", False, INTERNAL_ERROR)
    threaded.tracebacks_matter = False
    assert connection.request(get()).body == b"ok"


def test_an_answer_longer_than_it_said(connection: HTTP2, threaded: Server) -> None:
    threaded.tracebacks_matter = False
    run = script(threaded, start("200 OK", ("Content-Length", "2")), generator(("yield", b"long")))
    assert connection.request(get(run.target)).body == b"lo"
    assert connection.request(get()).body == b"ok"


# ---- clients that do not take what they asked for


def test_a_stream_that_is_not_read(serve: Serve) -> None:
    """Its generator waits, with few bytes more than the window; others go on, on the threads that are left."""
    server = serve("wsgi_scripted:app", threads=4)
    with HTTP2(server, (INITIAL_WINDOW_SIZE, 1000), window=False) as connection:
        connection.widen(0, 50 * MIB)
        run = script(server, start(), generator(("pieces", 200, 65_536)))
        slow = connection.open(get(run.target))
        connection.wait(lambda: len(connection.streams[slow].body) == 1000)
        for _ in range(20):
            assert connection.request(get()).body == b"ok"
        assert run.stands_still() < 8 * 65_536
        assert len(connection.streams[slow].body) == 1000
        connection.widen(slow, 20 * MIB)
        assert len(connection.response(slow).body) == 200 * 65_536
        assert closings(run.journal()) == 1


def test_a_stream_that_is_broken_off(connection: HTTP2, threaded: Server) -> None:
    """close() is called, once, and the thread is free again."""
    for _ in range(6):
        run = script(threaded, start(), generator(("endless", 10_000)))
        stream = connection.open(get(run.target))
        while len(connection.streams[stream].body) < 20_000:
            connection.read_frame()
        connection.reset(stream, CANCEL)
        assert closings(run.journal()) == 1
    assert connection.request(get()).body == b"ok"
    assert connection.goaways == []


@pytest.mark.parametrize(("threads", "blocked"), [(2, 1), (2, 2), (4, 3), (4, 4), (4, 12), (8, 7)])
def test_requests_of_one_segment_leave_a_thread_that_leads(
    start_threads: Serve, gate: Gate, threads: int, blocked: int
) -> None:
    """However many calls block at once: PING is answered, and requests are while there is a thread."""
    server = start_threads(threads=threads)
    with HTTP2(server) as connection, HTTP2(server) as other:
        heads = [connection.head(get(script(server, gate.wait, *answers()).target)) for _ in range(blocked)]
        connection.send(b"".join(head for _, head in heads)).ping()
        other.ping()
        if blocked < threads:
            assert other.request(get()).body == b"ok"
            assert connection.request(get()).body == b"ok"
        gate.open()
        assert all(connection.response(stream).body == b"ok" for stream, _ in heads)


@pytest.mark.parametrize("threads", [2, 4])
def test_a_request_that_is_broken_off_while_it_waits_for_a_thread(
    start_threads: Serve, gate: Gate, threads: int
) -> None:
    """It is not begun any more."""
    server = start_threads(threads=threads)
    with HTTP2(server) as connection:
        held = [connection.open(get(script(server, gate.wait, *answers()).target)) for _ in range(threads)]
        connection.ping()
        waiting = script(server, ("note", "begun"), *answers())
        stream = connection.open(get(waiting.target))
        connection.ping(b"it waits").reset(stream, CANCEL).ping(b"it is no")
        gate.open()
        assert all(connection.response(each).body == b"ok" for each in held)
        assert connection.request(get()).body == b"ok"
        assert waiting.noted() == []


def test_a_client_that_leaves_with_all_its_streams(threaded: Server) -> None:
    runs = [script(threaded, start(), generator(("endless", 10_000))) for _ in range(8)]
    with HTTP2(threaded, (INITIAL_WINDOW_SIZE, 1)) as connection:
        for run in runs:
            connection.open(get(run.target))
        first = connection.wait(lambda: any(each.body for each in connection.streams.values())).streams
        assert first
    assert threaded.get("/") == b"ok"
    # What had begun is closed; what still waited for a thread may never begin.
    assert until(lambda: all(closings(run.noted()) == (1 if run.produced() else 0) for run in runs))
    assert closings(runs[0].journal()) == 1


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_an_application_asks_whether_its_client_has_left(threaded: Server, leave: str) -> None:
    run = script(threaded, ("await_departure",), *answers())
    with HTTP2(threaded) as connection:
        mark = len(threaded.stderr.text)
        stream = connection.open(get(run.target))
        threaded.stderr.wait_for("asks", start=mark)
        if leave == "reset":
            connection.reset(stream, CANCEL)
            assert connection.request(get()).body == b"ok"
        connection.client.close()
    assert run.journal()[:2] == [("gone", False), ("gone", True)]


def test_a_connection_that_fails_within_write_holds_no_thread(start_threads: Serve) -> None:
    """Its error is found when GOAWAY is framed, and that is done by write() itself, which looks for room. Nine of
    them, and the eight threads are free."""
    server = start_threads(threads=8)
    run = script(server, start(), ("write_pieces", 3, 100_000))
    for _ in range(9):
        with HTTP2(server) as connection:
            _, head = connection.head(get(run.target))
            connection.send(head + frame(WINDOW_UPDATE, 0, 0, bytes(4)))
            connection.expect_connection_error(PROTOCOL_ERROR)
    together = script(server, ("barrier", "all eight", 8), *answers())
    with HTTP2(server) as connection:
        streams = [connection.open(get(together.target)) for _ in range(8)]
        assert [connection.response(stream).status for stream in streams] == [200] * 8
    assert until(lambda: sum(note[0] == "end" for note in run.noted()) == 9)
    server.tracebacks_matter = False


def test_write_on_the_only_thread_ends_with_its_window(start_threads: Serve) -> None:
    """Whatever else the client sends: the time in which nothing of the answer leaves is bounded."""
    server = start_threads(threads=1, timeout_write=1)
    run = script(server, start(), ("write_until_refused", 100_000))
    with HTTP2(server, window=False) as connection:
        connection.open(get(run.target))
        pinged = 0
        while not any(stream.over for stream in connection.streams.values()):
            connection.ping(struct.pack(">Q", pinged))
            pinged += 1
            connection.client.readable(0.02)  # no flood
    assert server.get("/") == b"ok"
    assert run.journal()[0][1][0] == "ClientDisconnected"


def test_many_streams_on_few_threads(connection: HTTP2) -> None:
    for _ in range(10):
        heads = [connection.head(get("/echo", method="POST"), end=False) for _ in range(100)]
        connection.send(b"".join(head + frame(DATA, END_STREAM, stream, b"%d" % stream) for stream, head in heads))
        assert all(connection.response(stream).body == b"%d" % stream for stream, _ in heads)
