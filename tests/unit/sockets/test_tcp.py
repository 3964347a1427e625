"""Listening TCP sockets: ours alone, though several of ours share an address."""

import socket
from collections.abc import Iterator

import pytest

from fastserve.config.address import TCPAddress
from fastserve.errors import StartError
from fastserve.sockets import tcp
from kit.calls import reason
from kit.waiting import PATIENCE

HOST = "127.0.0.1"
BACKLOG = 16


@pytest.fixture
def group() -> Iterator[list[socket.socket]]:
    """A socket that is bound to a free port."""
    found = tcp.bind(TCPAddress(HOST, 0))
    yield found
    tcp.close_all(found)


def place(group: list[socket.socket]) -> TCPAddress:
    return TCPAddress(*group[0].getsockname()[:2])


def connects(address: TCPAddress) -> bool:
    try:
        with socket.create_connection((address.host, address.port), PATIENCE):
            return True
    except ConnectionRefusedError:
        return False


def test_sockets_that_join_share_the_address(group: list[socket.socket]) -> None:
    tcp.listen(group, BACKLOG)
    tcp.grow([group], 3, BACKLOG)
    assert len(group) == 3
    assert len({each.getsockname() for each in group}) == 1
    assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in group)
    assert not any(each.getblocking() for each in group)
    tcp.grow([group], 3, BACKLOG)
    assert len(group) == 3, "as many as there are already"


def test_sockets_that_join_before_the_first_listens(group: list[socket.socket]) -> None:
    tcp.grow([group], 2, BACKLOG)
    assert not connects(place(group))
    tcp.listen(group, BACKLOG)
    assert connects(place(group))


def test_an_address_where_another_server_listens_is_refused(group: list[socket.socket]) -> None:
    """Even by one that would share it."""
    tcp.listen(group, BACKLOG)
    tcp.grow([group], 2, BACKLOG)
    taken = place(group)

    def second() -> None:
        found = tcp.bind(taken)
        try:
            tcp.listen(found, BACKLOG)
        finally:
            tcp.close_all(found)

    assert reason(second) == f"cannot listen on {taken}: address already in use"


def test_the_end_is_at_once_though_another_process_has_copies(group: list[socket.socket]) -> None:
    tcp.listen(group, BACKLOG)
    where, copy = place(group), group[0].dup()
    with copy:
        tcp.end_all(group)
        assert not connects(where)


def test_all_addresses_of_a_name_have_one_port() -> None:
    try:
        found = tcp.bind(TCPAddress("localhost", 0))
    except StartError as error:
        pytest.skip(str(error))
    try:
        assert len({each.getsockname()[1] for each in found}) == 1
        assert len({(each.family, each.getsockname()) for each in found}) == len(found)
    finally:
        tcp.close_all(found)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
def test_a_name_that_is_none(host: str) -> None:
    assert reason(lambda: tcp.bind(TCPAddress(host, 80))).startswith(f"cannot listen on {host}: ")


def test_an_address_that_this_machine_has_not() -> None:
    assert reason(lambda: tcp.bind(TCPAddress("192.0.2.1", 0))).startswith("cannot listen on 192.0.2.1:0: ")
