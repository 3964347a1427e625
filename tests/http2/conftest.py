"""Connections of HTTP/2 to the servers of tests/conftest.py."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kit import Serve, Server
from kit.http2 import HTTP2

Dial = Callable[..., HTTP2]
"""A fixture that connects to the server of the test: dial((setting, value), acknowledges=False, ...)."""


@pytest.fixture(params=["cleartext", "tls"])
def h2_server(request: pytest.FixtureRequest, serve: Serve) -> Server:
    """The scripted application; each test runs over both."""
    return serve(secure=request.param == "tls")


@pytest.fixture
def dial(h2_server: Server) -> Iterator[Dial]:
    with ExitStack() as stack:

        def new(*options: tuple[int, int], to: Server | None = None, **more: bool) -> HTTP2:
            return stack.enter_context(HTTP2(to or h2_server, *options, **more))

        yield new
