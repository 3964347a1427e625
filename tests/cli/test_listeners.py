"""Listening sockets: addresses, names, Unix sockets, inherited descriptors, and why one cannot be had."""

import errno
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastserve.config import Config
from fastserve.errors import StartError
from fastserve.listen import Listeners, address, open_listeners

Open = Callable[..., Listeners]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def listen() -> Iterator[Open]:
    """Opens listeners by options; they are closed afterwards."""
    opened: list[Listeners] = []

    def new(**options: Any) -> Listeners:
        listeners = open_listeners(Config("a:b", **options))
        opened.append(listeners)
        return listeners

    yield new
    for each in opened:
        each.close()


def accepts(listener: socket.socket, family: int, place: Any) -> None:
    """Fails unless a connection to `place` arrives at the listener."""
    listener.settimeout(5)
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(place)
        listener.accept()[0].close()


def reason(**options: Any) -> str:
    with pytest.raises(StartError) as caught:
        open_listeners(Config("a:b", **options))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_port_0_is_a_free_one(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    host, port = listener.getsockname()
    assert host == "127.0.0.1"
    assert port != 0
    assert address(listener) == f"http://127.0.0.1:{port}"
    accepts(listener, socket.AF_INET, (host, port))


def test_sockets_do_not_block_and_are_not_inherited(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    assert listener.getblocking() is False
    assert listener.get_inheritable() is False


def test_port_is_free_again_after_a_connection(listen: Open) -> None:
    first = listen(port=0)
    place = first.sockets[0].getsockname()
    with socket.create_connection(place) as client:
        first.sockets[0].settimeout(5)
        accepted, _ = first.sockets[0].accept()
        accepted.close()  # our side closes first and stays behind in TIME_WAIT
        assert client.recv(1) == b""
    first.close()
    assert listen(port=place[1]).sockets[0].getsockname() == place


@ipv6
def test_ipv6_address(listen: Open) -> None:
    for host in ("::1", "[::1]"):
        (listener,) = listen(host=host, port=0).sockets
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        accepts(listener, socket.AF_INET6, listener.getsockname())


@ipv6
def test_unspecified_ipv6_address_takes_ipv4_too(listen: Open) -> None:
    (listener,) = listen(host="::", port=0).sockets
    port = listener.getsockname()[1]
    accepts(listener, socket.AF_INET6, ("::1", port))
    accepts(listener, socket.AF_INET, ("127.0.0.1", port))


@ipv6
def test_empty_host_is_every_interface(listen: Open) -> None:
    sockets = {each.family: each for each in listen(host="", port=0).sockets}
    assert set(sockets) == {socket.AF_INET, socket.AF_INET6}
    port = sockets[socket.AF_INET].getsockname()[1]
    accepts(sockets[socket.AF_INET], socket.AF_INET, ("127.0.0.1", port))
    accepts(sockets[socket.AF_INET6], socket.AF_INET6, ("::1", port))


def resolves_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    real = socket.getaddrinfo

    def several(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "several.test":
            return real(host, *rest, **more)
        return [found for each in hosts for found in real(each, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", several)


def test_every_address_of_a_name_with_one_port(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.1")
    first, second = (each.getsockname() for each in listen(host="several.test", port=0).sockets)
    assert (first[0], second[0]) == ("127.0.0.1", "127.0.0.2")
    assert first[1] == second[1]


def test_an_address_that_this_machine_has_not_is_left_out(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "192.0.2.1", "127.0.0.1")
    (listener,) = listen(host="several.test", port=0).sockets
    assert listener.getsockname()[0] == "127.0.0.1"


def test_one_address_in_use_is_an_error_and_closes_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = f"cannot listen on 127.0.0.1:{port}: address already in use"
        assert reason(host="several.test", port=port) == expected
        with socket.socket() as again:
            again.bind(("127.0.0.2", port))


def test_port_in_use(listen: Open) -> None:
    port = listen(port=0).sockets[0].getsockname()[1]
    assert reason(port=port) == f"cannot listen on 127.0.0.1:{port}: address already in use"


def test_address_of_another_machine() -> None:
    assert reason(host="192.0.2.1", port=0) == "cannot listen on 192.0.2.1:0: cannot assign requested address"


def test_refused_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, _address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refusing)
    assert reason(port=80) == "cannot listen on 127.0.0.1:80: permission denied"


@pytest.mark.parametrize("host", ["no host", "a" * 64 + ".test", "x..y"])
def test_name_that_is_none(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(host=host, port=0).startswith(f"cannot listen on {host}: ")


def test_unix_socket(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert address(listeners.sockets[0]) == f"unix:{path}"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))
    listeners.close()
    assert not path.exists()
    listeners.close()


def test_stale_unix_socket_is_replaced_and_keeps_its_mode(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen()
    path.chmod(0o600)
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_in_use(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_with_a_full_backlog_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"


def test_another_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: there is a file that is not a socket"
    assert path.read_text() == "precious"


def test_unix_socket_in_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "none" / "server.sock"
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: no such file or directory"


def test_unix_socket_with_too_long_a_path() -> None:
    path = "/" + "x" * 200
    assert reason(uds=path) == f"cannot listen on unix:{path}: AF_UNIX path too long"


def test_a_successors_unix_socket_is_left_alone(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    mine = listen(uds=str(path))
    path.rename(tmp_path / "moved")
    theirs = listen(uds=str(path))
    mine.close()
    accepts(theirs.sockets[0], socket.AF_UNIX, str(path))


@pytest.mark.parametrize("listening", [True, False])
def test_inherited_descriptor(listen: Open, listening: bool) -> None:
    original = socket.socket()
    original.bind(("127.0.0.1", 0))
    if listening:
        original.listen()
    place = original.getsockname()
    listeners = listen(fd=original.detach())
    assert address(listeners.sockets[0]) == f"http://127.0.0.1:{place[1]}"
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
