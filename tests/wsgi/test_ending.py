"""How requests, clients and the whole server end, and what they leave behind: nothing."""

import ast
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import Client, Serve, Server, request
from kit.load import Load
from kit.script import Step
from kit.waiting import Stopwatch, until
from wsgi.steps import Gate, answers, closings, cut_off, generator, script, start

STOPS = [signal.SIGTERM, signal.SIGINT]


# ---- the server's end


@pytest.mark.parametrize("number", STOPS)
def test_idle_server_stops_with_status_0(start_server: Serve, number: signal.Signals) -> None:
    server = start_server()
    server.get("/")
    watch = Stopwatch()
    server.signal(number)
    assert server.wait() == 0
    assert watch.charged() < 3


@pytest.mark.plain
@pytest.mark.parametrize("connections", [1, 16])
def test_sigterm_under_load_loses_nothing(start_server: Serve, connections: int) -> None:
    """Each client is told by Connection: close."""
    server = start_server()
    load = Load(server.address, connections)
    load.start()
    load.wait_for_answers(300)
    server.signal(signal.SIGTERM)
    tally = load.join()
    assert not tally.lost
    assert tally.said_close == connections - tally.late
    assert server.wait() == 0


@pytest.mark.plain
def test_sigterm_under_load_of_slow_requests_loses_nothing(start_server: Serve) -> None:
    """With bodies in both directions, and more requests than threads."""
    server = start_server(body_buffer_size=5000)
    run = script(server, ("input", [["read"]]), ("pause", 0.004), start(), generator(("pieces", 10, 5000)))
    load = Load(server.address, 16, run.request(method="POST", body=bytes(10_000)))
    load.start()
    load.wait_for_answers(50)
    server.signal(signal.SIGTERM)
    tally = load.join()
    assert not tally.lost
    assert tally.said_close == 16 - tally.late
    assert server.wait() == 0


def test_call_in_flight_is_answered(start_server: Serve, gate: Gate, threads: int) -> None:
    """A server with one thread hears of the stop only when the call is over; its connection lasts a moment longer."""
    server = start_server()
    run = script(server, ("say", "waits"), gate.wait, *answers(data=b"in time"))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("waits")
        server.signal(signal.SIGTERM)
        if threads > 1:
            assert server.refuses_connections()
        gate.open()
        answer = client.answer()
        assert answer.body == b"in time"
        assert answer.closes or threads == 1
        assert client.closed()
    assert server.wait() == 0


def test_generator_in_flight_comes_to_its_end(start_server: Serve, gate: Gate) -> None:
    server = start_server()
    steps = [("yield", b"a"), gate.wait, ("yield", b"b"), ("pieces", 100, 1000)]
    run = script(server, start(), generator(*steps, closing=[("say", "closed")]))
    with server.connect() as client:
        assert client.send(run.request()).receive_once().endswith(b"1\r\na\r\n")
        server.signal(signal.SIGTERM)
        gate.open()
        rest = client.rest()
        assert rest.startswith(b"1\r\nb\r\n")
        assert rest.endswith(b"\r\n0\r\n\r\n")
        assert rest.count(b"3e8\r\n") == 100
    assert server.wait() == 0
    assert server.stderr.text.count("closed\n") == 1


