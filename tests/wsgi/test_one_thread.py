"""`--threads 1`: answers leave together, and none waits behind a call that lasts: nobody could lead on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kit import Client, Serve, Server, request
from kit.http2 import HTTP2, get
from kit.waiting import Stopwatch, until
from wsgi.steps import Gate, answers, closings, generator, script, start

pytestmark = pytest.mark.alone

PROMPT = 0.4
"""Seconds in which an answer that is there has left: 10 ms, and more where the machine is busy."""

OK = request("/")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def one(request: pytest.FixtureRequest, start_threads: Serve) -> Server:
    return start_threads(threads=1, secure=request.param)


@contextmanager
def connections(server: Server, count: int) -> Iterator[list[Client]]:
    """That have been served before, one after the other, so that the server has them in its hands."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            clients.append(client := stack.enter_context(server.connect()))
            assert client.exchange(OK).body == b"ok"
        yield clients


def wait_for(client: Client, piece: bytes) -> None:
    """Until this has come of the answer, which is still read as a whole."""
    data = b""
    while piece not in data:
        received = client.receive_once()
        assert received, data
        data += received
    client.reader.buffer = data


@contextmanager
def taken_together(server: Server, gate: Gate) -> Iterator[None]:
    """What is sent within has all arrived when the server looks next: its thread is inside a call meanwhile."""
    run = script(server, start(), generator(("yield", b"begun"), gate.wait))
    with server.connect() as client:
        client.send(run.request())
        wait_for(client, b"begun")
        yield
        gate.open()
        client.answer()


def os_threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


LASTS: list[str] = ["wait", "compute"]


@pytest.mark.parametrize("lasting", LASTS, ids=["sleeps", "computes"])
def test_no_answer_waits_for_the_next_call(one: Server, gate: Gate, tmp_path: Path, lasting: str) -> None:
    """Answers of all kinds, and then a call that lasts, which may itself wait for one of their clients."""
    late = tmp_path / "late"
    quick = [
        answers(),
        [start(), generator(("yield", b"ok"))],
        [start(), ("sized", 1, [b"ok"])],
        [start(), ("write", b"ok")],
    ]
    # A call that computes gives the interpreter away for each record of TLS, after five milliseconds each time.
    runs = [script(one, *steps) for steps in quick * (3 if lasting == "wait" else 1)]
    slow = script(one, (lasting, str(late)), *answers(data=b"slow"))
    with connections(one, len(runs) + 1) as clients:
        with taken_together(one, gate):
            for client, run in zip(clients, [*runs, slow], strict=True):
                client.send(run.request())
        watch = Stopwatch()
        assert [client.answer().body for client in clients[:-1]] == [b"ok"] * len(runs)
        assert watch.charged() < PROMPT
        assert not clients[-1].readable()
        late.touch()
        assert clients[-1].answer().body == b"slow"


@pytest.mark.parametrize("together", [1, 5])
def test_no_answer_waits_for_its_close(one: Server, gate: Gate, tmp_path: Path, together: int) -> None:
    late = tmp_path / "late"
    run = script(one, start(), generator(("yield", b"ok"), closing=[("wait", str(late))]))
    with connections(one, together) as clients:
        with taken_together(one, gate):
            for client in clients:
                client.send(run.request())
        watch = Stopwatch()
        assert clients[0].answer().body == b"ok"
        assert watch.charged() < PROMPT
        late.touch()
        assert [client.answer().body for client in clients[1:]] == [b"ok"] * (together - 1)
    assert until(lambda: closings(run.noted()) == together)


def test_no_piece_waits_for_the_next(one: Server, gate: Gate, tmp_path: Path) -> None:
    late = tmp_path / "late"
    run = script(one, start(), generator(("yield", b"first"), ("wait", str(late)), ("yield", b"second")))
    with connections(one, 3) as clients:
        with taken_together(one, gate):
            for client in clients:
                client.send(run.request())
        watch = Stopwatch()
        wait_for(clients[0], b"first")
        assert watch.charged() < PROMPT
        late.touch()
        assert [client.answer().body for client in clients] == [b"firstsecond"] * 3


def test_no_stream_waits_for_the_next_call(gate: Gate, tmp_path: Path, start_threads: Serve) -> None:
    """HTTP/2: an answer whose connection asks for nothing more."""
    server = start_threads(threads=1)
    late = tmp_path / "late"
    slow = script(server, ("wait", str(late)), *answers())
    with HTTP2(server) as connection, connections(server, 1) as clients:
        assert connection.request(get()).body == b"ok"
        with taken_together(server, gate):
            stream = connection.open(get())
            clients[0].send(slow.request())
        watch = Stopwatch()
        assert connection.response(stream).body == b"ok"
        assert watch.charged() < PROMPT
        late.touch()
        assert clients[0].answer().body == b"ok"


def test_guard_begins_where_answers_wait(gate: Gate, start_threads: Serve) -> None:
    """Who is served one after the other is so by one thread alone. Python does not know the other one."""
    server = start_threads(threads=1)
    run = script(server, start(), generator(("yield", b"ok")))
    with connections(server, 5) as clients:
        for _ in range(20):
            for client in clients:
                assert client.exchange(run.request()).body == b"ok"
        assert os_threads(server) == 1
        with taken_together(server, gate):
            for client in clients:
                client.send(run.request())
        assert [client.answer().body for client in clients] == [b"ok"] * 5
        assert os_threads(server) == 2
    assert server.get("/threads") == b"['MainThread']"
    server.stop()


def test_fork_beside_the_guard(gate: Gate, start_threads: Serve) -> None:
    """What the application forks has no guard, and ends; the server goes on."""
    server = start_threads(threads=1)
    run = script(server, *answers())
    forks = script(server, ("fork",), *answers())
    with connections(server, 4) as clients:
        with taken_together(server, gate):
            for client in clients:
                client.send(run.request())
        assert [client.answer().body for client in clients] == [b"ok"] * 4
        assert os_threads(server) == 2
        for client in clients:
            client.send(forks.request())
        assert [client.answer().body for client in clients] == [b"ok"] * 4
        assert forks.journal(8)[0] == ("forked", 0)
    server.stop()
