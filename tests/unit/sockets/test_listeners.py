"""Listening sockets: addresses, names, and why one cannot be had."""

import errno
import socket
from contextlib import closing
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.sockets.listeners import PLAIN, SlotSockets, check
from kit.waiting import PATIENCE
from unit.sockets.opening import Open, accepts, free_port, ipv6, reason


def test_port_0_is_a_free_one(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    host, port = listener.getsockname()
    assert host == "127.0.0.1"
    assert port != 0
    assert PLAIN.address(listener) == f"http://127.0.0.1:{port}"
    accepts(listener, socket.AF_INET, (host, port))


def test_sockets_do_not_block_and_are_not_inherited(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    assert listener.getblocking() is False
    assert listener.get_inheritable() is False


def test_port_is_free_again_after_a_connection(listen: Open) -> None:
    first = listen(port=0)
    place = first.sockets[0].getsockname()
    with socket.create_connection(place) as client:
        first.sockets[0].settimeout(PATIENCE)
        accepted, _ = first.sockets[0].accept()
        accepted.close()  # our side closes first and stays behind in TIME_WAIT
        assert client.recv(1) == b""
    first.close()
    assert listen(port=place[1]).sockets[0].getsockname() == place


@ipv6
def test_ipv6_address(listen: Open) -> None:
    for host in ("::1", "[::1]"):
        (listener,) = listen(host=host, port=0).sockets
        assert PLAIN.address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        accepts(listener, socket.AF_INET6, listener.getsockname())


@ipv6
def test_unspecified_ipv6_address_takes_ipv4_too(listen: Open) -> None:
    (listener,) = listen(host="::", port=0).sockets
    port = listener.getsockname()[1]
    accepts(listener, socket.AF_INET6, ("::1", port))
    accepts(listener, socket.AF_INET, ("127.0.0.1", port))


@ipv6
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("other", ["0.0.0.0", "127.0.0.1"])
def test_unspecified_ipv6_address_beside_one_of_ipv4(listen: Open, other: str, order: int) -> None:
    """It takes IPv6 alone then, whichever is written first, as by --bind 0.0.0.0:80 --bind [::]:80."""
    port = free_port()
    listeners = listen(bind=[f"{other}:{port}", f"[::]:{port}"][::order])
    sockets = {each.family: each for each in listeners.sockets}
    assert set(sockets) == {socket.AF_INET, socket.AF_INET6}
    accepts(sockets[socket.AF_INET], socket.AF_INET, ("127.0.0.1", port))
    accepts(sockets[socket.AF_INET6], socket.AF_INET6, ("::1", port))
    listeners.close()
    check(Config("a:b", bind=[f"{other}:{port}", f"[::]:{port}"]))


@ipv6
def test_unspecified_ipv6_address_that_comes_with_a_reload(listen: Open) -> None:
    port = free_port()
    with closing(SlotSockets.open(Config("a:b", bind=[f"0.0.0.0:{port}"]), 2)) as sockets:
        more = sockets.reopened(Config("a:b", bind=[f"0.0.0.0:{port}", f"[::]:{port}"]))
        assert more.addresses == (f"http://0.0.0.0:{port}", f"http://[::]:{port}")
        for each in (*more.of_slot(0), *more.of_slot(1)):
            if each.family == socket.AF_INET6:
                assert each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        more.close()


@ipv6
def test_other_ports_are_no_reason(listen: Open) -> None:
    first, second = free_port(), free_port()
    listener = listen(bind=[f"0.0.0.0:{first}", f"[::]:{second}"]).sockets[1]
    accepts(listener, socket.AF_INET, ("127.0.0.1", second))


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
