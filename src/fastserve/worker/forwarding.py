"""Forwarding: what a trusted proxy says about client, scheme and host in X-Forwarded-For, -Proto and -Host."""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

from fastserve.config.option_types import UNIX_PEER

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# As a proxy may say it of a WebSocket's request (Traefik does).
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# A name, an IPv4 address or an IPv6 address in brackets; perhaps a port.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HOP_WITH_PORT = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+))(?::([0-9]{1,5}))?", re.ASCII)


class Forwarded(NamedTuple):
    """What a proxy says about a request. A malformed value is as good as absent."""

    client: tuple[str, int] | None
    """Address and port (0: unknown); None when nothing was said."""
    scheme: str
    """http, https, or empty when nothing was said."""
    host: bytes
    """For the Host field; empty when nothing was said."""


class TrustedProxies:
    """The peers whose X-Forwarded fields count (`_core.Forwarding`).

    peers: addresses, networks, `unix` and `*`, as `fastserve.config.option_types.Peers` checks them.
    """

    def __init__(self, peers: Iterable[str]) -> None:
        chosen = frozenset(peers)
        self._all = "*" in chosen
        self._unix = self._all or UNIX_PEER in chosen
        self._networks = tuple(ipaddress.ip_network(peer) for peer in chosen - {"*", UNIX_PEER})

    def trusts(self, host: str | None) -> bool:
        """Whether this peer is a trusted proxy; None is a peer of a Unix socket."""
        if host is None:
            return self._unix
        found = _address(host)
        return self._all or (found is not None and self._trusts(found))

    def _trusts(self, host: Address) -> bool:
        return self._all or any(host in network for network in self._networks)

    def read(self, fields: Iterable[tuple[bytes, bytes]]) -> Forwarded:
        """What the fields of a request from a trusted peer say.

        fields: names in lower case; those that are no forwarding fields are passed over.
        """
        forwarded = [field for field in fields if field[0].startswith(b"x-forwarded-")]
        distance, client = self._client(_elements(forwarded, b"x-forwarded-for"))
        scheme = _at(_elements(forwarded, b"x-forwarded-proto"), distance).lower()
        host = _at(_elements(forwarded, b"x-forwarded-host"), distance).encode("latin-1")
        return Forwarded(client, _SCHEMES.get(scheme, ""), host if _HOST.fullmatch(host) else b"")

    def _client(self, hops: list[str]) -> tuple[int, tuple[str, int] | None]:
        """The rightmost hop that is not trusted, or the leftmost of trusted ones; and how far from the right it is.

        Every proxy appends the peer that it saw: what stands left of the first untrusted hop is hearsay,
        and so is what stands left of a hop that cannot be read.
        """
        client, distance = None, 0
        for position, text in enumerate(reversed(hops)):
            hop = _hop(text)
            if hop is None:
                break
            client, distance = (str(hop[0]), hop[1]), position
            if not self._trusts(hop[0]):
                break
        return distance, client


def _elements(fields: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """The elements of a list field over all its lines, empty ones left out (RFC 9110 section 5.6.1)."""
    lines = (value.decode("latin-1") for each, value in fields if each == name)
    return [element for line in lines for part in line.split(",") if (element := part.strip(" \t"))]


def _at(elements: list[str], distance: int) -> str:
    """The element that the proxy of the chosen hop added; one that is not appended to counts for every hop."""
    if not elements:
        return ""
    return elements[max(len(elements) - 1 - distance, 0)]


def _hop(text: str) -> tuple[Address, int] | None:
    """Address and port (0: unknown) of `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`."""
    match = _HOP_WITH_PORT.fullmatch(text)
    host, port = (match[1] or match[2], int(match[3] or 0)) if match else (text, 0)
    found = _address(host)
    return (found, port) if found is not None and port <= 65535 and "%" not in text else None


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
