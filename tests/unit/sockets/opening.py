"""What tests of listening sockets share."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets.listeners import Listeners, open_listeners
from kit.waiting import PATIENCE

Open = Callable[..., Listeners]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def accepts(listener: socket.socket, family: int, place: Any) -> None:
    """Fails unless a connection to `place` arrives at the listener."""
    listener.settimeout(PATIENCE)
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(place)
        listener.accept()[0].close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def reason(**options: Any) -> str:
    with pytest.raises(StartError) as caught:
        open_listeners(Config("a:b", **options))
    assert caught.value.__cause__ is None
    return str(caught.value)
