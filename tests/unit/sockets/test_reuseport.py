"""Which sockets of a group get the new connections, by the kernel's own word."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fastserve.sockets import reuseport
from kit.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not reuseport.available(), reason="this kernel cannot steer")

CONNECTIONS = 24


@pytest.fixture
def group() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        members: list[socket.socket] = []
        for _ in range(3):
            each = stack.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(members[0].getsockname() if members else ("127.0.0.1", 0))
            each.listen(CONNECTIONS)
            members.append(each)
        yield members


def spread(group: list[socket.socket]) -> list[int]:
    """How many of some connections each member has got."""
    before = [reuseport.waiting(each) for each in group]
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(group[0].getsockname(), PATIENCE))
        return [reuseport.waiting(each) - had for each, had in zip(group, before, strict=True)]


def test_what_waits_is_counted(group: list[socket.socket]) -> None:
    assert [reuseport.waiting(each) for each in group] == [0, 0, 0]
    assert sum(spread(group)) == CONNECTIONS


def test_the_first_of_a_group_get_all(group: list[socket.socket]) -> None:
    reuseport.steer(group[0], 1)
    assert spread(group) == [CONNECTIONS, 0, 0]


def test_and_all_of_them_again(group: list[socket.socket]) -> None:
    reuseport.steer(group[1], 1)
    reuseport.unsteer(group[2])
    assert sum(spread(group)[1:]) > 0


def test_a_group_that_is_not_steered_is_left_as_it_is(group: list[socket.socket]) -> None:
    reuseport.unsteer(group[0])
    with socket.socket() as alone:
        reuseport.unsteer(alone)
