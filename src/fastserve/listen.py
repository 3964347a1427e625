"""Listening sockets: made from the configuration, described, and closed."""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fastserve.config import Config
from fastserve.errors import StartError

SOCKET_MODE = 0o666
"""Of a Unix socket that we create: a proxy usually runs as another user, and the directory decides who gets there."""

# An address of the name that this machine cannot have: no IPv6 in the kernel, or none on this interface.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listeners:
    """Listening sockets, owned: `close` closes them and removes the Unix socket that was made for them."""

    def __init__(self, sockets: Sequence[socket.socket], created: Path | None = None) -> None:
        self.sockets = tuple(sockets)
        self._created = created
        self._identity = _identity(created) if created is not None else None

    def close(self) -> None:
        """Idempotent. A path that has meanwhile become another server's socket is left alone."""
        for each in self.sockets:
            each.close()
        created, self._created = self._created, None
        if created is not None and _identity(created) == self._identity:
            with suppress(FileNotFoundError):
                created.unlink()


def open_listeners(config: Config) -> Listeners:
    """Binds and listens as the configuration says; raises StartError with the reason."""
    if config.fd is not None:
        return Listeners([_inherited(config.fd, config.backlog)])
    if config.uds is not None:
        path = Path(config.uds)
        return Listeners([_unix(path, config.backlog)], created=path)
    return Listeners(_tcp(config.host, config.port, config.backlog))


def address(listener: socket.socket) -> str:
    """The address of a socket as a person would type it: a URL, or `unix:` and the path."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{_unix_name(listener)}"
    host, port = listener.getsockname()[:2]
    return f"http://{_bracketed(host)}:{port}"


def _unix_name(listener: socket.socket) -> str:
    name = listener.getsockname()
    return "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name  # bytes: Linux' abstract namespace


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _tcp(host: str, port: int, backlog: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        addresses = _resolve(host, port)
        for family, found in addresses:
            # The addresses of a name share the port that the first one got.
            wanted = (found, opened[0].getsockname()[1] if opened else port)
            try:
                opened.append(_bind(family, wanted, dual=len(addresses) == 1))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise StartError(f"cannot listen on {_bracketed(found)}:{wanted[1]}: {_reason(error)}") from None
                absent = error
        if absent is not None and not opened:
            raise StartError(f"cannot listen on {_bracketed(host)}:{port}: {_reason(absent)}")
        for each in opened:
            _listen(each, backlog, address(each).removeprefix("http://"))
    except BaseException:
        _close_all(opened)
        raise
    return opened


def _listen(listener: socket.socket, backlog: int, name: str) -> None:
    # Linux lets two sockets with SO_REUSEADDR bind the same address; the second one fails here.
    try:
        listener.listen(backlog)
    except OSError as error:
        raise StartError(f"cannot listen on {name}: {_reason(error)}") from None


def _close_all(opened: Sequence[socket.socket]) -> None:
    for each in opened:
        each.close()


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host, each once; an empty host is every interface."""
    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid name"
        raise StartError(f"cannot listen on {host}: {str(reason).lower()}") from None
    each_once = {(family, _scoped(sockaddr)): None for family, _, _, _, sockaddr in found}
    return list(each_once)


def _scoped(sockaddr: tuple[object, ...]) -> str:
    host = str(sockaddr[0])
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        return f"{host}%{sockaddr[3]}"
    return host


def _bind(family: socket.AddressFamily, wanted: tuple[str, int], *, dual: bool) -> socket.socket:
    """A bound socket. `dual`: the unspecified IPv6 address takes IPv4 too, whatever the system's default says."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            both = dual and ipaddress.ip_address(wanted[0].partition("%")[0]).is_unspecified
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        listener.bind(wanted if family != socket.AF_INET6 else socket.getaddrinfo(*wanted, family)[0][4])
    except BaseException:
        listener.close()
        raise
    return listener


def _unix(path: Path, backlog: int) -> socket.socket:
    mode = _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on unix:{path}: {_reason(error)}") from None
    return listener


def _remove_stale(path: Path) -> int:
    """Removes the socket of a server that is no more; the mode for ours, which is kept over restarts."""
    try:
        found = path.stat()
    except OSError:
        return SOCKET_MODE  # absent, or a trouble that bind will name
    if not stat.S_ISSOCK(found.st_mode):
        raise StartError(f"cannot listen on unix:{path}: there is a file that is not a socket")
    if _answers(path):
        raise StartError(f"cannot listen on unix:{path}: address already in use")
    try:
        path.unlink()
    except OSError as error:
        raise StartError(f"cannot listen on unix:{path}: {_reason(error)}") from None
    return stat.S_IMODE(found.st_mode)


def _answers(path: Path) -> bool:
    """Whether anybody listens there. A full backlog (EAGAIN) and a refused permission mean yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _inherited(fd: int, backlog: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise StartError(f"cannot listen on descriptor {fd}: {_reason(error)}") from None
    try:
        if listener.type != socket.SOCK_STREAM or listener.family not in (
            socket.AF_INET,
            socket.AF_INET6,
            socket.AF_UNIX,
        ):
            raise StartError(f"cannot listen on descriptor {fd}: not a stream socket")
        listener.set_inheritable(False)
        listener.setblocking(False)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            _listen(listener, backlog, f"descriptor {fd}")
    except BaseException:
        listener.detach()  # not ours after all
        raise
    return listener
