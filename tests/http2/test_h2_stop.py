"""A server that stops, and HTTP/2: what was begun comes to its end, what comes too late is not begun."""

import signal
import threading

import pytest

from kit import Serve, Server, script
from kit.http2 import CANCEL, GOAWAY, HTTP2, NO_ERROR, PREFACE, REFUSED_STREAM, Ended, get, settings
from kit.script import answers, body
from kit.script import start as begins
from kit.waiting import PATIENCE, Stopwatch
from kit.websocket import CLOSE, FIN, close_payload
from kit.websocket import frame as websocket_frame

NEWEST = (1 << 31) - 1


def said_goodbye(connection: HTTP2) -> None:
    """Reads until the second GOAWAY."""
    connection.wait(lambda: len(connection.goaways) == 2)
    first, last = connection.goaways
    assert (first.last_stream, first.code, last.code) == (NEWEST, NO_ERROR, NO_ERROR)


def test_an_idle_connection(start: Serve) -> None:
    server = start()
    with HTTP2(server) as connection, HTTP2(server) as used:
        used.request(get())
        connection.ping()
        server.signal(signal.SIGTERM)
        for each, last in ((connection, 0), (used, 1)):
            said_goodbye(each)
            each.expect_end()
            assert each.goaways[-1].last_stream == last
    assert server.wait() == 0


def test_an_upload_and_a_download_under_way(start: Serve) -> None:
    server = start()
    with HTTP2(server) as connection:
        run = script(server, begins(), ("pieces", 1, 50_000, False), ("say", "half"), ("wait", "go"), body(b"rest"))
        download = connection.open(get(run.target))
        upload = connection.open(get("/echo", method="POST"), end=False)
        connection.data(upload, b"a" * 1000).ping()
        server.stderr.wait_for("half")
        server.signal(signal.SIGTERM)
        connection.wait(lambda: bool(connection.goaways))
        opening = connection.open(get(f"/open/{run.key}.go"))
        connection.data(upload, b"b" * 1000, end=True)
        assert connection.response(upload).body == b"a" * 1000 + b"b" * 1000
        assert connection.response(download).body == bytes(50_000) + b"rest"
        assert connection.response(opening).body == b"open"
        connection.expect_end()
    assert server.wait() == 0


def test_an_answered_request_holds_nothing_up(start: Serve) -> None:
    """The rest of its body is nobody's: the stream can be broken off without an error (RFC 9113 section 8.1)."""
    server = start()
    with HTTP2(server) as connection:
        stream = connection.open(get(method="POST"), end=False)
        assert connection.response(stream).body == b"ok"
        server.signal(signal.SIGTERM)
        connection.expect_end()
        assert connection.streams[stream].reset in (None, NO_ERROR)
    assert server.wait() == 0


def test_a_request_after_the_last_goaway_is_not_begun(start: Serve) -> None:
    """The client may ask for it again elsewhere (RFC 9113 section 6.8); what is under way goes on beside it."""
    server = start()
    with HTTP2(server) as connection:
        upload = connection.open(get("/echo", method="POST"), end=False)
        connection.ping()
        server.signal(signal.SIGTERM)
        said_goodbye(connection)
        assert connection.goaways[-1].last_stream == upload
        late = connection.open(get(script(server, ("say", "it has begun"), *answers()).target))
        connection.data(upload, b"whole", end=True)
        assert connection.response(upload).body == b"whole"
        connection.expect_end()
        assert connection.streams[late].heads == []
        assert connection.streams[late].reset in (None, REFUSED_STREAM)
    assert server.wait() == 0
    assert "it has begun" not in server.stderr.text


def test_a_connection_whose_preface_comes_while_the_server_stops(start: Serve) -> None:
    """It had been accepted: its first request is served, and it is told at once that the end comes."""
    server = start()
    with HTTP2(server) as holds, HTTP2(server, preface=False) as late:
        upload = holds.open(get("/echo", method="POST"), end=False)
        holds.ping()
        late.send(PREFACE[:5])
        assert server.get("/") == b"ok"
        server.signal(signal.SIGTERM)
        holds.wait(lambda: bool(holds.goaways))
        late.send(PREFACE[5:] + settings() + late.head(get())[1])
        assert late.response(1).body == b"ok"
        assert late.goaways
        late.expect_end()
        holds.data(upload, end=True).response(upload)
        holds.expect_end()
    assert server.wait() == 0


