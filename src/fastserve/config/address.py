"""How an address to listen on is written, taken apart without resolving or opening anything."""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORT = 8000

# [IPv6] or a name or IPv4 address or nothing, then perhaps a port.
_TCP = re.compile(r"(?:\[([^\[\]\s]+)\]|([^\[\]:/@*\s\0]*))(?::([^/\s]*))?")
_BARE_IPV6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%\S+)?")


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """An address or a name, and a port; an empty host is every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket; a path that begins with `@` is a name in Linux' abstract namespace."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A socket that is already open, by the number of its descriptor."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


Address = TCPAddress | UnixAddress | InheritedAddress


def parse_address(text: str, default_port: int | None = DEFAULT_PORT) -> Address:
    """Parses `HOST:PORT`, `HOST`, `[IPV6]:PORT`, `:PORT`, `unix:PATH` or `fd://NUMBER`.

    default_port: the port of a host alone; None: a port has to be written.
    The `str` of the result is the canonical text. Raises ValueError with the reason.
    """
    text = text.strip()
    if text.startswith("unix:"):
        return _unix(text)
    if text.startswith("fd://"):
        return InheritedAddress(_number(text, text.removeprefix("fd://"), "descriptor", (1 << 31) - 1))
    return _tcp(text, default_port)


def _unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:").removeprefix("//")
    if path in ("", "@") or "\0" in path:
        raise ValueError(f"{text!r} names no path (such as unix:/run/server.sock)")
    return UnixAddress(path)


def _tcp(text: str, default_port: int | None) -> TCPAddress:
    if _BARE_IPV6.fullmatch(text):
        raise ValueError(f"{text!r}: an IPv6 address is written in brackets (such as [::1]:8000)")
    match = _TCP.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is not an address (such as 127.0.0.1:8000, unix:/run/server.sock or fd://3)")
    ipv6, name, port = match.groups()
    host = name if ipv6 is None else _ipv6(text, ipv6)
    if port is not None:
        return TCPAddress(host, _number(text, port, "port", 65535))
    if host.isdecimal():  # the system would take 8000 for the address 0.0.31.64
        raise ValueError(f"{text!r} is not an address; a port alone is written :{host}")
    if default_port is None:
        raise ValueError(f"{text!r} has no port (such as {TCPAddress(host, 9000)})")
    return TCPAddress(host, default_port)


def _ipv6(text: str, host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise ValueError(f"{text!r}: {host!r} is not an IPv6 address") from None


def _number(text: str, digits: str, what: str, maximum: int) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) <= maximum):
        raise ValueError(f"{text!r}: the {what} {digits!r} is not a number between 0 and {maximum}")
    return int(digits)
