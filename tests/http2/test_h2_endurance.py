"""Clients of HTTP/2 that do anything in any order, and leave at any time: others are served, and nothing is left."""

import ast
import random
import signal
import struct
from collections.abc import Callable

import pytest

from http2.test_extended_connect import connect
from kit import Serve, Server, script
from kit.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    HTTP2,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Ended,
    frame,
    get,
    settings,
)
from kit.script import body
from kit.script import start as begins
from kit.waiting import until
from kit.websocket import BINARY, CLOSE, FIN, TEXT, close_payload
from kit.websocket import frame as websocket_frame
from supervised.conftest import amount
from wsgi.steps import generator
from wsgi.steps import start as wsgi_begins

MEBIBYTE = 1 << 20


def ledger(server: Server) -> dict[str, int]:
    counts: dict[str, int] = ast.literal_eval(server.get("/ledger").decode())
    return counts


class Wanderer:
    """A client that does one thing after another by chance: what is right nearly always, so that it gets far."""

    def __init__(self, server: Server, targets: list[str], seed: int, tunnels: bool) -> None:
        self.random = random.Random(seed)
        self.targets = targets
        window = self.random.choice([0, 1, 1000, 65535, MEBIBYTE])
        self.connection = HTTP2(server, (INITIAL_WINDOW_SIZE, window), window=self.random.random() < 0.5)
        self.sending: list[int] = []
        self.begun: list[int] = []
        self.sockets: list[int] = []
        self.steps = 0
        self.actions: list[Callable[[], bytes]] = [
            *[self.begin] * 8,
            *[self.upload] * 8,
            *[self.break_off] * 3,
            *[self.widen] * 6,
            *([self.tunnel, self.message, self.message, self.close] if tunnels else []),
            self.ping,
            self.change,
            self.trailers,
            self.prioritize,
        ]

    def wander(self, steps: int) -> None:
        """Some steps in one segment, and a look at what came as a rule; then it leaves, in one way or another."""
        try:
            while self.steps < steps:
                count = self.random.randint(1, 12)
                self.connection.send(b"".join(self.random.choice(self.actions)() for _ in range(count)))
                self.steps += count
                self.look(self.random.choice([0, 20, 200]))
            if self.random.random() < 0.3:
                self.connection.send(self.garbage())
        except (Ended, AssertionError, ConnectionError):
            self.connection.client.close()
            return
        if self.random.random() < 0.5:
            self.connection.client.reset()
        else:
            self.connection.client.close()

    def look(self, most: int) -> None:
        """Some of the answers have no end."""
        while most and self.connection.client.readable():
            self.connection.read_frame()
            most -= 1

    def begin(self) -> bytes:
        if sum(not self.connection.streams[stream].over for stream in self.begun) > 100:
            return self.break_off()
        end = self.random.random() < 0.6
        fields = get(self.random.choice(self.targets), method="GET" if end else "POST")
        stream, head = self.connection.head(fields, end=end)
        self.begun.append(stream)
        if not end:
            self.sending.append(stream)
        return head

    def tunnel(self) -> bytes:
        stream, head = self.connection.head(connect(), end=False)
        self.begun.append(stream)
        self.sockets.append(stream)
        return head

    def accepted(self) -> list[int]:
        found = self.connection.streams
        return [stream for stream in self.sockets if found[stream].heads and not found[stream].over]

    def message(self) -> bytes:
        if not (accepted := self.accepted()):
            return b""
        data = websocket_frame(FIN | self.random.choice([TEXT, BINARY]), bytes(self.random.choice([0, 10, 1000])))
        cut = self.random.randint(0, len(data))
        stream = self.random.choice(accepted)
        return frame(DATA, 0, stream, data[:cut]) + frame(DATA, 0, stream, data[cut:])

    def close(self) -> bytes:
        if not (accepted := self.accepted()):
            return b""
        stream = self.random.choice(accepted)
        self.sockets.remove(stream)
        return frame(DATA, END_STREAM, stream, websocket_frame(FIN | CLOSE, close_payload(1000)))

    def upload(self) -> bytes:
        if not self.sending:
            return self.begin()
        stream = self.random.choice(self.sending)
        end = self.ended(stream) if self.random.random() < 0.3 else 0
        if self.random.random() < 0.2:
            return frame(DATA, PADDED | end, stream, b"\x03" + bytes(20))
        return frame(DATA, end, stream, bytes(self.random.choice([1, 100, 2000])))

    def ended(self, stream: int) -> int:
        self.sending.remove(stream)
        return END_STREAM

    def trailers(self) -> bytes:
        if not self.sending:
            return b""
        stream = self.random.choice(self.sending)
        block = self.connection.block([("x-late", "1"), *([("connection", "close")] * (self.random.random() < 0.2))])
        return frame(HEADERS, self.ended(stream), stream, block) + frame(CONTINUATION, END_HEADERS, stream, b"")

    def break_off(self) -> bytes:
        if not self.begun:
            return self.begin()
        stream = self.begun.pop(self.random.randrange(len(self.begun)))
        for each in (self.sending, self.sockets):
            if stream in each:
                each.remove(stream)
        return frame(RST_STREAM, 0, stream, struct.pack(">I", self.random.choice([0, 8])))

    def widen(self) -> bytes:
        stream = self.random.choice([0, *self.begun])
        return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", self.random.choice([1, 1000, MEBIBYTE])))

    def ping(self) -> bytes:
        return frame(PING, 0, 0, bytes(8))

    def change(self) -> bytes:
        return settings((INITIAL_WINDOW_SIZE, self.random.choice([0, 10, 65535, MEBIBYTE])))

    def prioritize(self) -> bytes:
        return frame(PRIORITY, 0, self.random.choice([1, *self.begun]), bytes(4) + b"\x01")

    def garbage(self) -> bytes:
        kind = self.random.choice([DATA, HEADERS, SETTINGS, RST_STREAM, 0x77])
        stream = self.random.choice([0, 1, *self.begun])
        return frame(kind, self.random.randrange(256), stream, self.random.randbytes(self.random.randint(0, 40)))


