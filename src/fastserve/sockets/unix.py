"""Listening Unix sockets: the path that is made for one, its permissions, and its removal."""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fastserve.errors import StartError
from fastserve.sockets.errors import cannot_listen, reason

DEFAULT_MODE = 0o666
"""Open to everybody: a proxy usually runs as another user, and the directory decides who may connect."""

_UNCHANGED = -1
_LARGEST = (1 << 32) - 1  # means "unchanged" to the kernel

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions of a Unix socket's path."""

    mode: int | None = None
    """None: the mode of the socket that is replaced, else `DEFAULT_MODE`."""
    owner: str | None = None
    """USER:GROUP, USER or :GROUP, names or numbers; None: nothing is changed."""

    def apply(self, made: "SocketPath", default_mode: int | None) -> None:
        """Sets owner and mode. default_mode: the mode if none is configured; None: no change. Raises StartError."""
        mode = default_mode if self.mode is None else self.mode
        uid, gid = self.ids()
        if mode is None and (uid, gid) == (_UNCHANGED, _UNCHANGED):
            return
        try:
            with made.opened() as path:
                os.chown(path, uid, gid)
                if mode is not None:
                    Path(path).chmod(mode)
        except OSError as error:
            what = f"to {self.owner}" if self.owner is not None else "its mode"
            raise StartError(f"cannot give unix:{made.path} {what}: {reason(error)}") from None

    def ids(self) -> tuple[int, int]:
        """Returns the owner's numbers, -1 for what stays. Raises StartError for an unknown name."""
        user, _, group = (self.owner or "").partition(":")
        try:
            return _id(user, lambda name: pwd.getpwnam(name).pw_uid), _id(group, lambda name: grp.getgrnam(name).gr_gid)
        except KeyError:
            raise StartError(f"--uds-owner {self.owner}: there is no such user or group") from None


class SocketPath:
    """A path that was made for a socket, and is removed with it."""

    def __init__(self, path: str, identity: Identity | None = None) -> None:
        """identity: the socket file's, if another process has made it; None: that of the existing file."""
        self.path = Path(path).absolute()  # the working directory may change
        self.identity = identity if identity is not None else _identity(self.path)

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Yields a path to the socket that was made, never to what somebody has put in its place. Raises OSError."""
        fd = os.open(self.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != self.identity or not stat.S_ISSOCK(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.EPERM, "somebody else has put something in its place")
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Removes the path. Idempotent. Leaves it alone if it has meanwhile become another server's socket."""
        identity, self.identity = self.identity, None
        if identity is not None and _identity(self.path) == identity:
            with suppress(FileNotFoundError):
                self.path.unlink()


def bind(path: str, permissions: Permissions) -> tuple[socket.socket, SocketPath | None]:
    """Returns a bound socket, and the path that was made for it. Raises StartError.

    path: replaces the socket of a dead server; with `@` in front, a name in Linux' abstract namespace.
    """
    if path.startswith("@"):
        return _bound(path, _abstract(path, permissions)), None
    mode = _look(path)
    if mode is not None:
        _remove(path)
    default_mode = DEFAULT_MODE if mode is None else mode
    listener = _bound(path, path, default_mode if permissions.mode is None else permissions.mode)
    made = SocketPath(path)
    try:
        permissions.apply(made, default_mode)
    except BaseException:
        listener.close()
        made.remove()
        raise
    return listener, made


def listen(listener: socket.socket, backlog: int, path: str) -> None:
    """Raises StartError."""
    try:
        listener.listen(backlog)
    except OSError as error:
        raise cannot_listen(f"unix:{path}", error) from None


def check(path: str, permissions: Permissions) -> None:
    """Raises StartError if `bind` would. Does not disturb a server that listens there; keeps a dead server's socket."""
    if not path.startswith("@") and _look(path) is not None:
        permissions.ids()
        if not os.access(Path(path).parent, os.W_OK | os.X_OK):
            raise cannot_listen(f"unix:{path}", "permission denied")
        return
    listener, made = bind(path, permissions)
    listener.close()
    if made is not None:
        made.remove()


def _bound(path: str, wanted: str, most: int = DEFAULT_MODE) -> socket.socket:
    """Returns a bound socket. most: the path's mode is never more open than this, not even for a moment."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        os.fchmod(listener.fileno(), most)
        listener.bind(wanted)
    except OSError as error:
        listener.close()
        raise cannot_listen(f"unix:{path}", error) from None
    return listener


def _abstract(path: str, permissions: Permissions) -> str:
    if permissions != Permissions():
        raise cannot_listen(f"unix:{path}", "an abstract name has neither mode nor owner; give a path")
    return "\0" + path[1:]


def _look(path: str) -> int | None:
    """Returns the mode of the socket that a dead server left; None if there is none. Raises StartError otherwise."""
    try:
        found = Path(path).lstat()
    except OSError:
        return None  # absent, or a trouble that bind will name
    if not stat.S_ISSOCK(found.st_mode):
        raise cannot_listen(f"unix:{path}", "the file there is not a socket")
    if _answers(path):
        raise cannot_listen(f"unix:{path}", "address already in use")
    return stat.S_IMODE(found.st_mode)


def _remove(path: str) -> None:
    try:
        Path(path).unlink()
    except OSError as error:
        raise cannot_listen(f"unix:{path}", error) from None


def _answers(path: str) -> bool:
    """Whether anybody listens there. A full backlog (EAGAIN) and a refused permission mean yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _identity(path: Path) -> Identity | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _id(text: str, look_up: Callable[[str], int]) -> int:
    """Returns a name's number, or the number itself; -1, which changes nothing, for no text. Raises KeyError."""
    if not text:
        return _UNCHANGED
    found = int(text) if text.isascii() and text.isdigit() else look_up(text)
    if found >= _LARGEST:
        raise KeyError(text)
    return found
