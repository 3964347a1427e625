"""A supervisor's sockets: one a slot that share the connections, steered away before they close, and handed over."""

import errno
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets.listeners import SlotSockets, open_listeners
from kit.waiting import PATIENCE
from unit.sockets.opening import ipv6
from unit.sockets.test_listeners import resolves_to

Open = Callable[..., SlotSockets]

ANY = "127.0.0.1:0"


@pytest.fixture
def opened() -> Iterator[list[SlotSockets]]:
    """Closed afterwards."""
    sockets: list[SlotSockets] = []
    yield sockets
    for each in sockets:
        each.close()


@pytest.fixture
def listen(opened: list[SlotSockets]) -> Open:
    """Opens sockets: listen(slots, *addresses, **options)."""

    def new(slots: int, *bind: str, **options: Any) -> SlotSockets:
        opened.append(SlotSockets.open(Config("a:b", bind=bind or (ANY,), **options), slots))
        return opened[-1]

    return new


@pytest.fixture
def connect() -> Iterator[Callable[..., None]]:
    """Connections that wait to be accepted: connect(place, how many)."""
    with ExitStack() as stack:

        def clients(place: tuple[Any, ...], count: int = 1) -> None:
            for _ in range(count):
                stack.enter_context(socket.create_connection(place[:2], PATIENCE))

        yield clients


def place_of(sockets: SlotSockets) -> tuple[Any, ...]:
    place: tuple[Any, ...] = sockets.of_slot(0)[0].getsockname()
    return place


def accepted(listeners: Sequence[socket.socket]) -> int:
    """How many connections wait now, taken out."""
    count = 0
    for each in listeners:
        while True:
            try:
                each.accept()[0].close()
            except BlockingIOError:
                break
            count += 1
    return count


def waiting(sockets: SlotSockets, total: int) -> list[int]:
    """The connections that wait, by slot, once `total` do."""
    deadline = time.monotonic() + PATIENCE
    while sum(counts := [sockets.waiting(index) for index in range(sockets.slots)]) < total:
        assert time.monotonic() < deadline, f"{counts} of {total}"
        time.sleep(0.001)
    return counts


def spread(sockets: SlotSockets, connect: Callable[..., None], count: int = 200) -> list[int]:
    """How many of `count` new connections come to each slot."""
    connect(place_of(sockets), count)
    counts = waiting(sockets, count)
    assert [accepted(sockets.of_slot(index)) for index in range(sockets.slots)] == counts
    assert waiting(sockets, 0) == [0] * sockets.slots
    return counts


def descriptors() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}


def test_each_slot_has_a_socket_on_the_same_address(listen: Open) -> None:
    sockets = listen(3)
    assert sockets.slots == 3
    each = [sockets.of_slot(index) for index in range(3)]
    assert [len(group) for group in each] == [1, 1, 1]
    assert len({group[0].fileno() for group in each}) == 3
    assert len({group[0].getsockname() for group in each}) == 1
    assert sockets.shared == ()
    assert sockets.addresses == (f"http://127.0.0.1:{place_of(sockets)[1]}",)
    for (listener,) in each:
        assert listener.getblocking() is False
        assert listener.get_inheritable() is False


def test_connections_are_spread_over_the_slots(listen: Open, connect: Callable[..., None]) -> None:
    counts = spread(listen(4), connect)
    assert sum(counts) == 200
    assert min(counts) > 10


