"""Which listening sockets speak TLS, and with what."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, TypedDict

from fastserve.config.address import TCPAddress
from fastserve.config.config import Config
from fastserve.sockets import endpoint
from fastserve.sockets.endpoint import Endpoint

if TYPE_CHECKING:
    from fastserve.tls.contexts import TLS


class ListenerOptions(TypedDict):
    """Of `Driver.add_listener`: how the connections of an address are served, and by which name siblings know it."""

    tls: "TLS | None"
    redirect: int
    name: int


@dataclass(frozen=True, slots=True)
class Security:
    """Of the sockets that are served together."""

    tls: "TLS | None" = None
    plain: frozenset[object] = frozenset()
    """Names (`getsockname`) of those without TLS: the sockets of all slots of an address have the same."""
    redirect: int = 0
    """The port that requests to those without TLS are redirected to; 0: they are served."""

    def of(self, listener: socket.socket) -> "TLS | None":
        """The TLS that its connections begin with; None: they are plain."""
        return None if listener.getsockname() in self.plain else self.tls

    def redirect_of(self, listener: socket.socket) -> int:
        """The port of https that its requests are redirected to, 0 where they are served."""
        return self.redirect if listener.getsockname() in self.plain else 0

    def options(self, listener: socket.socket) -> ListenerOptions:
        """What `Driver.add_listener` is to know of it."""
        return {"tls": self.of(listener), "redirect": self.redirect_of(listener), "name": self.name(listener)}

    @staticmethod
    def name(listener: socket.socket) -> int:
        """A number for its address (FNV-1a), the same in every worker and after a reload, and not 0."""
        text = repr(listener.getsockname()).encode()
        return reduce(lambda found, byte: (found ^ byte) * 0x100000001B3 % (1 << 64), text, 0xCBF29CE484222325) or 1

    def address(self, listener: socket.socket) -> str:
        """The address of a socket as a person would type it: a URL, or `unix:` and the path."""
        if listener.family == socket.AF_UNIX:
            return f"unix:{_unix_name(listener)}"
        scheme = "http" if self.of(listener) is None else "https"
        return f"{scheme}://{TCPAddress(*listener.getsockname()[:2])}"


def open_tls(config: Config) -> "TLS | None":
    """Raises StartError. OpenSSL is loaded only where it is needed: a supervisor is small."""
    if not config.tls:
        return None
    from fastserve.tls.contexts import TLS

    return TLS.open(config)


def security(tls: "TLS | None", endpoints: Iterable[Endpoint], config: Config) -> Security:
    """For endpoints that are open."""
    if tls is None:
        return Security()
    plain = endpoint.without_tls(endpoints, config)
    names = frozenset(listener.getsockname() for each in plain for listener in each.sockets)
    return Security(tls, names, _https_port(endpoints, names) if config.ssl_redirect else 0)


def _https_port(endpoints: Iterable[Endpoint], plain: frozenset[object]) -> int:
    """Of the first TCP address with TLS."""
    for each in endpoints:
        for listener in each.sockets:
            if listener.family != socket.AF_UNIX and listener.getsockname() not in plain:
                return int(listener.getsockname()[1])
    return 443


def _unix_name(listener: socket.socket) -> str:
    name = listener.getsockname()
    return "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name  # bytes: Linux' abstract namespace