def test_what_does_not_end_is_told_and_then_cancelled(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=1)
    with HTTP2(server) as connection:
        run = script(server, ("body",), ("hold", "request"))
        stream = connection.open(get(run.target))
        quick = connection.open(get("/echo", method="POST"), end=False)
        server.stderr.wait_for("request waits")
        watch = Stopwatch()
        server.signal(signal.SIGTERM)
        connection.data(quick, b"quick", end=True)
        assert connection.response(quick).body == b"quick"
        server.stderr.wait_for("request was told http.disconnect")
        server.stderr.wait_for("request was cancelled")
        assert watch.elapsed() > 0.9
        assert watch.charged() < 4
        connection.expect_end()
        assert connection.streams[stream].over
        assert connection.streams[stream].status == 503
        assert connection.streams[stream].value("retry-after") == "1"
    assert server.wait() == 0


def test_a_websocket_is_told(start: Serve) -> None:
    server = start(ws_drain_timeout=0.2)
    with HTTP2(server) as connection:
        pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/echo")]
        stream = connection.open([*pseudo, (":authority", "test"), ("sec-websocket-version", "13")], end=False)
        connection.wait(lambda: bool(connection.streams[stream].heads))
        server.signal(signal.SIGTERM)
        close = bytes([FIN | CLOSE, 17]) + close_payload(1012, "service restart")
        connection.wait(lambda: len(connection.streams[stream].body) >= len(close))
        assert connection.streams[stream].body == close
        connection.data(stream, websocket_frame(FIN | CLOSE, close_payload(1012)), end=True)
        assert connection.response(stream).ended
        connection.expect_end()
    assert server.wait() == 0


def test_a_stream_that_is_broken_off_while_the_server_stops(start: Serve) -> None:
    server = start()
    with HTTP2(server) as connection:
        run = script(server, ("receive",), ("say", "waits"), ("say_received", "request"))
        stream = connection.open(get(run.target))
        server.stderr.wait_for("waits")
        server.signal(signal.SIGTERM)
        connection.wait(lambda: bool(connection.goaways))
        connection.reset(stream, CANCEL)
        server.stderr.wait_for("request http.disconnect")
        connection.expect_end()
    assert server.wait() == 0


def test_a_client_that_leaves_while_the_server_stops(start: Serve) -> None:
    server = start()
    with HTTP2(server) as connection:
        run = script(server, ("receive",), ("say", "waits"), ("say_received", "request"))
        connection.open(get(run.target))
        server.stderr.wait_for("waits")
        server.signal(signal.SIGTERM)
        connection.wait(lambda: bool(connection.goaways))
        connection.client.reset()
        server.stderr.wait_for("request http.disconnect")
    assert server.wait() == 0


class Load(threading.Thread):
    """Ten requests at a time on one connection until the server says goodbye; counts what was lost."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.connection = HTTP2(server)
        self.asked: list[int] = []
        self.started = threading.Event()
        self.ended = False

    def run(self) -> None:
        connection = self.connection
        try:
            while not connection.goaways:
                heads = [connection.head(get("/echo", method="POST"), end=False) for _ in range(10)]
                self.asked += [stream for stream, _ in heads]
                connection.send(b"".join(head for _, head in heads))
                for stream, _ in heads:
                    connection.data(stream, b"%d" % stream, end=True)
                while not all(connection.streams[stream].over for stream, _ in heads):
                    connection.read_frame()
                self.started.set()
            while True:
                connection.read_frame()
        except (Ended, OSError):
            self.ended = True

    def lost(self) -> list[int]:
        """What the server said it would answer, and did not."""
        last = self.connection.goaways[-1].last_stream
        found = self.connection.streams
        return [each for each in self.asked if each <= last and found[each].body != b"%d" % each]


@pytest.mark.parametrize("secure", [False, True], ids=["cleartext", "tls"])
def test_a_stop_under_load_loses_nothing(start: Serve, secure: bool) -> None:
    server = start(secure=secure)
    loads = [Load(server) for _ in range(6)]
    for load in loads:
        load.start()
    try:
        assert all(load.started.wait(PATIENCE) for load in loads)
        server.signal(signal.SIGTERM)
        for load in loads:
            load.join(PATIENCE)
        assert all(load.ended for load in loads)
        assert [load.lost() for load in loads] == [[]] * 6
        assert all(load.connection.goaways[-1].kind == GOAWAY for load in loads)
        assert all(len(load.connection.goaways) == 2 for load in loads)
    finally:
        for load in loads:
            load.connection.client.close()
    assert server.wait() == 0