def asgi_targets(server: Server) -> list[str]:
    run = [
        script(server, begins(), ("pieces", 3, 70_000)),
        script(server, ("body",), begins(), body(b"done")),
        script(server, begins(), body(b"a", True), ("body",), body(b"b")),
        script(server, begins(), ("until_refused", 5000)),
        script(server, ("receive",), ("receive",)),
        script(server, ("raise", "on purpose")),
        script(server, begins(), body(b"half", True), ("raise", "on purpose")),
        script(server, ("echo",)),
        script(server, begins(trailers=True), body(b"a"), ("turn", 3), trailers()),
    ]
    return ["/", "/echo", *(each.target for each in run)]


def trailers() -> tuple[str, dict[str, object]]:
    return ("send", {"type": "http.response.trailers", "headers": [(b"x-one", b"1")], "more_trailers": False})


def wsgi_targets(server: Server) -> list[str]:
    run = [
        script(server, wsgi_begins(), generator(("pieces", 10, 20_000))),
        script(server, wsgi_begins(), generator(("endless", 5000))),
        script(server, wsgi_begins(), ("write", b"a" * 1000), ("return", [b"b"])),
        script(server, ("raise", "on purpose")),
        script(server, wsgi_begins(), generator(("yield", b"half"), ("raise", "on purpose"))),
    ]
    return ["/", "/echo", *(each.target for each in run)]


