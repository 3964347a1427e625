"""Listening TCP sockets: one for each address of a name, exclusively ours, and further ones on the same address.

A port that is shared by SO_REUSEPORT is open to every process of the same user that sets the option, such as a second
server, and half of the connections would go astray. So the first socket of an address binds and listens without the
option, which fails if anybody listens already, and sets it only afterwards, so that our own sockets can join: the
address is never free. (With --listen-when-ready the others join earlier, and it clears the option until it listens.)
"""

import errno
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress

from fastserve.config.address import TCPAddress
from fastserve.sockets.errors import cannot_listen

# Errors for an address of the name that this machine does not have: no IPv6 in the kernel or on this interface.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(wanted: TCPAddress, *, v6_only: bool = False) -> list[socket.socket]:
    """Returns a bound socket for each address of the host that this machine has, all on one port. Raises StartError.

    v6_only: `::` does not include IPv4.
    """
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        found = _resolve(wanted)
        for family, host in found:
            # The addresses of a name share the port that the first one got.
            place = TCPAddress(host, opened[0].getsockname()[1] if opened else wanted.port)
            try:
                opened.append(_bound(family, place, dual=len(found) == 1 and not v6_only))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise cannot_listen(place, error) from None
                absent = error
        if absent is not None and not opened:
            raise cannot_listen(wanted, absent)
    except BaseException:
        close_all(opened)
        raise
    return opened


def listen(group: Sequence[socket.socket], backlog: int) -> None:
    """Makes the sockets on one address listen, in their order; called again, changes the backlog. Raises StartError."""
    # Linux lets two sockets with SO_REUSEADDR bind the same address; the second one fails here, before they share it.
    try:
        for each in group:
            each.listen(backlog)
            if len(group) > 1:
                group[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        raise cannot_listen(TCPAddress(*group[0].getsockname()[:2]), error) from None


def grow(groups: Sequence[list[socket.socket]], count: int, backlog: int) -> None:
    """Grows each group of sockets on one address to `count` sockets, which share the new connections.

    groups: if the first socket of one does not listen yet, the others do not either until `listen` is called.
    Raises OSError, and then nothing has changed.
    """
    added: list[tuple[list[socket.socket], socket.socket]] = []
    try:
        for group in groups:
            for _ in range(count - len(group)):
                added.append((group, _join(group[0])))  # noqa: PERF401 -- those before one that fails have to be closed
        for group, each in added:
            if group[0].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                each.listen(backlog)
            else:
                group[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)  # it has to fail where others listen
    except BaseException:
        close_all([each for _, each in added])
        raise
    for group, each in added:
        group.append(each)


def close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def end_all(sockets: Sequence[socket.socket]) -> None:
    """Shuts the sockets down and closes them: a process that was forked just now, a worker or a child of the
    application's, may have copies for a moment. Connections would still come to those, and be reset when they close."""
    for each in sockets:
        with suppress(OSError):  # it does not listen
            each.shutdown(socket.SHUT_RDWR)
    close_all(sockets)


def _resolve(wanted: TCPAddress) -> list[tuple[socket.AddressFamily, str]]:
    """Returns the addresses of a host, each once; an empty host is every interface."""
    try:
        found = socket.getaddrinfo(wanted.host or None, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a valid name"
        raise cannot_listen(wanted.host, str(why).lower()) from None
    each_once = {(family, _scoped(sockaddr)): None for family, _, _, _, sockaddr in found}
    return list(each_once)


def _scoped(sockaddr: tuple[object, ...]) -> str:
    host = str(sockaddr[0])
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        return f"{host}%{sockaddr[3]}"
    return host


def _bound(family: socket.AddressFamily, place: TCPAddress, *, dual: bool) -> socket.socket:
    """Returns a bound socket. dual: the unspecified IPv6 address includes IPv4, whatever the system's default is."""
    listener = _unbound(family)
    wanted = (place.host, place.port)
    try:
        if family == socket.AF_INET6:
            both = dual and ipaddress.ip_address(place.host.partition("%")[0]).is_unspecified
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        listener.bind(wanted if family != socket.AF_INET6 else socket.getaddrinfo(*wanted, family)[0][4])
    except BaseException:
        listener.close()
        raise
    return listener


def _join(first: socket.socket) -> socket.socket:
    """Returns one more bound socket on the address of `first`."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    joined = _unbound(first.family)
    try:
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if first.family == socket.AF_INET6:
            v6_only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            joined.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        joined.bind(first.getsockname())
    except BaseException:
        joined.close()
        raise
    return joined


def _unbound(family: int) -> socket.socket:
    new = socket.socket(family, socket.SOCK_STREAM)
    try:
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except BaseException:
        new.close()
        raise
    return new
