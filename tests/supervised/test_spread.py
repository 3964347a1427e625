"""Connections are spread by what workers have to do: a busy one hands over what it accepts, and nothing is lost."""

import os
import re
import selectors
import signal
import socket
import statistics
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from kit.answer import Reader
from kit.certificates import shared
from kit.client import Client
from kit.script import request
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write, amount
from supervised.supervised import Load, Supervised, acquainted, listening

APPLICATION = """
import os, sys, time

def answer(path, client, server, scheme):
    if path == "/block":
        sys.stderr.write("in the application\\n")
        time.sleep(2)
    if path == "/work":
        time.sleep(0.005)
    return f"{os.getpid()} {client} {server} {scheme}".encode()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    client, server = ("%s:%s" % tuple(scope[each] or ("", "")) for each in ("client", "server"))
    body = answer(scope["path"], client, server, scope["scheme"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def wsgi(environ, start_response):
    client, server = ("%s:%s" % (environ[each + "_ADDR"], environ.get(each + "_PORT")) for each in ("REMOTE",) * 2)
    server = "%(SERVER_NAME)s:%(SERVER_PORT)s" % environ
    body = answer(environ["PATH_INFO"], client, server, environ["wsgi.url_scheme"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""

SOURCE = "127.77.0.1"
"""Nobody else's connections come from there: its ports are free."""

KINDS = [
    ("served:app", "--loop", "asyncio"),
    ("served:app", "--loop", "uvloop"),
    ("served:wsgi", "--threads", "1"),
    ("served:wsgi", "--threads", "8"),
]

ADMIN = ("--admin", "unix:admin.sock")


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def start(supervise: Supervise, *options: str) -> tuple[Supervised, int, int]:
    """Two workers that serve, none of them for the other."""
    supervised = supervise(*options, "--workers", "2", *ADMIN)
    workers = supervised.wait_for_workers(2)
    assert until(lambda: all(len(listening(pid)) == 1 for pid in workers.values()))
    assert "--no-balance-connections" in options or until(lambda: acquainted(workers.values()))
    return supervised, workers[0], workers[1]


def scale_up(supervised: Supervised) -> None:
    """One worker more, which has nothing to do yet."""
    workers = supervised.signal(signal.SIGTTIN).wait_for_workers(2)
    assert until(lambda: acquainted(workers.values()))


class FromPort(Client):
    """A connection from a port of SOURCE, 0 for any; its end is a reset, so that the port can be used again at once."""

    def __init__(self, port: int, to: int) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.bind((SOURCE, port))
        self.socket.connect(("127.0.0.1", to))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(lambda: self.socket.recv(1 << 16))


def ports(supervised: Supervised, wanted: dict[int, int]) -> dict[int, list[int]]:
    """As many source ports as wanted of each worker, whose connections the kernel gives to it: it hashes addresses."""
    found: dict[int, list[int]] = {pid: [] for pid in wanted}

    def enough() -> bool:
        with FromPort(0, supervised.port) as client:
            pid, port = int(client.exchange(request("/")).body.split()[0]), client.port
        if port not in found[pid]:
            found[pid].append(port)
        return all(len(found[pid]) >= count for pid, count in wanted.items())

    assert until(enough)
    assert until(lambda: not any(each["connections"] for each in supervised.seen()))
    return {pid: found[pid][:count] for pid, count in wanted.items()}


@contextmanager
def connected(supervised: Supervised, chosen: Sequence[int]) -> Iterator[list[FromPort]]:
    with ExitStack() as stack:
        yield [stack.enter_context(FromPort(port, supervised.port)) for port in chosen]


def metric(supervised: Supervised, name: str) -> int:
    text = supervised.admin("/metrics").body.decode()
    (value,) = re.findall(rf"^fastserve_{name}_total (\S+)$", text, re.MULTILINE)
    return int(float(value))


