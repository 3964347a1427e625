"""What the owner of a driver can ask of it: listeners that come and go, and descriptors of others."""

import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastserve import _core
from kit import Client, request
from kit.driving import KINDS, Driving, listener
from kit.waiting import PATIENCE, until


def asleep(thread: threading.Thread) -> bool:
    """Whether it waits in the kernel."""
    state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "S"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def driving(kind: str) -> Iterator[Driving]:
    with Driving(kind) as driving:
        yield driving


@pytest.fixture
def listening(driving: Driving) -> Iterator[socket.socket]:
    with listener() as made:
        driving.do(lambda: driving.driver.add_listener(made.fileno()))
        yield made


def served(address: tuple[str, int]) -> bool:
    with Client(address) as client:
        return client.exchange(request("/")).body == b"hello"


# ---- descriptors of others


def test_a_watched_descriptor_calls_back_while_it_is_readable(driving: Driving) -> None:
    ours, theirs = socket.socketpair()
    seen: list[tuple[bytes, int]] = []

    def read() -> None:
        seen.append((theirs.recv(1), threading.get_ident()))

    with ours, theirs:
        driving.do(lambda: driving.driver.watch(theirs.fileno(), read))
        ours.sendall(b"abc")
        assert until(lambda: len(seen) == 3)
        assert b"".join(byte for byte, _ in seen) == b"abc"
        assert threading.get_ident() not in {thread for _, thread in seen}
        driving.do(lambda: driving.driver.unwatch(theirs.fileno()))
        ours.sendall(b"d")
        driving.do(lambda: None)
        driving.do(lambda: None)
        assert len(seen) == 3
        assert theirs.recv(1) == b"d", "the descriptor was its owner's all the time"


def test_a_watched_descriptor_tells_of_its_end(driving: Driving) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ended = threading.Event()

    def read() -> None:
        assert theirs.recv(1) == b""
        driving.driver.unwatch(theirs.fileno())
        ended.set()

    with theirs:
        driving.do(lambda: driving.driver.watch(theirs.fileno(), read))
        ours.close()
        assert ended.wait(PATIENCE)


