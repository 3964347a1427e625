"""Threads: who waits for whom, and who does not (PEP 3333 "Thread Support")."""

import ast
import re
import selectors
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from kit import BrokenAnswer, Client, Serve, Server, request
from kit.load import others_are_served
from kit.waiting import Stopwatch
from wsgi.steps import Gate, answers, closings, generator, said, script, start

pytestmark = pytest.mark.alone

MEBIBYTE = 1 << 20
KERNEL = 16 * MEBIBYTE
"""More than the socket buffers of both ends can hold together."""

PROMPT = 0.4
"""Seconds that an answer may take which waits for nothing; the machine may be busy."""


def literal(server: Server, target: str) -> Any:
    return ast.literal_eval(server.get(target).decode())


@contextmanager
def connections(server: Server, count: int, receive_buffer: int | None = None) -> Iterator[list[Client]]:
    clients = [server.connect(receive_buffer=receive_buffer) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


# ---- the application's own threads


@pytest.mark.alone(measures=True)
def test_background_thread_runs_while_the_server_is_idle(server: Server) -> None:
    """Nobody waits for events with the GIL held."""
    assert server.get("/reset") == b"ticks"
    with server.connect() as silent:
        assert not silent.readable(0.4)
    ticks, gap = literal(server, "/ticker")
    assert ticks > 20
    assert gap < 0.25


@pytest.mark.alone(measures=True)
def test_background_thread_runs_while_the_server_is_busy(server: Server) -> None:
    """As often as Python itself lets threads take turns, or nearly."""
    assert server.get("/reset") == b"ticks"
    with server.connect() as client:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.4:
            client.send(request("/") * 50)
            assert [client.answer().body for _ in range(50)] == [b"ok"] * 50
    ticks, gap = literal(server, "/ticker")
    assert ticks > 5
    assert gap < 0.25


@pytest.mark.alone(measures=True)
def test_background_thread_runs_while_a_client_stalls(server: Server) -> None:
    """Also while write() waits for a client, if there is only one thread."""
    run = script(server, start(), ("write_pieces", 60, 100_000))
    assert server.get("/reset") == b"ticks"
    with server.connect(receive_buffer=4096) as client, server.connect() as silent:
        client.send(run.request())
        assert not silent.readable(0.3)
        assert len(client.answer().body) == 6_000_000
    assert literal(server, "/ticker")[1] < 0.25


# ---- how many at once


def test_blocking_calls_run_at_the_same_time(eight: Server) -> None:
    """Eight calls wait for one another; seven alone would wait for ever."""
    for number in range(3):
        run = script(eight, ("barrier", f"eight-{number}", 8), *answers())
        with connections(eight, 8) as clients:
            for client in clients:
                client.send(run.request())
            for client in clients:
                assert client.answer().body == b"ok"


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_no_more_calls_at_once_than_threads(serve_threads: Serve, gate: Gate, threads: int) -> None:
    server = serve_threads(threads=threads)
    server.get("/peak")
    mark = len(server.stderr.text)
    run = script(server, ("inside", ("say", "inside")), ("inside", gate.wait), *answers())
    with connections(server, 12) as clients:
        for client in clients:
            client.send(run.request())
        server.stderr.wait(lambda text: text.count("inside\n") >= threads, start=mark)
        assert not any(client.readable(0.02) for client in clients)
        assert server.stderr.text[mark:].count("inside\n") == threads
        gate.open()
        for client in clients:
            assert client.answer().body == b"ok"
    assert literal(server, "/peak") == threads


def test_blocking_generators_run_at_the_same_time(eight: Server) -> None:
    run = script(eight, start(), generator(("yield", b"a"), ("barrier", "generators", 8), ("yield", b"b")))
    with connections(eight, 8) as clients:
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert client.answer().body == b"ab"


def test_calls_that_sleep_are_called_at_once(serve_threads: Serve) -> None:
    """With as many clients as threads: whoever comes out of a call leads on, and the watch, which looks once a
    millisecond, need not take the lead from anybody. What a busy machine adds comes to some rounds and not to all."""
    server = serve_threads(threads=64)
    assert any(late_answers(server, request("/nap"), 64) < 0.06 for _ in range(20))


def late_answers(server: Server, asked: bytes, connections: int, rounds: int = 60) -> float:
    """Which part of the answers comes more than 0.6 ms after the median. A connection that is answered asks again."""
    begun: dict[Client, float] = {}
    times: list[float] = []
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        for _ in range(connections):
            client = stack.enter_context(server.connect())
            ready.register(client.socket, selectors.EVENT_READ, client)
            begun[client] = time.monotonic()
            client.send(asked)
        while len(times) < connections * rounds:
            for key, _ in ready.select():
                client = key.data
                assert client.answer().status == 200
                now = time.monotonic()
                times.append(now - begun[client])
                begun[client] = now
                client.send(asked)
    middle = median(times)
    return sum(each > middle + 0.0006 for each in times) / len(times)


@pytest.mark.parametrize("calls", [1, 7])
def test_slow_calls_do_not_delay_others(eight: Server, gate: Gate, calls: int) -> None:
    """However many threads they hold, as long as there is one more."""
    run = script(eight, ("note", "waits"), gate.wait, *answers())
    with connections(eight, calls) as clients:
        for client in clients:
            client.send(run.request())
        run.journal(calls)
        with others_are_served(eight, PROMPT):
            for _ in range(50):
                assert eight.get("/") == b"ok"
        gate.open()
        for client in clients:
            assert client.answer().body == b"ok"


def test_sudden_slow_call_after_many_fast_ones(eight: Server, gate: Gate) -> None:
    """The server has learnt that calls are fast, and then one is not."""
    run = script(eight, gate.wait, *answers())
    with eight.connect() as fast, eight.connect() as slow:
        fast.send(request("/") * 1000)
        assert [fast.answer().body for _ in range(1000)] == [b"ok"] * 1000
        slow.send(run.request())
        watch = Stopwatch()
        for _ in range(20):
            assert fast.exchange(request("/")).body == b"ok"
        assert watch.charged() < PROMPT
        gate.open()
        assert slow.answer().body == b"ok"


def test_pipelined_behind_a_slow_call_keep_their_order(eight: Server, gate: Gate) -> None:
    run = script(eight, gate.wait, *answers(data=b"slow"))
    with eight.connect() as client, eight.connect() as other:
        client.send(run.request() + request("/") * 5)
        for _ in range(10):
            assert other.exchange(request("/")).body == b"ok"
        assert not client.readable()
        gate.open()
        assert [client.answer().body for _ in range(6)] == [b"slow"] + [b"ok"] * 5


def test_load_of_slow_calls_uses_all_threads(eight: Server) -> None:
    """Forty calls of 50 ms on eight threads: five rounds, not forty."""
    run = script(eight, ("pause", 0.05), *answers())
    with connections(eight, 40) as clients:
        watch = Stopwatch()
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert client.answer().body == b"ok"
        assert watch.charged() < 1.2


# ---- which threads


def test_fast_calls_stay_in_one_thread_mostly(serve_threads: Serve) -> None:
    """No hand-over for what is quickly done."""
    server = serve_threads(threads=8)
    with server.connect() as client:
        for _ in range(10):  # after slow calls of other tests
            client.send(request("/thread") * 100)
            names = [client.answer().body for _ in range(100)]
        for _ in range(5):
            names += [client.exchange(request("/thread")).body for _ in range(100)]
    changes = sum(before != after for before, after in pairwise(names))
    assert changes < len(names) / 10


def test_threads_have_names(server: Server, threads: int) -> None:
    """fastserve-1, fastserve-2, and so on; a single one is the main thread."""
    run = script(server, ("thread",), ("pause", 0.02), *answers())
    with connections(server, 16) as clients:
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert client.answer().body == b"ok"
    names = {note[0] for note in run.journal() if note[0] != "end"}
    if threads == 1:
        assert names == {"MainThread"}
    else:
        assert len(names) > 1
        assert names <= {f"fastserve-{number}" for number in range(1, threads + 2)}


def test_there_are_no_more_threads_than_asked_for(server: Server, threads: int) -> None:
    """But one that drives while all others are in the application, and those that run nothing of it."""
    run = script(server, ("pause", 0.01), *answers())
    with connections(server, 30) as clients:
        for client in clients:
            client.send(run.request())
        for client in clients:
            client.answer()
    workers = [name for name in literal(server, "/threads") if re.fullmatch("fastserve-[0-9]+", name)]
    assert len(workers) <= (threads + 1 if threads > 1 else 0)


def test_thread_local_values_persist(server: Server) -> None:
    """Each thread counts its own calls without a gap."""
    run = script(server, ("thread",), ("pause", 0.002), *answers())
    with connections(server, 8) as clients:
        for _ in range(10):
            for client in clients:
                client.send(run.request())
            for client in clients:
                assert client.answer().body == b"ok"
    counts: dict[tuple[str, int], list[int]] = {}
    for name, ident, count in (note for note in run.journal() if note[0] != "end"):
        counts.setdefault((name, ident), []).append(count)
    assert sum(map(len, counts.values())) == 80
    assert len({ident for _, ident in counts}) == len({name for name, _ in counts}) == len(counts)
    for seen in counts.values():
        assert seen == list(range(seen[0], seen[0] + len(seen)))


@pytest.mark.parametrize(("option", "size"), [("256K", 256 << 10), ("1M", 1 << 20)])
def test_thread_stack_size(start_threads: Serve, option: str, size: int) -> None:
    server = start_threads(threads=2, thread_stack_size=option)
    assert size <= literal(server, "/stack") <= size + (64 << 10)


def test_thread_stack_size_is_set_before_anything_runs(start_threads: Serve, threads: int) -> None:
    """And not for the moment in which a thread of the server's starts, where one of the application's may start too."""
    server = start_threads(threads=threads, thread_stack_size="256K")
    assert literal(server, "/default_stack") == 256 << 10
    run = script(server, ("pause", 0.02), *answers())
    with connections(server, 16) as clients:
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert client.answer().body == b"ok"
    assert literal(server, "/default_stack") == 256 << 10


def test_default_thread_stack_size_is_that_of_the_system(eight: Server) -> None:
    assert literal(eight, "/stack") > 1 << 20


# ---- slow readers


@pytest.mark.parametrize("threads", [1, 2])
def test_stalled_readers_of_generators_hold_no_thread(serve_threads: Serve, threads: int) -> None:
    """Ten of them on one thread or two; others are served, and memory is bounded."""
    server = serve_threads(threads=threads)
    runs = [script(server, start(), generator(("endless", 16_384))) for _ in range(10)]
    server.get("/")
    before = server.resident()
    with connections(server, 10, receive_buffer=4096) as clients:
        for client, run in zip(clients, runs, strict=True):
            client.send(run.request())
        for run in runs:
            assert run.stands_still() < KERNEL
        with others_are_served(server, PROMPT):
            for _ in range(50):
                assert server.get("/") == b"ok"
        assert server.resident() - before < 5 * MEBIBYTE
    for run in runs:
        assert closings(run.journal()) == 1


@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
def test_endless_generator_does_not_grow_memory(server: Server, size: int) -> None:
    """A client that does not read, and then does: it goes on."""
    for _ in range(2):
        warm_up = script(server, start(), generator(("endless", size)))
        with server.connect(receive_buffer=4096) as client:
            client.send(warm_up.request())
            warm_up.stands_still()
        warm_up.journal()
    before = server.resident()
    run = script(server, start(), generator(("endless", size)))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        produced = run.stands_still()
        assert produced < KERNEL
        assert server.resident() - before < MEBIBYTE + 2 * size
        got = 0
        while got < produced + 2 * MEBIBYTE:
            got += len(client.socket.recv(65_536))
        assert run.produced() > produced
        assert server.resident() - before < MEBIBYTE + 2 * size
    assert closings(run.journal()) == 1


def test_stalled_readers_of_written_answers_do_not_delay_others(eight: Server) -> None:
    """write() waits, as nothing else is possible; the other threads serve."""
    runs = [script(eight, start(), ("write_until_refused", 50_000)) for _ in range(3)]
    with connections(eight, 3, receive_buffer=4096) as clients:
        for client, run in zip(clients, runs, strict=True):
            client.send(run.request())
        for run in runs:
            assert run.stands_still() < KERNEL
        with others_are_served(eight, PROMPT):
            for _ in range(50):
                assert eight.get("/") == b"ok"
    for run in runs:
        assert "ConnectionResetError" in run.journal()[-2][1]


def test_write_of_several_threads_of_the_application(server: Server, threads: int) -> None:
    """All of them wait for the one slow client, and all go on."""
    run = script(server, start(), ("write_in_threads", 3, 30, 50_000), ("write", b"end"))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        if threads > 1:
            run.stands_still()
        assert client.answer().body == bytes(4_500_000) + b"end"
        assert client.exchange(request("/")).body == b"ok"


def test_write_of_a_thread_beside_a_generator(server: Server) -> None:
    """It goes on while the generator waits for the same client, in no thread, and while that waits for the thread."""
    run = script(server, start(), ("write_behind", 20, 50_000), generator(("pieces", 30, 50_000), ("join_behind",)))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        run.stands_still()
        assert len(client.answer().body) == 50 * 50_000
        assert client.exchange(request("/")).body == b"ok"


def test_write_waits_by_itself_where_nobody_else_drives(start_threads: Serve) -> None:
    """Both threads are in write(), and a third, which would drive meanwhile, cannot be started. The one that found that
    out sees to its own client, and so does the other, as soon as it has noticed."""
    server = start_threads(threads=2)
    assert server.get("/") == b"ok"
    with server.connect() as client:
        assert client.exchange(script(server, ("no_more_threads",), *answers()).request()).body == b"ok"
    run = script(server, start(), ("write_pieces", 50, 100_000), ("write", b"end"))
    with connections(server, 2, receive_buffer=4096) as (first, second):
        first.send(run.request())
        run.stands_still()
        second.send(run.request())
        server.stderr.wait_for("a thread cannot be started")
        for client in (first, second):
            assert client.answer().body == bytes(5_000_000) + b"end"
    assert server.get("/") == b"ok"
    assert server.stderr.text.count("a thread cannot be started") == 1


# ---- deadlines


SECONDS = 0.5


def test_call_that_is_overdue_is_504(serve: Serve, threads: int) -> None:
    """With the request and the stack of its thread in the log; what it answers later goes nowhere."""
    server = serve(timeout_request=SECONDS)
    run = script(server, ("pause", 1.2), ("say", "is back"), *answers(data=b"late"))
    with server.connect() as client:
        watch = Stopwatch()
        if threads > 1:
            with others_are_served(server, PROMPT):
                answer = client.exchange(run.request())
        else:
            answer = client.exchange(run.request())
        assert watch.elapsed() >= SECONDS - 0.1
        assert watch.charged() < 1.1
        assert answer.status == 504
        assert b"late" not in answer.body
        server.stderr.wait(lambda _: "is back" in server.stderr_of_this_test())
        assert client.gone() if answer.closes else client.exchange(request("/")).body == b"ok"
    log = said(server, "did not answer within 0.5 seconds", "GET /run/" + run.key, "do_pause")
    assert log.count("did not answer") == 1
    assert run.journal() == [("end", None)]
    assert server.get("/") == b"ok"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("timeout_response_idle", "did not go on with its answer within 0.5 seconds"),
        ("timeout_response", "did not complete its answer within 0.5 seconds"),
    ],
)
def test_overdue_after_the_head_breaks_the_answer(serve: Serve, option: str, text: str) -> None:
    server = serve(**{option: SECONDS})
    run = script(server, start(), generator(("yield", b"one"), ("pause", 1.2), ("say", "is back"), ("yield", b"two")))
    with server.connect() as client:
        watch = Stopwatch()
        with pytest.raises(BrokenAnswer) as broken:
            client.exchange(run.request())
        assert watch.charged() < 1.1
        assert b"one" in broken.value.seen
        assert client.gone()
    said(server, text, "GET /run/" + run.key, "do_pause")
    server.stderr.wait(lambda _: "is back" in server.stderr_of_this_test())
    assert closings(run.journal()) == 1


