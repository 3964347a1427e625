"""Inherited listening sockets: given by number, or passed by systemd's socket activation (LISTEN_FDS)."""

import errno
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from fastserve.errors import StartError
from fastserve.sockets.errors import cannot_listen

_FIRST = 3  # sd_listen_fds(3)
_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


@dataclass(frozen=True, slots=True)
class Activation:
    """The sockets that systemd passed to this process, which replace a configured address."""

    fds: tuple[int, ...] = ()

    def __str__(self) -> str:
        return "LISTEN_FDS"


def activation(environ: MutableMapping[str, str]) -> Activation | None:
    """Returns what systemd passed to this very process; None for nothing. Raises StartError for an invalid number."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    text = environ.get("LISTEN_FDS", "")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise StartError(f"LISTEN_FDS: {text!r} is not a number of descriptors")
    count = int(text)
    return Activation(tuple(range(_FIRST, _FIRST + count))) if count else None


def forget_activation(environ: MutableMapping[str, str]) -> None:
    """Removes the variables, once the sockets are taken: a child process must not take them for its own."""
    for name in _VARIABLES:
        environ.pop(name, None)


def adopt(fd: int, backlog: int | None) -> socket.socket:
    """Returns the socket of a descriptor, listening and not inheritable. Raises StartError; then `fd` stays open.

    backlog: None: the socket listens later, by `set_listening`.
    """
    listener = _stream(fd)
    try:
        if _is_connected(listener):
            raise OSError(errno.EINVAL, "")  # what listen(2) would say
        if backlog is not None:
            set_listening(listener, backlog)
    except OSError as error:
        listener.detach()  # not ours after all
        raise cannot_listen(f"descriptor {fd}", error) from None
    except StartError:
        listener.detach()
        raise
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def _is_connected(listener: socket.socket) -> bool:
    try:
        listener.getpeername()
    except OSError:
        return False
    return True


def listens(listener: socket.socket) -> bool:
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def set_listening(listener: socket.socket, backlog: int) -> None:
    """Makes a socket listen that does not yet. Raises StartError."""
    try:
        if not listens(listener):
            listener.listen(backlog)
    except OSError as error:
        raise cannot_listen(f"descriptor {listener.fileno()}", error) from None


def check(fd: int) -> None:
    """Raises StartError if the descriptor is not a stream socket; changes nothing."""
    _stream(fd).detach()


def _stream(fd: int) -> socket.socket:
    try:
        found = socket.socket(fileno=fd)
    except OSError as error:
        raise cannot_listen(f"descriptor {fd}", error) from None
    if found.type != socket.SOCK_STREAM or found.family not in _FAMILIES:
        found.detach()
        raise cannot_listen(f"descriptor {fd}", "not a stream socket")
    return found
