"""Listeners that are closed when their test has ended."""

from collections.abc import Iterator
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.sockets.listeners import Listeners, open_listeners
from unit.sockets.opening import Open


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