def test_body_in_flight_is_taken(start_server: Serve) -> None:
    """A request was accepted when its head had come; the application is called after the stop began."""
    server = start_server()
    run = script(server, ("input", [["read"]]), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert client.answer().status == 100
        server.signal(signal.SIGTERM)
        assert server.refuses_connections()
        answer = client.exchange(b"abc")
        assert (answer.body, answer.closes) == (b"ok", True)
    assert server.wait() == 0


def test_pipelined_requests_are_all_answered(start_server: Serve, gate: Gate) -> None:
    server = start_server()
    run = script(server, ("say", "waits"), gate.wait, *answers())
    with server.connect() as client:
        client.send(run.request() + request("/") * 3)
        server.stderr.wait_for("waits")
        server.signal(signal.SIGTERM)
        gate.open()
        assert [client.answer().body for _ in range(4)] == [b"ok"] * 4
        assert client.gone()
    assert server.wait() == 0


def test_requests_that_wait_for_a_thread_are_answered(start_server: Serve, gate: Gate, threads: int) -> None:
    """All threads are taken, others wait, then comes SIGTERM."""
    server = start_server()
    run = script(server, ("say", "waits"), gate.wait, *answers())
    clients = [server.connect() for _ in range(threads + 5)]
    try:
        for client in clients:
            client.send(run.request())
        server.stderr.wait(lambda text: text.count("waits\n") == threads)
        server.signal(signal.SIGTERM)
        gate.open()
        for client in clients:
            assert client.answer().body == b"ok"
    finally:
        for client in clients:
            client.close()
    assert server.wait() == 0


def test_call_that_never_ends(start_server: Serve) -> None:
    """Logged with its method and path, its connection broken, and the exit status says so."""
    server = start_server(timeout_graceful_shutdown=0.6)
    run = script(server, ("say", "holds"), ("hold",))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("holds")
        watch = Stopwatch()
        server.signal(signal.SIGTERM)
        assert server.wait() == 3
        assert watch.elapsed() > 0.5
        assert watch.charged() < 4
        if server.options.get("threads") != 1:  # else the thread that hangs is the one that would answer
            assert client.answer().status == 503
        assert client.gone()
    assert f"GET /run/{run.key}" in server.stderr.text


def test_generator_that_never_ends(start_server: Serve) -> None:
    """The same between two pieces of an answer."""
    server = start_server(timeout_graceful_shutdown=0.6)
    run = script(server, start(), generator(("yield", b"tick"), ("hold",)))
    with server.connect() as client:
        assert b"tick" in client.send(run.request()).receive_once()
        server.signal(signal.SIGTERM)
        assert not cut_off(client).endswith(b"0\r\n\r\n")
    assert server.wait() == 3
    assert f"GET /run/{run.key}" in server.stderr.text


def test_generator_of_a_stalled_reader_is_closed_at_the_end(start_server: Serve) -> None:
    """It is not inside the application, so it can be ended tidily."""
    server = start_server(timeout_graceful_shutdown=0.6)
    run = script(server, start(), generator(("endless", 10_000), closing=[("say", "closed")]))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        run.stands_still()
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("closed\n")
        assert not cut_off(client).endswith(b"0\r\n\r\n")
    server.wait()
    assert server.stderr.text.count("closed\n") == 1


@pytest.mark.parametrize("stuck", [False, True], ids=["idle", "stuck"])
def test_second_sigint_ends_at_once(start_server: Serve, stuck: bool) -> None:
    """Whatever the application does, and however long the graceful time is."""
    server = start_server(timeout_graceful_shutdown=60)
    held = script(server, ("say", "holds"), ("hold",))
    with server.connect() as client:
        client.send(held.request() if stuck else request("/echo", "Content-Length: 1", method="POST"))
        if stuck:
            server.stderr.wait_for("holds")
        else:
            server.get("/")
        server.signal(signal.SIGINT)
        assert not client.readable(0.3)  # also so that the second signal does not come together with the first
        assert server.process.poll() is None
        watch = Stopwatch()
        server.signal(signal.SIGINT)
        server.wait()
        assert watch.charged() < 5
        assert client.gone()


def test_lifespan_is_no_matter_of_wsgi(start_server: Serve) -> None:
    """--lifespan on is an error that is said at the start, off is nothing."""
    server = start_server(lifespan="off")
    assert server.get("/") == b"ok"
    wrong = start_server(lifespan="on", listens=False)
    assert wrong.wait() not in (0, None)
    assert "lifespan" in wrong.stderr.text


# ---- the clients' ends


def tasks(server: Server) -> int:
    return sum(1 for _ in Path(f"/proc/{server.pid}/task").iterdir())


class Balance:
    """What a server has: descriptors, live objects of the compiled core, threads."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # Of the request that asks; another thread may not have come to the end of the one before it yet.
        assert until(lambda: self.live().get("exchanges", 1) == 1)
        self.descriptors = server.descriptors()
        self.ledger = self.live()

    def live(self) -> dict[str, int]:
        counts: dict[str, int] = ast.literal_eval(self.server.get("/ledger").decode())
        return counts

    def check(self, threads: int) -> None:
        assert until(lambda: self.live() == self.ledger), (self.live(), self.ledger)
        assert until(lambda: self.server.descriptors() <= self.descriptors)
        # The threads that serve, one that drives meanwhile, the main thread, the watch, and the application's ticker.
        assert tasks(self.server) <= threads + 4
        assert self.server.get("/") == b"ok"


def stages(server: Server) -> dict[str, script]:
    """Runs at which a client may go away: what is sent, and where the application then is."""
    path = Path(__file__)
    wrapped: Step = ("file", "buffered", str(path))
    return {
        "call": script(server, ("pause", 0.003), *answers()),
        "first piece": script(server, start(), generator(("pause", 0.003), ("yield", b"a"), ("yield", b"b"))),
        "generator": script(server, start(), generator(("endless", 20_000))),
        "write": script(server, start(), ("write_until_refused", 20_000)),
        "file": script(server, start(), wrapped),
        "file that is read": script(server, start(), ("file", "memory", bytes(1000)), ("wrapped_again",)),
        "close": script(server, start(), generator(("yield", b"a"), closing=[("pause", 0.003)])),
        "fast": script(server, *answers()),
    }


PREFIXES = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "half a body": request("/echo", "Content-Length: 100", method="POST") + b"abc",
    "half a large body": request("/echo", "Content-Length: 9000000", method="POST") + bytes(100_000),
    "half a chunk": request("/echo", "Transfer-Encoding: chunked", method="POST") + b"20\r\nabc",
    "bad request": b"GET / HTTP/1.1\r\n\r\n",
    "pipelined": request("/") * 5,
}


def test_clients_that_abort_at_every_stage_leave_nothing(start_server: Serve, threads: int, tmp_path: Path) -> None:
    """By RST and by FIN, having read something or not."""
    server = start_server(access_log=False, body_buffer_size=50_000, environment={"TMPDIR": str(tmp_path)})
    randomness = random.Random(3)
    kinds = [*PREFIXES.values(), *[run.request() for run in stages(server).values()]]

    def abort(data: bytes) -> None:
        client = server.connect(receive_buffer=4096)
        client.send(data)
        if randomness.random() < 0.3:
            client.readable(0.01)
        client.reset() if randomness.random() < 0.7 else client.close()

    for data in kinds * 2:
        abort(data)
    server.get("/")
    balance = Balance(server)
    for _ in range(200):
        abort(randomness.choice(kinds))
    balance.check(threads)
    assert not list(tmp_path.iterdir())
    server.tracebacks_matter = False  # what an application that writes sees as ClientDisconnected is its own to catch


FAILURES: dict[str, Callable[[], list[Step]]] = {
    "call": lambda: [("raise", "call")],
    "after start_response": lambda: [start(), ("raise", "started")],
    "after write": lambda: [start(), ("write", b"a"), ("raise", "written")],
    "first piece": lambda: [start(), generator(("raise", "first"))],
    "later piece": lambda: [start(), generator(("yield", b"a"), ("raise", "later"))],
    "close": lambda: [start(), generator(("yield", b"a"), closing=[("raise", "close")])],
    "both": lambda: [start(), generator(("yield", b"a"), ("raise", "later"), closing=[("raise", "close")])],
    "exit": lambda: [("exit", "exit")],
    "no start_response": lambda: [("return", [b"a"])],
    "no bytes": lambda: [start(), ("return", ["a", "b"])],
    "too long": lambda: [start("200 OK", ("Content-Length", "1")), ("return", [b"ab"])],
    "too short": lambda: [start("200 OK", ("Content-Length", "3")), generator(("yield", b"ab"))],
    "bad header": lambda: [start("200 OK", ("X Bad", "b"))],
    "gone file": lambda: [start(), ("file", "buffered", "/nonexistent")],
}


CLOSED = {"first piece", "later piece", "close", "both", "too short"}


def test_exceptions_at_every_stage_leave_nothing(start_server: Serve, threads: int) -> None:
    server = start_server(access_log=False)
    runs = [script(server, *steps()) for steps in FAILURES.values()]

    def fail(body: bytes) -> None:
        for run in runs:
            with server.connect() as client:
                client.send(run.request("Connection: close", method="POST", body=body))
                cut_off(client)

    fail(b"a")
    balance = Balance(server)
    for _ in range(10):
        fail(b"a")
    balance.check(threads)
    for name, run in zip(FAILURES, runs, strict=True):
        assert closings(run.noted()) == (11 if name in CLOSED else 0), name
    server.tracebacks_matter = False


def test_connections_are_served_after_failures(server: Server) -> None:
    """On the same connection, where the answer was a whole 500."""
    server.tracebacks_matter = False
    run = script(server, ("raise", "again"))
    with server.connect() as client:
        for _ in range(20):
            answer = client.exchange(run.request())
            assert answer.status == 500
            if answer.closes:
                client.close()
                client = server.connect()
            assert client.exchange(request("/")).body == b"ok"
        client.close()


def test_hundreds_of_connections(start_server: Serve, threads: int) -> None:
    """Each gets its answer, and the threads are no more than before."""
    server = start_server(access_log=False)
    server.get("/")
    balance = Balance(server)
    clients: list[Client] = []
    try:
        clients += [server.connect() for _ in range(400)]
        for client in clients:
            client.send(request("/"))
        for client in clients:
            assert client.answer().body == b"ok"
    finally:
        for client in clients:
            client.close()
    balance.check(threads)
