"""Descriptors that were there before: by number, and those that systemd passes."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastserve.sockets.inherited import activation
from kit.process import environment
from kit.waiting import PATIENCE
from unit.sockets.opening import Open, accepts, reason


@pytest.mark.parametrize("listening", [True, False])
def test_inherited_descriptor(listen: Open, listening: bool) -> None:
    original = socket.socket()
    original.bind(("127.0.0.1", 0))
    if listening:
        original.listen()
    place = original.getsockname()
    listeners = listen(fd=original.detach())
    assert listeners.addresses[0] == f"http://127.0.0.1:{place[1]}"
    accepts(listeners.sockets[0], socket.AF_INET, place)


def test_descriptor_that_is_closed() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    assert reason(fd=reader) == f"cannot listen on descriptor {reader}: bad file descriptor"


def test_descriptor_that_is_no_socket() -> None:
    reader, writer = os.pipe()
    try:
        assert reason(fd=reader) == f"cannot listen on descriptor {reader}: socket operation on non-socket"
    finally:
        os.close(reader)
        os.close(writer)


def test_descriptor_of_a_datagram_socket() -> None:
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as datagram:
        assert reason(fd=datagram.fileno()) == f"cannot listen on descriptor {datagram.fileno()}: not a stream socket"
        datagram.getsockname()


def test_descriptor_of_a_connection() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server, closing(socket.socket()) as client:
        client.connect(server.getsockname())
        assert re.fullmatch(r"cannot listen on descriptor \d+: invalid argument", reason(fd=client.fileno()))
        client.getsockname()


ACTIVATED = """
import json, os, sys
descriptors, options, variables = json.loads(sys.argv[1])
above = max(descriptors) + 1  # none of them is overwritten before it has its place
for number, fd in enumerate(descriptors, above):
    os.dup2(fd, number)
for number in range(len(descriptors)):
    os.dup2(above + number, 3 + number)
os.environ.update({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": "a:b"})
os.environ.update(variables)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], json.dumps(options)])
"""


SERVICE = """
import json, logging, os, sys
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets.listeners import PLAIN, SlotSockets, open_listeners

logging.basicConfig(format="%(message)s", stream=sys.stdout)
options = json.loads(sys.argv[1])
slots, clients = options.pop("slots"), options.pop("clients")
try:
    if slots:
        owner = SlotSockets.open(Config("a:b", **options), slots)
        sockets = owner.shared
        assert not any(owner.of_slot(index) for index in range(slots))
    else:
        owner = open_listeners(Config("a:b", **options))
        sockets = owner.sockets
except StartError as error:
    sys.exit(f"error: {error}")
print(*(PLAIN.address(each) for each in sockets), flush=True)
print(*(each.fileno() for each in sockets), any(each.get_inheritable() for each in sockets))
print(*sorted(name for name in os.environ if name.startswith("LISTEN_")))
if slots and sockets:
    print(owner.reopened(Config("a:b", **options)).shared == sockets, list(owner.for_exec()[0]))
for each in sockets[:clients]:
    each.settimeout(60)
    each.accept()[0].sendall(b"activated")
"""


def activated(
    sockets: list[socket.socket], slots: int, clients: tuple[socket.socket, ...] = (), **options: Any
) -> "subprocess.CompletedProcess[str]":
    """A process that opens its listeners as systemd would start it; each client gets an answer of it."""
    fds = [each.fileno() for each in sockets]
    variables = options.pop("variables", {})
    arguments = [fds, {"slots": slots, "clients": len(clients), **options}, variables]
    done = subprocess.run(
        [sys.executable, "-c", ACTIVATED, json.dumps(arguments), SERVICE],
        env=environment(),
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0 or not clients, done.stderr
    for client in clients:
        assert client.recv(100) == b"activated"
    return done


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """What systemd would pass."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "service.sock"))
        unix.listen()
        yield [tcp, unix]


@pytest.mark.parametrize("slots", [0, 2])
def test_sockets_that_systemd_passes_stand_for_the_default(passed: list[socket.socket], slots: int) -> None:
    tcp, unix = passed
    with socket.create_connection(tcp.getsockname(), PATIENCE) as one, socket.socket(socket.AF_UNIX) as other:
        other.settimeout(PATIENCE)
        other.connect(unix.getsockname())
        done = activated(passed, slots, (one, other))
    assert (done.returncode, done.stderr) == (0, "")
    expected = [f"http://127.0.0.1:{tcp.getsockname()[1]} unix:{unix.getsockname()}", "3 4 False", ""]
    assert done.stdout.splitlines() == [*expected, *(["True ['LISTEN_FDS']"] if slots else [])]
    assert Path(unix.getsockname()).is_socket()  # systemd's, and stays


def test_sockets_that_systemd_passes_give_way_to_an_address(passed: list[socket.socket], tmp_path: Path) -> None:
    done = activated(passed, 0, uds=f"{tmp_path}/own.sock")
    assert (done.returncode, done.stderr) == (0, "")
    warning, addresses, *_ = done.stdout.splitlines()
    assert warning == "the sockets that systemd passes (LISTEN_FDS) are not used: an address is configured"
    assert addresses == f"unix:{tmp_path}/own.sock"


def test_what_systemd_passes_has_to_be_listeners(passed: list[socket.socket]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:
        done = activated([passed[0], datagram], 1)
    assert (done.returncode, done.stderr) == (1, "error: cannot listen on descriptor 4: not a stream socket\n")


def test_a_number_of_descriptors_that_is_none(passed: list[socket.socket]) -> None:
    done = activated(passed, 1, variables={"LISTEN_FDS": "two"})
    assert (done.returncode, done.stderr) == (1, "error: LISTEN_FDS: 'two' is not a number of descriptors\n")


def test_what_is_passed_to_another_process_is_not_taken() -> None:
    assert activation({}) is None
    assert activation({"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1"}) is None
    assert activation({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) is None
    found = activation({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})
    assert found is not None
    assert found.fds == (3, 4)
