"""Which listening sockets speak TLS, and with which contexts."""

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
    """Arguments of `Driver.add_listener`: how an address's connections are served, and its name among siblings."""

    tls: "TLS | None"
    redirect: int
    name: int


@dataclass(frozen=True, slots=True)
class Security:
    """The TLS of sockets that are served together."""

    tls: "TLS | None" = None
    plain: frozenset[object] = frozenset()
    """Names (`getsockname`) of the sockets without TLS; all slots' sockets of an address have the same name."""
    redirect: int = 0
    """The https port to which requests to them are redirected; 0: they are served."""

    def of(self, listener: socket.socket) -> "TLS | None":
        """Returns the TLS that its connections begin with; None: they are plain."""
        return None if listener.getsockname() in self.plain else self.tls

    def redirect_of(self, listener: socket.socket) -> int:
        """Returns the https port to which its requests are redirected; 0: they are served."""
        return self.redirect if listener.getsockname() in self.plain else 0

    def options(self, listener: socket.socket) -> ListenerOptions:
        """Returns the arguments of `Driver.add_listener` for a socket."""
        return {"tls": self.of(listener), "redirect": self.redirect_of(listener), "name": self.name(listener)}

    @staticmethod
    def name(listener: socket.socket) -> int:
        """Returns a number for its address (FNV-1a), the same in every worker and after a reload, and not 0."""
        text = repr(listener.getsockname()).encode()
        return reduce(lambda found, byte: (found ^ byte) * 0x100000001B3 % (1 << 64), text, 0xCBF29CE484222325) or 1

    def address(self, listener: socket.socket) -> str:
        """Returns the address of a socket as a person would type it: a URL, or `unix:` and the path."""
        if listener.family == socket.AF_UNIX:
            return f"unix:{_unix_name(listener)}"
        scheme = "http" if self.of(listener) is None else "https"
        return f"{scheme}://{TCPAddress(*listener.getsockname()[:2])}"


def open_tls(config: Config) -> "TLS | None":
    """Returns the configured TLS. Raises StartError. Loads OpenSSL only if it is needed: a supervisor is small."""
    if not config.tls:
        return None
    from fastserve.tls.contexts import TLS

    return TLS.open(config)


def security(tls: "TLS | None", endpoints: Iterable[Endpoint], config: Config) -> Security:
    """Returns the security of open endpoints."""
    if tls is None:
        return Security()
    plain = endpoint.without_tls(endpoints, config)
    names = frozenset(listener.getsockname() for each in plain for listener in each.sockets)
    return Security(tls, names, _https_port(endpoints, names) if config.ssl_redirect else 0)


def _https_port(endpoints: Iterable[Endpoint], plain: frozenset[object]) -> int:
    """Returns the port of the first TCP address with TLS."""
    for each in endpoints:
        for listener in each.sockets:
            if listener.family != socket.AF_UNIX and listener.getsockname() not in plain:
                return int(listener.getsockname()[1])
    return 443


def _unix_name(listener: socket.socket) -> str:
    name = listener.getsockname()
    return "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name  # bytes: Linux' abstract namespace