def test_answer_that_has_begun_is_in_time(serve: Serve) -> None:
    server = serve(timeout_request=SECONDS)
    run = script(server, start(), generator(("yield", b"one"), ("pause", 1.0), ("yield", b"two")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"onetwo"
    assert "did not" not in server.stderr_of_this_test()


def test_slow_reader_is_the_clients_time(serve: Serve) -> None:
    """Of the iterable, and of write()."""
    server = serve(timeout_request=SECONDS, timeout_response=SECONDS, timeout_response_idle=SECONDS)
    iterated = script(server, start(), generator(("pieces", 20, 1_000_000)))
    written = script(server, start(), ("write_pieces", 20, 1_000_000))
    for run in (iterated, written):
        with server.connect(receive_buffer=65536) as client:
            client.send(run.request())
            time.sleep(1.2)  # this client is slow: that is its part
            assert len(client.answer().body) == 20_000_000
    assert "did not" not in server.stderr_of_this_test()


def test_request_that_waits_for_a_thread_too_long_is_503(serve_threads: Serve) -> None:
    """It never reaches the application."""
    server = serve_threads(threads=2, timeout_request=SECONDS)
    slow = script(server, ("pause", 1.5), ("say", "is back"), *answers())
    waiting = script(server, *answers())
    with connections(server, 3) as (first, second, third):
        for client in (first, second):
            client.send(slow.request())
        answer = third.exchange(waiting.request())
        assert answer.status == 503
        assert first.answer().status == second.answer().status == 504
    server.stderr.wait(lambda _: server.stderr_of_this_test().count("is back") == 2)
    assert not waiting.noted()
    said(server, "did not answer within 0.5 seconds", "GET /run/" + slow.key, "GET /run/" + waiting.key)


def test_threads_are_whole_again_after_overdue_calls(serve_threads: Serve) -> None:
    """Those that came back late serve as before."""
    server = serve_threads(threads=2, timeout_request=SECONDS)
    slow = script(server, ("pause", 1.0), ("say", "is back"), *answers())
    with connections(server, 2) as clients:
        for client in clients:
            client.send(slow.request())
        assert [client.answer().status for client in clients] == [504, 504]
    server.stderr.wait(lambda _: server.stderr_of_this_test().count("is back") == 2)
    both = script(server, ("barrier", "both", 2), *answers())
    with connections(server, 2) as clients:
        for client in clients:
            client.send(both.request())
        assert [client.answer().status for client in clients] == [200, 200]
    server.tracebacks_matter = False


def test_answer_in_time_is_not_disturbed(serve: Serve) -> None:
    server = serve(timeout_request=SECONDS)
    run = script(server, ("pause", 0.2), start(), generator(("yield", b"a"), ("yield", b"b")))
    with server.connect() as client:
        for _ in range(3):
            assert client.exchange(run.request()).body == b"ab"
        assert not client.readable(0.4)
        assert client.exchange(request("/")).body == b"ok"
    assert "did not answer" not in server.stderr_of_this_test()
