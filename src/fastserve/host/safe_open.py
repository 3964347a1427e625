"""Files that root opens where others may write: no link of theirs is followed, and the file is theirs or root's.

Whoever may write a directory decides what a name in it leads to. If root followed it, it would write to, give away or
read out any file of the system (CVE-2016-1247 is one of many). In directories that only root may write nothing
changes, and the kernel holds a process that is not root to its own rights.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

_MOST_LINKS = 40
"""Links followed on one path, at most; the kernel's own limit."""

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITES = os.O_WRONLY | os.O_RDWR


def open_file(path: str | Path, flags: int, user: int | None = None, mode: int = 0o666) -> int:
    """Opens as `os.open`, not inheritable; does not wait for the reader of a FIFO. Raises OSError with the reason.

    user: who besides root may own the file; None: anybody.
    For root, where others may write: no link is followed, or for reading only one to a file of the link's owner; the
    file is regular (for writing also a FIFO) and has no other name. For writing it is also root's or `user`'s.
    """
    truncate = flags & os.O_TRUNC
    flags = (flags & ~os.O_TRUNC) | os.O_CLOEXEC | (os.O_NONBLOCK if flags & _WRITES else 0)
    fd = _open_as_root(str(path), flags, user, mode) if os.geteuid() == 0 else _opened(str(path), flags, mode)
    try:
        os.set_blocking(fd, True)
        if truncate and stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_text(path: str | Path, user: int | None = None, *, errors: str = "strict") -> str:
    """Returns a file's text, UTF-8. Raises OSError and UnicodeDecodeError."""
    with os.fdopen(open_file(path, os.O_RDONLY, user), encoding="utf-8", errors=errors) as file:
        return file.read()