def test_steering_sends_new_connections_to_the_first_slots(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(4)
    assert sockets.steer(2)
    first, second, *others = spread(sockets, connect)
    assert min(first, second) > 10
    assert others == [0, 0]
    assert sockets.steer(1)
    assert spread(sockets, connect, 50) == [50, 0, 0, 0]
    sockets.unsteer()
    assert min(spread(sockets, connect)) > 10
    sockets.unsteer()


def test_steering_reaches_every_address(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(2, ANY, "127.0.0.2:0")
    assert sockets.steer(1)
    for listener in sockets.of_slot(0):
        connect(listener.getsockname(), 30)
    assert waiting(sockets, 60) == [60, 0]


def test_one_slot_needs_no_steering(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(1)
    assert sockets.steer(1)
    sockets.unsteer()
    assert spread(sockets, connect, 10) == [10]


def test_a_kernel_that_cannot_steer(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = listen(2)
    monkeypatch.setattr("fastserve.sockets.reuseport.available", lambda: False)
    assert sockets.steer(1) is False
    sockets.unsteer()


def test_a_group_that_shrank_to_one_is_unsteered_too(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(2)
    assert sockets.steer(1)
    sockets.close_slot(1)
    sockets.unsteer()
    sockets.add_slot()
    assert min(spread(sockets, connect)) > 10


def test_an_added_slot_gets_its_share(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(1)
    assert sockets.add_slot() == 1
    assert sockets.add_slot() == 2
    assert sockets.slots == 3
    assert min(spread(sockets, connect)) > 10


def test_an_added_slot_of_a_steered_group_gets_nothing(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(2)
    assert sockets.steer(2)
    sockets.add_slot()
    assert spread(sockets, connect)[2] == 0


def test_a_slot_that_is_steered_away_from_closes_without_loss(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(4)
    place = place_of(sockets)
    connect(place, 100)
    before = waiting(sockets, 100)
    assert before[3] > 0
    assert sockets.steer(3)
    connect(place, 100)
    after = waiting(sockets, 200)
    assert after[3] == before[3]
    assert accepted(sockets.of_slot(3)) == before[3]
    sockets.close_slot(3)
    sockets.unsteer()
    assert sockets.slots == 3
    assert sockets.of_slot(3) == ()
    connect(place, 100)
    assert sum(waiting(sockets, 300 - before[3])) == 300 - before[3]
    assert sockets.steer(2)  # the first ones are the same as before
    now = waiting(sockets, 0)
    connect(place, 50)
    assert waiting(sockets, sum(now) + 50)[2] == now[2]


def test_only_the_last_slot_closes_and_never_the_only_one(listen: Open) -> None:
    sockets = listen(2)
    with pytest.raises(ValueError, match="slot 0 of 2"):
        sockets.close_slot(0)
    sockets.close_slot(1)
    with pytest.raises(ValueError, match="slot 0 of 1"):
        sockets.close_slot(0)


def test_addresses_of_a_name_have_one_port_in_all_slots(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    sockets = listen(2, "several.test:0")
    places = [[each.getsockname() for each in sockets.of_slot(index)] for index in range(2)]
    assert places[0] == places[1]
    assert [host for host, _ in places[0]] == ["127.0.0.1", "127.0.0.2"]
    assert len({port for _, port in places[0]}) == 1
    assert sockets.addresses == tuple(f"http://{host}:{port}" for host, port in places[0])


def test_unix_sockets_are_shared_by_the_slots(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    sockets = listen(3, f"unix:{path}", ANY)
    assert [len(sockets.of_slot(index)) for index in range(3)] == [1, 1, 1]
    (listener,) = sockets.shared
    assert sockets.addresses == (f"unix:{path}", f"http://127.0.0.1:{place_of(sockets)[1]}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert accepted([listener]) == 1
    sockets.close()
    assert not path.exists()


@ipv6
def test_dual_stack_socket_takes_both_in_every_slot(listen: Open, connect: Callable[..., None]) -> None:
    sockets = listen(2, "[::]:0")
    port = place_of(sockets)[1]
    for host in ("::1", "127.0.0.1"):
        connect((host, port), 60)
        assert min(waiting(sockets, 60)) > 0
        assert sum(accepted(sockets.of_slot(index)) for index in range(2)) == 60


@pytest.mark.parametrize("slots", [1, 2])
def test_nobody_else_gets_the_port(listen: Open, slots: int) -> None:
    port = place_of(listen(slots))[1]
    expected = f"cannot listen on {{}}:{port}: address already in use"
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(StartError) as caught:
            SlotSockets.open(Config("a:b", bind=(f"{host}:{port}",)), 2)
        assert str(caught.value) == expected.format(host)
        with pytest.raises(StartError) as caught:
            open_listeners(Config("a:b", host=host, port=port))
        assert str(caught.value) == expected.format(host)


def test_a_port_that_another_program_shares_is_in_use() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: address already in use"):
            SlotSockets.open(Config("a:b", bind=(f"127.0.0.1:{port}",)), 2)


def test_the_port_is_not_free_for_a_moment(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket
    results: list[int | None] = []

    class Watched(real):  # type: ignore[misc, valid-type]
        """Another server tries to take the address whenever one of ours has begun to listen."""

        def listen(self, *backlog: int) -> None:
            super().listen(*backlog)
            with real() as rival:
                rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    rival.bind(self.getsockname())
                    rival.listen()
                except OSError as error:
                    results.append(error.errno)
                else:
                    results.append(None)

    monkeypatch.setattr(socket, "socket", Watched)
    listen(3)
    assert results == [errno.EADDRINUSE] * 3


def test_what_fails_closes_everything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = descriptors()
        bind = (ANY, f"unix:{tmp_path}/server.sock", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartError, match="address already in use"):
            SlotSockets.open(Config("a:b", bind=bind), 3)
        assert descriptors() == before
        assert not (tmp_path / "server.sock").exists()


def fail_at_bind(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses the bind of that number, from now on counted."""
    left = [number]

    class Refusing(socket.socket):
        def bind(self, place: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOBUFS, "No buffer space available")
            super().bind(place)

    monkeypatch.setattr(socket, "socket", Refusing)


def test_a_slot_that_cannot_be_had_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    fail_at_bind(3, monkeypatch)
    with pytest.raises(StartError, match=r"^cannot listen on 127\.0\.0\.1:0: no buffer space available$"):
        SlotSockets.open(Config("a:b", bind=(ANY,)), 4)
    assert descriptors() == before


def test_a_slot_that_cannot_be_added_changes_nothing(
    listen: Open, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = listen(2, ANY, "127.0.0.2:0")
    before = descriptors()
    with monkeypatch.context() as patch:
        fail_at_bind(2, patch)
        with pytest.raises(OSError, match="No buffer space"):
            sockets.add_slot()
    assert descriptors() == before
    assert sockets.slots == 2
    assert [len(sockets.of_slot(index)) for index in range(3)] == [2, 2, 0]
    connect(place_of(sockets), 20)
    assert sum(waiting(sockets, 20)) == 20


def test_a_worker_keeps_its_slot_and_what_is_shared(listen: Open, tmp_path: Path) -> None:
    sockets = listen(3, ANY, f"unix:{tmp_path}/server.sock")
    kept = sockets.keep(1).sockets
    assert [each.family for each in kept] == [socket.AF_INET, socket.AF_UNIX]
    assert all(each.fileno() >= 0 for each in kept)
    assert [sockets.of_slot(index)[0].fileno() >= 0 for index in range(3)] == [False, True, False]


# ---- another configuration


def test_addresses_that_stay_keep_their_sockets(
    listen: Open, opened: list[SlotSockets], connect: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "server.sock"
    old = listen(2, ANY, f"unix:{path}")
    place = place_of(old)
    connect(place, 20)
    new = old.reopened(Config("a:b", bind=("127.0.0.2:0", ANY), backlog=3))
    opened.append(new)
    assert (new.slots, new.shared) == (2, ())
    assert [[each.getsockname()[0] for each in new.of_slot(index)] for index in range(2)] == [
        ["127.0.0.2", "127.0.0.1"]
    ] * 2
    assert new.of_slot(1)[1] is old.of_slot(1)[0]
    gone = old.without(new)
    assert gone.sockets == old.shared
    gone.close()
    assert not path.exists()
    assert sum(waiting(new, 20)) == 20
    assert new.of_slot(0)[1].getsockname() == place


def test_the_way_back_from_another_configuration(listen: Open) -> None:
    old = listen(2)
    before = descriptors()
    new = old.reopened(Config("a:b", bind=(ANY, "127.0.0.2:0")))
    fresh = new.of_slot(0)[1].getsockname()
    new.without(old).close()
    assert descriptors() == before
    assert all(each.fileno() >= 0 for index in range(2) for each in old.of_slot(index))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(fresh, PATIENCE)


def test_a_configuration_that_cannot_be_had_changes_nothing(listen: Open) -> None:
    old = listen(2)
    before = descriptors()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = (ANY, "127.0.0.2:0", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartError, match="address already in use"):
            old.reopened(Config("a:b", bind=bind))
    assert descriptors() == before
    assert all(each.fileno() >= 0 for index in range(2) for each in old.of_slot(index))


def test_another_mode_is_taken_on(listen: Open, opened: list[SlotSockets], tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    old = listen(1, f"unix:{path}")
    opened.append(old.reopened(Config("a:b", bind=(f"unix:{path}",), uds_mode=0o600)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    opened.append(old.reopened(Config("a:b", bind=(f"unix:{path}",))))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# ---- another supervisor

SUCCESSOR = """
import json, os, select, sys
from fastserve.config.config import Config
from fastserve.sockets.listeners import SlotSockets

arguments = json.loads(sys.stdin.readline())
before = len(os.listdir("/proc/self/fd"))
sockets = SlotSockets.open(Config("a:b", bind=arguments["bind"]), arguments["slots"], arguments["inherited"])
own = [*(each for index in range(sockets.slots) for each in sockets.of_slot(index)), *sockets.shared]
print(json.dumps({
    "slots": sockets.slots,
    "addresses": sockets.addresses,
    "inheritable": any(each.get_inheritable() for each in own),
    "more": len(os.listdir("/proc/self/fd")) - before,
}), flush=True)
for command in sys.stdin:
    if command == "serve\\n":
        for each in select.select(own, [], [], 5)[0]:
            each.accept()[0].sendall(b"successor")
        print("served", flush=True)
sockets.close(keep_paths=arguments["keep"])
"""


class Successor:
    """A process that was started with the sockets of another one. A context manager: leaving it ends it."""

    def __init__(self, sockets: SlotSockets, bind: Sequence[str], slots: int, *, keep: bool = False) -> None:
        inherited, fds = sockets.for_exec()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUCCESSOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=fds
        )
        self._write(json.dumps({"bind": bind, "slots": slots, "inherited": inherited, "keep": keep}))
        self.answer: dict[str, Any] = json.loads(self._read())

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def serve(self) -> None:
        """Answers each connection that is there, of one wake-up."""
        self._write("serve")
        assert self._read() == "served\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        assert self.process.returncode == 0


def answer(client: socket.socket) -> bytes:
    client.settimeout(PATIENCE)
    return client.recv(100)


def test_another_process_takes_the_sockets_over(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    bind = [ANY, f"unix:{path}"]
    sockets = listen(2, *bind)
    with ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(place_of(sockets)))
        waiting(sockets, 1)
        addresses = sockets.addresses
        successor = stack.enter_context(Successor(sockets, bind, 2))
        assert successor.answer == {"slots": 2, "addresses": list(addresses), "inheritable": False, "more": 0}
        sockets.close(keep_paths=True)
        assert path.exists()
        successor.serve()
        assert answer(client) == b"successor"
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))
            successor.serve()
            assert answer(other) == b"successor"
    assert not path.exists()


@pytest.mark.parametrize(("slots", "expected"), [(1, 2), (2, 2), (4, 4)])
def test_more_slots_are_added_and_fewer_are_kept(listen: Open, slots: int, expected: int) -> None:
    sockets = listen(2)
    with Successor(sockets, [ANY], slots) as successor:
        assert successor.answer["slots"] == expected
        assert successor.answer["addresses"] == list(sockets.addresses)
        assert successor.answer["more"] == expected - 2


def test_a_successor_with_other_addresses(listen: Open, connect: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    sockets = listen(2, ANY, "127.0.0.2:0", f"unix:{path}")
    with Successor(sockets, [ANY, "127.0.0.3:0"], 2) as successor:
        assert successor.answer["addresses"][0] == sockets.addresses[0]
        assert successor.answer["addresses"][1].startswith("http://127.0.0.3:")
        assert successor.answer["more"] == -1  # two TCP sockets and the Unix socket closed, two opened
    connect(sockets.of_slot(0)[1].getsockname(), 10)
    assert sum(waiting(sockets, 10)) == 10
    assert path.exists()


def test_a_successor_that_goes_again_leaves_all_in_its_place(
    listen: Open, connect: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "server.sock"
    sockets = listen(2, ANY, f"unix:{path}")
    with Successor(sockets, [ANY, f"unix:{path}"], 2, keep=True):
        pass
    connect(place_of(sockets), 10)
    assert sum(waiting(sockets, 10)) == 10
    assert path.exists()


def test_an_inherited_descriptor_that_is_none_is_an_error(listen: Open) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    before = descriptors()
    with pytest.raises(StartError, match=f"cannot listen on descriptor {reader}: bad file descriptor"):
        SlotSockets.open(Config("a:b", bind=(ANY,)), 1, {ANY: {"fds": [reader]}})
    assert descriptors() == before


def test_a_successor_that_fails_takes_nothing_with_it(
    listen: Open, connect: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "server.sock"
    sockets = listen(2, ANY, f"unix:{path}")
    before = descriptors()
    described, _ = sockets.for_exec()
    copies = {text: {**each, "fds": [os.dup(fd) for fd in each["fds"]]} for text, each in described.items()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = (ANY, f"unix:{path}", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartError, match="address already in use"):
            SlotSockets.open(Config("a:b", bind=bind), 2, copies)
    assert descriptors() == before
    assert path.exists()
    connect(place_of(sockets), 10)
    assert sum(waiting(sockets, 10)) == 10