@pytest.mark.alone(measures=True)
@pytest.mark.parametrize("application", ["scripted:app", "wsgi_scripted:app"])
@pytest.mark.parametrize("secure", [False, True], ids=["cleartext", "tls"])
def test_clients_that_do_anything_leave_nothing(start: Serve, application: str, secure: bool) -> None:
    more = {} if application == "scripted:app" else {"threads": 4}
    server = start(application, secure=secure, access_log=False, timeout_request_body=2, timeout_write=2, **more)
    server.tracebacks_matter = False
    asgi = application == "scripted:app"
    targets = asgi_targets(server) if asgi else wsgi_targets(server)

    def crowd(first: int, count: int) -> None:
        far = 0
        for seed in range(first, first + count):
            wanderer = Wanderer(server, targets, seed, tunnels=asgi)
            wanderer.wander(150)
            far += wanderer.steps >= 150
            if seed % 20 == 0:
                with HTTP2(server) as other:
                    assert other.alive()
        assert server.get("/") == b"ok"
        assert far > count * 0.8, "what they do is wrong too early"

    crowd(0, 30)
    assert until(lambda: quiet(server))
    counts, descriptors, memory = ledger(server), server.descriptors(), server.resident()
    crowd(30, amount(60, 4000))
    assert until(lambda: server.descriptors() <= descriptors)
    assert until(lambda: ledger(server) == counts), (ledger(server), counts)
    assert server.resident() - memory < amount(6, 24) * MEBIBYTE
    wrong = [line for line in server.stderr.text.splitlines() if "internal error" in line or "[CRITICAL]" in line]
    assert wrong == []


def quiet(server: Server) -> bool:
    """Nobody is connected but who asks."""
    before = server.descriptors()
    server.get("/")
    return server.descriptors() <= before


@pytest.mark.parametrize("end", [True, False], ids=["get", "post"])
def test_a_client_that_is_gone_before_it_is_heard(start: Serve, end: bool) -> None:
    """The first of its requests finds out within its first step; what follows it is told, or never begun."""
    server = start(access_log=False)
    server.tracebacks_matter = False
    pieces = script(server, begins(), ("pieces", 3, 200_000))
    endless = [script(server, begins(), ("until_refused", 5000)) for _ in range(3)]
    with HTTP2(server) as connection:
        heads = [connection.head(get(pieces.target, method="GET" if end else "POST"), end=end)[1]]
        heads += [connection.head(get(each.target))[1] for each in endless]
        connection.ping()
        server.process.send_signal(signal.SIGSTOP)
        try:
            connection.send(b"".join(heads)).client.reset()
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert server.get("/") == b"ok"
        for each in endless:
            # It was never called, or it has been told.
            assert until(lambda each=each: each.progress()[0] == 0 or each.noted() != [])  # type: ignore[misc]


def objects(server: Server, target: str = "/collected") -> dict[str, int]:
    """Of the compiled core, by kind; after a collection if not by /objects."""
    counts: dict[str, int] = ast.literal_eval(server.get(target).decode())
    return counts


def test_a_stream_that_is_over_before_the_application_is_called_leaves_nothing(start: Serve) -> None:
    """Nor for the garbage collection, which a flood of them would keep at work."""
    server = start(access_log=False)
    with HTTP2(server) as connection:
        for _ in range(5):
            begun = [connection.head(get(method="POST"), end=False) for _ in range(20)]
            connection.send(b"".join(head + frame(RST_STREAM, 0, each, bytes(4)) for each, head in begun))
            assert connection.alive()
        assert objects(server, "/objects")["HTTPExchange"] < 5


@pytest.mark.parametrize("secure", [False, True], ids=["cleartext", "tls"])
@pytest.mark.parametrize("way", ["close", "reset", "goaway", "waiting"])
def test_a_connection_that_is_over_is_no_object_any_more(start: Serve, secure: bool, way: str) -> None:
    server = start(secure=secure, access_log=False)
    server.tracebacks_matter = False
    pieces = script(server, begins(), ("pieces", 3, 70_000))

    def come_and_go() -> None:
        with HTTP2(server, (INITIAL_WINDOW_SIZE, 0 if way == "waiting" else 65535)) as connection:
            assert connection.request(get(method="HEAD")).status == 200
            if way == "waiting":
                connection.open(get(pieces.target))
                connection.ping()
            elif way == "goaway":
                connection.frame(PING, 0, 1, bytes(8)).expect_gone()
            elif way == "reset":
                connection.client.reset()

    come_and_go()
    assert until(lambda: objects(server) == objects(server))
    before = objects(server)
    assert before["Connection"] < 4
    for _ in range(20):
        come_and_go()
    assert until(lambda: objects(server).get("H2Session", 0) <= before.get("H2Session", 0)), objects(server)
    assert until(lambda: objects(server)["Connection"] <= before["Connection"]), objects(server)