@pytest.mark.parametrize("options", KINDS)
def test_a_busier_worker_hands_over_what_it_accepts(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised, one, other = start(supervise, *options)
    chosen = ports(supervised, {one: 50, other: 14})
    with connected(supervised, [*chosen[other], *chosen[one]]) as clients:
        answers = [client.exchange(request("/")).body.decode() for client in clients]
        # It is the connection that it was: from the same client, to the same address.
        for client, body in zip(clients, answers, strict=True):
            assert body.split()[1:] == [f"{SOURCE}:{client.port}", f"127.0.0.1:{supervised.port}", "http"]
        share = Counter(int(body.split()[0]) for body in answers)
        assert share[one] + share[other] == 64
        assert min(share.values()) >= 25, share  # what is on its way counts until it is known to have come
        assert {each["pid"]: each["connections"] for each in supervised.seen()} == share
        handed = metric(supervised, "connections_handed_over")
        assert handed == metric(supervised, "connections_taken_over") >= 11
        assert {client.exchange(request("/")).status for client in clients} == {200}
    assert until(lambda: not any(each["connections"] for each in supervised.seen()))
    assert supervised.stop() == 0


@pytest.mark.alone
@pytest.mark.parametrize("options", KINDS[1:3])
def test_connections_that_go_soon_are_left_where_they_are(supervise: Supervise, options: tuple[str, ...]) -> None:
    """A burst of clients that ask once makes a worker look busy for a moment: handing over would be for nothing."""
    supervised, _, _ = start(supervise, *options)
    with Load(supervised.address, 64) as load:
        assert until(lambda: metric(supervised, "connections_accepted") > 5000)
        load.end_without_loss()
    assert metric(supervised, "connections_handed_over") < metric(supervised, "connections_accepted") / 4


def test_it_can_be_turned_off(supervise: Supervise) -> None:
    supervised, one, other = start(supervise, "served:app", "--no-balance-connections")
    chosen = ports(supervised, {one: 20, other: 1})
    with connected(supervised, chosen[one]) as clients:
        assert {int(client.exchange(request("/")).body.split()[0]) for client in clients} == {one}
        assert metric(supervised, "connections_handed_over") == 0


def test_tls_is_spoken_by_whoever_gets_it(supervise: Supervise) -> None:
    certificate, key = shared().standing()
    supervised = supervise(
        *("served:app", "--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), *ADMIN),
        *("--insecure-bind", "127.0.0.2:0"),
        listens=False,
    )
    secure = int(supervised.log.wait_for_match(re.compile(r"listening on https://127.0.0.1:(\d+)\n"))[1])
    plain = int(supervised.log.wait_for_match(re.compile(r"listening on http://127.0.0.2:(\d+)\n"))[1])
    supervised.wait_for_workers(1)
    with ExitStack() as stack:
        for _ in range(24):
            stack.enter_context(Client(("127.0.0.2", plain))).exchange(request("/"))
        scale_up(supervised)
        context = shared().context()
        schemes = set()
        for _ in range(12):
            one = stack.enter_context(Client(("127.0.0.1", secure), context=context))
            other = stack.enter_context(Client(("127.0.0.2", plain)))
            schemes.add(("secure", one.exchange(request("/")).body.split()[-1]))
            schemes.add(("plain", other.exchange(request("/")).body.split()[-1]))
        assert schemes == {("secure", b"https"), ("plain", b"http")}
        assert metric(supervised, "connections_handed_over") > 0
        share = [each["connections"] for each in supervised.seen()]
        assert sum(share) == 48
        assert min(share) >= 16, share


@pytest.mark.parametrize("options", KINDS)
def test_a_unix_socket_that_all_share(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised = supervise(*options, "--uds", "app.sock", *ADMIN)
    supervised.wait_for_workers(1)
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(supervised.connect()).exchange(request("/"))
        scale_up(supervised)
        for _ in range(40):
            stack.enter_context(supervised.connect()).exchange(request("/"))
        share = {each["slot"]: each["connections"] for each in supervised.seen()}
        assert sum(share.values()) == 80
        assert share[1] >= 33, share


@pytest.mark.alone
@pytest.mark.parametrize("options", KINDS[1:3])
def test_a_worker_that_hangs_keeps_nothing(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised, one, other = start(supervise, *options)
    chosen = ports(supervised, {one: 40, other: 1})
    with connected(supervised, chosen[other]) as (blocked,), connected(supervised, chosen[one][:20]) as clients:
        for client in clients:
            client.exchange(request("/"))
        blocked.send(request("/block"))
        supervised.log.wait_for("in the application\n")
        # At first it looks as if it had little to do.
        with connected(supervised, chosen[one][20:]) as new:
            for client in new:
                client.send(request("/"))
            assert {int(client.answer().body.split()[0]) for client in new} == {one}
            assert not blocked.readable(), "they have waited for the one that hangs"
        assert blocked.answer().status == 200


@pytest.mark.parametrize("options", KINDS[1:3])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGCONT])
def test_what_lies_in_a_mailbox_is_not_lost_with_its_worker(
    supervise: Supervise, options: tuple[str, ...], number: signal.Signals
) -> None:
    supervised, one, other = start(supervise, *options)
    chosen = ports(supervised, {one: 40, other: 1})
    rounds = 0

    def look() -> bool:
        """Whether it was tried often enough, and not only when it was too late to hand anything over."""
        nonlocal rounds
        rounds += 1
        return rounds > amount(3, 6) and metric(supervised, "connections_handed_over") > 0

    while not look():
        assert rounds < 100
        os.kill(other, signal.SIGSTOP)  # it looks idle: connections are still handed over to it
        with connected(supervised, chosen[one]) as clients:
            for client in clients:
                client.send(request("/"))
            os.kill(other, number)
            if number != signal.SIGKILL:
                os.kill(other, signal.SIGCONT)
            assert {client.answer().status for client in clients} == {200}
        if number != signal.SIGCONT:
            assert until(lambda old=other: supervised.workers("serving").get(1) not in (None, old))  # type: ignore[misc]
        other = supervised.wait_for_workers(2)[1]
        assert until(lambda: not any(each["connections"] for each in supervised.seen()))
    assert metric(supervised, "connections_taken_over") == metric(supervised, "connections_handed_over")


@pytest.mark.parametrize("options", [KINDS[1], KINDS[3]])
def test_reloads_under_load_lose_nothing(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised = supervise(*options, "--workers", "3", *ADMIN)
    supervised.wait_for_workers(3)
    with Load(supervised.address, 48, "/work") as load:
        for count in range(1, amount(5, 20) + 1):
            supervised.signal(signal.SIGHUP)
            assert until(lambda count=count: supervised.log.text.count("reloaded") == count)  # type: ignore[misc]
        supervised.signal(signal.SIGTTOU)
        supervised.wait_for_workers(2)
        supervised.signal(signal.SIGTTIN)
        supervised.wait_for_workers(3)
        load.end_without_loss()
    handed = metric(supervised, "connections_handed_over")
    assert handed > 0
    assert until(lambda: metric(supervised, "connections_taken_over") == handed)
    assert supervised.stop() == 0


@pytest.mark.parametrize("options", [KINDS[1], KINDS[2]])
def test_the_slowest_are_as_slow_as_with_an_even_spread(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised, one, other = start(supervise, *options)
    chosen = ports(supervised, {one: 50, other: 32})
    even = _slowest(supervised, chosen[one][:32] + chosen[other])
    uneven = _slowest(supervised, chosen[one] + chosen[other][:14])
    assert uneven <= 1.3 * even, (uneven, even)


def _slowest(supervised: Supervised, chosen: Sequence[int], requests: int = 20) -> float:
    """The 99th percentile of how long requests of 5 ms wait for their answer where as many connections ask at once: in
    answers that their worker has sent meanwhile, since seconds would be those of all that the machine does."""
    waited, seconds, served = [], [], Counter[int]()
    with connected(supervised, chosen) as clients, selectors.DefaultSelector() as selector:
        workers = {client: int(client.exchange(request("/")).body.split()[0]) for client in clients}
        left = dict.fromkeys(clients, requests)
        begun = {client: (0, time.monotonic()) for client in clients}
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(request("/work"))
        while left:
            for key, _ in selector.select(PATIENCE):
                client, worker = key.data, workers[key.data]
                client.answer()
                served[worker] += 1
                waited.append(served[worker] - begun[client][0])
                seconds.append(time.monotonic() - begun[client][1])
                left[client] -= 1
                if left[client]:
                    begun[client] = served[worker], time.monotonic()
                    client.send(request("/work"))
                else:
                    del left[client]
                    selector.unregister(client.socket)
    assert until(lambda: not any(each["connections"] for each in supervised.seen()))
    print(f"p99: {_p99(waited):.0f} answers, {_p99(seconds) * 1000:.0f} ms; {Counter(workers.values())}")
    return _p99(waited)


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