@contextmanager
def directory_of(path: str | Path) -> Iterator[int]:
    """Opens the directory that a file is in, for operations by name. Raises OSError.

    For root, a directory that is reached by others' links counts as theirs.
    """
    if os.geteuid() != 0:
        directory = os.open(Path(path).absolute().parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            os.close(directory)
        return
    with _Way(str(Path(path).absolute().parent), None) as way:
        way.to_the_directory()
        yield way.directory


def give(fd: int, uid: int, gid: int) -> None:
    """Makes a user the owner of an open file. A device, a FIFO and a terminal keep their owner."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.fchown(fd, uid, gid)


def _opened(name: str, flags: int, mode: int, directory: int | None = None) -> int:
    try:
        return os.open(name, flags, mode, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a FIFO, or a Unix socket
            raise OSError(errno.ENXIO, "nobody reads what is written there") from None
        raise


def _open_as_root(path: str, flags: int, user: int | None, mode: int) -> int:
    writes = bool(flags & _WRITES)
    with _Way(path, user) as way:
        name = way.to_the_end(follow=not writes)
        if not way.exposed:
            return _opened(name, flags, mode, way.directory)
        found = way.look(name)
        if found is not None:
            way.check(found, writes=writes)  # before the file is opened: opening a device may have an effect
        fd = _opened(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, way.directory)
        try:
            way.check(os.fstat(fd), writes=writes)
        except BaseException:
            os.close(fd)
            raise
        return fd


class _Way:
    """Walks to a file directory by directory. Each is held open, so that nobody can replace it meanwhile.

    directory: the last one reached.
    """

    def __init__(self, path: str, user: int | None) -> None:
        self._user = user
        self._left = list(reversed(Path(path).absolute().parts[1:]))
        self._links = 0
        self._laid_by_others = False
        """Whether somebody other than root may have chosen the way."""
        self._owners: set[int] | None = None
        """Who may have laid the links on the way, and the user; None: no such link was followed."""
        self.directory = os.open("/", _DIRECTORY)
        self._here = os.fstat(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.directory)

    @property
    def exposed(self) -> bool:
        """Whether somebody other than root may choose what a name here means."""
        return self._laid_by_others or _others_write(self._here)

    def to_the_end(self, *, follow: bool) -> str:
        """Goes to the directory that the file is in. Returns the file's name there. Raises OSError.

        follow: the last name may be a link even where others may write.
        """
        while self._left:
            name = self._left.pop()
            if self._here.st_dev == self._procfs and not self.exposed:
                return "/".join([name, *reversed(self._left)])  # its links are the kernel's own: no path replaces them
            found = self.look(name)
            if found is not None and stat.S_ISLNK(found.st_mode):
                if not self._left and not follow and self.exposed:
                    raise self._refused("a symbolic link")
                self._follow(name, found)
            elif self._left:
                self._enter(name)
            else:
                self._check_directory()
                return name
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    def to_the_directory(self) -> None:
        """Goes on to the end, which is a directory. Raises OSError."""
        while self._left:
            name = self._left.pop()
            found = self.look(name)
            if found is not None and stat.S_ISLNK(found.st_mode):
                self._follow(name, found)
            else:
                self._enter(name)
        self._check_directory()

    def look(self, name: str) -> os.stat_result | None:
        """Returns what a name here is; None if it does not exist."""
        try:
            return os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def check(self, found: os.stat_result, *, writes: bool) -> None:
        """Raises OSError for a file that others may have put there to have root open it."""
        if stat.S_ISLNK(found.st_mode):
            raise self._refused("a symbolic link")
        if not (stat.S_ISREG(found.st_mode) or (writes and stat.S_ISFIFO(found.st_mode))):
            raise self._refused("not a regular file")
        if found.st_nlink > 1 and (writes or found.st_uid == 0):  # a user's own file may be read by another name too
            raise self._refused("a file that has another name (a hard link)")
        if writes and self._user is not None and found.st_uid not in (0, self._user):
            raise self._refused(f"a file of user {found.st_uid}")

    def _check_directory(self) -> None:
        if self._owners is not None and self._here.st_uid not in self._owners:
            raise self._refused("reached by a symbolic link into a directory of somebody else's")

    def _enter(self, name: str) -> None:
        directory = os.open(name, _DIRECTORY, dir_fd=self.directory)
        self._laid_by_others |= not self._laid_by_root(os.fstat(directory))
        self._move(directory)

    def _follow(self, name: str, link: os.stat_result) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not self._laid_by_root(link):
            self._laid_by_others = True
            owners = {link.st_uid, self._here.st_uid, self._user or 0} - {0}
            self._owners = owners if self._owners is None else self._owners & owners
        target = Path(os.readlink(name, dir_fd=self.directory))
        if target.is_absolute():
            self._move(os.open("/", _DIRECTORY))
        self._left += reversed(target.parts[1:] if target.is_absolute() else target.parts)

    def _move(self, directory: int) -> None:
        os.close(self.directory)
        self.directory, self._here = directory, os.fstat(directory)

    def _laid_by_root(self, entry: os.stat_result) -> bool:
        """Whether only root can have put an entry here. In root's directory that is sticky or writable by a group,
        others can create entries of their own, but none of root's."""
        if self._laid_by_others:
            return False
        kept = not self._here.st_mode & stat.S_IWOTH or self._here.st_mode & stat.S_ISVTX
        return not _others_write(self._here) or bool(self._here.st_uid == 0 and kept and entry.st_uid == 0)

    @cached_property
    def _procfs(self) -> int:
        """Returns the device of /proc; -1 if it is not mounted."""
        try:
            return Path("/proc/self/fd").stat().st_dev
        except OSError:
            return -1

    def _refused(self, what: str) -> OSError:
        why = f"it is {what} where others than root may write (its directory, or one above)"
        return OSError(errno.EPERM, f"{why}; root does not open it")


def _others_write(directory: os.stat_result) -> bool:
    """Whether anybody but root may write the directory."""
    return directory.st_uid != 0 or bool(directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