def test_what_a_watch_raises_is_logged_and_the_rest_goes_on(
    driving: Driving, listening: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = socket.socketpair()
    calls: list[bytes] = []

    def fail() -> None:
        calls.append(theirs.recv(1))
        raise LookupError("not there")

    with ours, theirs, caplog.at_level(logging.CRITICAL):
        driving.do(lambda: driving.driver.watch(theirs.fileno(), fail))
        ours.sendall(b"ab")
        assert until(lambda: len(calls) == 2)
        assert served(listening.getsockname())
        driving.do(lambda: driving.driver.unwatch(theirs.fileno()))
    assert caplog.text.count("LookupError: not there") == 2


def test_a_watch_may_stop_the_driver_among_its_connections(driving: Driving, listening: socket.socket) -> None:
    """Its callback runs where the driver is not at work: it may close connections whose turn came in the same batch."""
    ours, theirs = socket.socketpair()
    idle = threading.Event()

    def stop() -> None:
        theirs.recv(1)
        driving.driver.unwatch(theirs.fileno())
        driving.driver.stop_listening()
        driving.driver.drain(0)
        driving.driver.drop_connections()
        driving.driver.when_idle(idle.set)

    with ours, theirs, Client(listening.getsockname()) as client:
        driving.do(lambda: driving.driver.watch(theirs.fileno(), stop))
        assert client.exchange(request("/")).body == b"hello"

        def both() -> None:
            client.send(request("/"))
            ours.sendall(b"x")

        driving.do(both)
        assert idle.wait(PATIENCE)
        assert client.gone()
    assert driving.do(lambda: driving.driver.connections) == 0


def test_watching_is_refused_where_it_makes_no_sense(driving: Driving) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        driving.do(lambda: driving.driver.watch(ours.fileno(), lambda: None))
        with pytest.raises(FileExistsError):
            driving.do(lambda: driving.driver.watch(ours.fileno(), lambda: None))
        driving.do(lambda: driving.driver.unwatch(ours.fileno()))
        with pytest.raises(ValueError, match=f"descriptor {ours.fileno()} is not watched"):
            driving.do(lambda: driving.driver.unwatch(ours.fileno()))
        with pytest.raises(ValueError, match="is not watched as a listener"):
            driving.do(lambda: driving.driver.remove_listener(ours.fileno()))
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        driving.do(lambda: driving.driver.watch(read, lambda: None))


# ---- listeners


def test_a_removed_listener_leaves_nobody_waiting(driving: Driving, listening: socket.socket) -> None:
    """Those that came before are served, those that come after stay in the socket's queue for the next who takes it."""
    address = listening.getsockname()
    before: list[Client] = []

    def remove() -> None:
        before.extend(Client(address) for _ in range(40))
        driving.driver.remove_listener(listening.fileno())

    driving.do(remove)
    assert driving.do(lambda: driving.driver.connections) == 40
    for client in before:
        with client:
            assert client.exchange(request("/")).body == b"hello"
    with Client(address) as late:
        late.send(request("/"))
        assert select.select([listening], [], [], 10)[0]
        assert until(lambda: driving.do(lambda: driving.driver.connections) == 0)
        assert not late.readable()
        driving.do(lambda: driving.driver.add_listener(listening.fileno()))
        assert late.answer().body == b"hello"


def test_stop_listening_takes_all_that_wait(kind: str) -> None:
    """Also more of them than a turn's share."""
    with Driving(kind) as driving, listener(backlog=400) as listening:
        address = listening.getsockname()
        clients: list[socket.socket] = []

        def stop() -> None:
            driving.driver.add_listener(listening.fileno())
            clients.extend(socket.create_connection(address, PATIENCE) for _ in range(300))
            driving.driver.stop_listening()

        driving.do(stop)
        for client in clients:
            with client:
                client.sendall(request("/"))
                assert client.recv(65536).endswith(b"hello")


def test_what_a_sibling_was_woken_for_and_did_not_take_is_taken(kind: str) -> None:
    """The kernel wakes one of those that wait for a shared socket, in the order in which they came to watch it."""
    woken: list[tuple[int, int]] = []
    with Driving(kind) as driving, listener() as listening, select.epoll() as sibling:
        sibling.register(listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        driving.do(lambda: driving.driver.add_listener(listening.fileno(), shared=True))
        thread = threading.Thread(target=lambda: woken.extend(sibling.poll(10)))
        thread.start()
        assert until(lambda: asleep(thread))
        with Client(listening.getsockname()) as client:
            thread.join()
            assert woken == [(listening.fileno(), select.EPOLLIN)]
            client.send(request("/"))
            driving.do(driving.driver.accept_waiting)
            assert driving.do(lambda: driving.driver.connections) == 1
            assert client.answer().body == b"hello"


def test_accept_waiting_takes_more_than_a_turns_share(kind: str) -> None:
    with Driving(kind) as driving, listener(backlog=400) as listening:
        clients: list[socket.socket] = []

        def fill() -> tuple[int, int]:
            driving.driver.add_listener(listening.fileno())
            clients.extend(socket.create_connection(listening.getsockname(), PATIENCE) for _ in range(300))
            before = driving.driver.connections
            driving.driver.accept_waiting()
            return before, driving.driver.connections

        assert driving.do(fill) == (0, 300)
        for client in clients:
            client.close()


def test_a_listener_that_was_closed_under_the_driver_is_forgotten_once(
    driving: Driving, listening: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with listener() as other:
        driving.do(lambda: driving.driver.add_listener(other.fileno()))

        def stop() -> None:
            listening.close()
            driving.driver.stop_listening()
            driving.driver.add_listener(other.fileno())

        driving.do(stop)
        assert served(other.getsockname())
    assert caplog.text.count("a listening socket is gone") == 1


def test_wsgi_multiprocess_is_what_the_interface_was_told() -> None:
    told: list[bool] = []

    def app(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
        told.append(bool(environ["wsgi.multiprocess"]))
        start_response("200 OK", [])
        return [b"hello"]

    for multiprocess in (False, True):
        wsgi = _core.WSGI(app, threads=1, watched=False, multiprocess=multiprocess)
        driver = _core.Driver(wsgi, logger=logging.getLogger("driving"))
        ours, theirs = socket.socketpair()
        with ours:
            driver.adopt(theirs.detach())
            thread = threading.Thread(target=wsgi.serve)
            thread.start()
            ours.settimeout(PATIENCE)
            ours.sendall(request("/"))
            assert ours.recv(65536).endswith(b"hello")
            wsgi.halt()
            thread.join(PATIENCE)
            driver.close()
    assert told == [False, True]
