"""Connections that nobody takes are noticed a moment after they came."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from fastserve.supervisor.arrivals import PATIENCE, Arrivals
from kit.waiting import PATIENCE as LONG
from kit.waiting import until
from unit.supervisor.fakes import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fastserve.supervisor.arrivals.time", clock)
    return clock


@pytest.fixture
def arrivals() -> Iterator[Arrivals]:
    with closing(Arrivals()) as found:
        yield found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def come(arrivals: Arrivals, listener: socket.socket) -> socket.socket:
    """A connection that the kernel has told of."""
    client = socket.create_connection(listener.getsockname(), LONG)
    assert until(lambda: arrivals.waiting() == set() and arrivals.due() is not None)
    return client


def test_one_that_is_taken_in_time_is_nobodys_concern(
    arrivals: Arrivals, listener: socket.socket, clock: Clock
) -> None:
    arrivals.watch({listener.fileno(): 3})
    assert arrivals.due() is None
    with come(arrivals, listener):
        assert arrivals.due() == clock.now + PATIENCE
        listener.accept()[0].close()
        clock.now += PATIENCE
        assert arrivals.waiting() == set()
        assert arrivals.due() is None


def test_one_that_still_waits_is_told_by_its_slot(arrivals: Arrivals, listener: socket.socket, clock: Clock) -> None:
    arrivals.watch({listener.fileno(): 3})
    with come(arrivals, listener):
        clock.now += PATIENCE / 2
        assert arrivals.waiting() == set(), "not yet"
        clock.now += PATIENCE
        assert arrivals.waiting() == {3}
        assert arrivals.due() == clock.now + PATIENCE, "and it is looked at again"
        clock.now += PATIENCE
        assert arrivals.waiting() == {3}


def test_what_is_not_watched_any_more_is_not_told(arrivals: Arrivals, listener: socket.socket, clock: Clock) -> None:
    arrivals.watch({listener.fileno(): 3})
    with come(arrivals, listener):
        arrivals.watch({})
        clock.now += PATIENCE
        assert arrivals.waiting() == set()
        assert arrivals.due() is None
        arrivals.watch({listener.fileno(): 4})
        assert until(lambda: arrivals.due() is not None or bool(arrivals.waiting()))
        clock.now += PATIENCE
        assert arrivals.waiting() == {4}


def test_a_descriptor_that_was_closed_before_is_forgotten(arrivals: Arrivals, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arrivals.watch({listener.fileno(): 0})
    arrivals.watch({})
    assert arrivals.waiting() == set()
