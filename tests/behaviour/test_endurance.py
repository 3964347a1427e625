"""Many connections, many aborts, few descriptors; and at the end not one live object too many."""

import ast
import random
import resource
from contextlib import ExitStack

import pytest

from kit import Client, Serve, Server, request, script
from kit.descriptors import affordable
from kit.script import answers, body
from kit.script import start as begin
from kit.waiting import until

MEBIBYTE = 1 << 20


def ledger(server: Server) -> dict[str, int]:
    counts: dict[str, int] = ast.literal_eval(server.get("/ledger").decode())
    return counts


@pytest.mark.alone(measures=True)
def test_ten_thousand_aborted_connections(start: Serve) -> None:
    """Nothing leaks: objects, descriptors, memory."""
    server = start(access_log=False)
    run = script(server, begin(), body(b"a", True), ("until_refused", 1000))
    waiting = script(server, ("body",))
    kinds = [
        b"",
        b"GET / HT",
        request("/"),
        request("/echo", "Content-Length: 100", method="POST") + b"abc",
        request("/") * 5,
        b"GET / HTTP/1.1\r\n\r\n",
        waiting.request(),
        run.request(),
    ]
    randomness = random.Random(2)

    def abort(count: int) -> None:
        for _ in range(count):
            client = server.connect()
            client.send(randomness.choice(kinds))
            if randomness.random() < 0.5:
                client.reset()
            else:
                client.close()

    abort(2000)
    assert server.get("/") == b"ok"
    counts, descriptors, memory = ledger(server), server.descriptors(), server.resident()
    abort(8000)
    assert server.get("/") == b"ok"
    assert until(lambda: ledger(server) == counts), (ledger(server), counts)
    assert until(lambda: server.descriptors() <= descriptors)
    assert server.resident() - memory < 4 * MEBIBYTE
    assert "Traceback" not in server.stderr.text


@pytest.mark.alone(measures=True)
def test_hundred_thousand_requests_leave_nothing(start: Serve) -> None:
    server = start(access_log=False)
    randomness = random.Random(3)

    def ask(rounds: int) -> None:
        with server.connect() as client:
            for _ in range(rounds):
                data = request("/", *[f"X-{n}: {randomness.random()}" for n in range(randomness.randint(0, 5))]) * 50
                cut = randomness.randrange(len(data))
                client.send(data[:cut])
                client.send(data[cut:])
                seen = client.reader.buffer
                while seen.count(b"\r\n\r\nok") < 50:
                    seen += client.receive_once()
                assert seen.count(b"HTTP/1.1 200 OK\r\n") == 50
                assert seen.endswith(b"\r\n\r\nok")

    ask(200)
    counts, memory = ledger(server), server.resident()
    ask(1000)
    assert until(lambda: ledger(server) == counts)
    assert server.resident() - memory < MEBIBYTE


def test_ledger_is_at_zero_at_the_end(start: Serve) -> None:
    """Only in a build that counts (FASTSERVE_DEBUG=1)."""
    from fastserve import _core

    if not _core.DEBUG:
        pytest.skip("this build does not count its live objects")
    server = start("counted:app")
    run = script(server, begin(), body(b"a", True), ("until_refused", 1000))
    for data in (request("/"), b"GET / HT", run.request(), request("/echo", method="POST", body=bytes(100_000)), b"x"):
        with server.connect() as client:
            client.send(data)
            client.readable(0.2)
    with server.connect() as client:
        assert client.exchange(request("/")).body == b"ok"
    server.stop()
    text = server.stderr.wait_for("ledger: ")
    counts = ast.literal_eval(text.partition("ledger: ")[2].partition("\n")[0])
    assert counts
    assert not any(counts.values()), counts


@pytest.mark.alone(measures=True)
def test_running_out_of_descriptors_is_survived(start: Serve) -> None:
    """EMFILE: who is connected is served on, and when descriptors are free again everybody is."""
    server = start(access_log=False)
    with server.connect() as old:
        old.exchange(request("/"))
        used = server.descriptors()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        clients: list[Client] = []
        try:
            clients = [server.connect().send(request("/")) for _ in range(40)]
            for _ in range(50):
                assert old.exchange(request("/")).body == b"ok"
            answered = sum(client.readable(0.05) for client in clients)
            assert answered < 40
            before = cpu(server)
            old.exchange(script(server, ("pause", 0.5), *answers()).request())
            assert cpu(server) - before < 0.25, "it spins while it has no descriptor"
            for client in clients[:20]:
                client.close()
            for client in clients[-5:]:
                client.close()
            waiting = clients[20:-5]
            while waiting:
                each = next((client for client in waiting if client.readable(0.02)), None)
                if each is not None:
                    assert each.answer().body == b"ok"
                    each.close()
                    waiting.remove(each)
        finally:
            for client in clients:
                client.close()
        assert server.get("/") == b"ok"
        assert old.exchange(request("/")).body == b"ok"


def cpu(server: Server) -> float:
    """Seconds of processor time that the server has used."""
    import os
    from pathlib import Path

    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_thousand_connections_at_once(start: Serve) -> None:
    server = start(access_log=False)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(affordable(1000))]
        for client in clients:
            client.send(request("/"))
        for client in clients:
            assert client.answer().body == b"ok"
        for client in clients:
            assert client.exchange(request("/")).body == b"ok"
    assert server.get("/") == b"ok"


@pytest.mark.alone(measures=True)
def test_idle_server_uses_no_processor_time(start: Serve) -> None:
    """Neither timers nor the poller spin, with connections open."""
    server = start()
    with server.connect() as client, server.connect() as silent:
        client.exchange(request("/"))
        before = cpu(server)
        client.exchange(script(server, ("pause", 1.0), *answers()).request())
        assert cpu(server) - before < 0.1
        assert not silent.readable()
