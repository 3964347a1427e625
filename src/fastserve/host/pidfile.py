"""The PID file: written for the programs that signal the server, and moved aside while a successor takes over.

The file is locked as long as the server runs, and the lock says who owns it: the number in a file that was left behind
may by now be any process's, and in a container always is somebody's. The lock (fcntl) is not inherited by children.
"""

import errno
import fcntl
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from fastserve.errors import StartError
from fastserve.host import safe_open

logger = logging.getLogger("fastserve")

ASIDE = ".oldbin"
"""The suffix of a PID file whose server is being replaced (as with gunicorn and nginx)."""

_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""The errors of a file system without locks: there a file is nobody's."""

_ATTEMPTS = 20
"""Attempts to write the file; each failure means that another server starts at the same time."""


class PidFile:
    """The file at `path`, which holds this process's ID and a line feed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._aside = Path(f"{path}{ASIDE}")
        self._fd = -1
        """Our file's descriptor. If Python code in this process opens the file and closes it, the lock ends."""

    def write(self) -> None:
        """Writes the file whole or not at all; a file that no server holds is taken over.

        Raises StartError if it cannot be written, is held by another server, or is not a PID file.
        """
        try:
            with safe_open.directory_of(self._path) as directory:
                for _ in range(_ATTEMPTS):
                    self._fd = self._written(directory)
                    if self._fd >= 0:
                        return
            raise OSError(errno.EBUSY, "others write it too")
        except OSError as error:
            raise StartError(f"cannot write the PID file {self._path}: {_reason(error)}") from None

    def move_aside(self) -> None:
        """Leaves the path to a successor. Raises StartError if the file cannot be renamed."""
        try:
            with safe_open.directory_of(self._path) as directory:
                os.rename(self._path.name, self._aside.name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            raise StartError(f"cannot rename the PID file {self._path} to {self._aside}: {_reason(error)}") from None

    def move_back(self) -> None:
        """Takes the path back from a successor that is gone. Does nothing if the file aside is not ours."""
        try:
            with safe_open.directory_of(self._path) as directory:
                if self._is_ours(directory, self._aside.name):
                    os.rename(self._aside.name, self._path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            logger.error("cannot rename the PID file %s to %s: %s", self._aside, self._path, _reason(error))

    def remove(self) -> None:
        """Removes our file, aside or not; another server's is left alone."""
        try:
            with safe_open.directory_of(self._path) as directory:
                for name in (self._path.name, self._aside.name):
                    if self._is_ours(directory, name):
                        os.unlink(name, dir_fd=directory)
        except OSError as error:
            logger.error("cannot remove the PID file %s: %s", self._path, _reason(error))
        self.leave_behind()

    def leave_behind(self) -> None:
        """In a forked process, which does not own the file: closes its copy."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _written(self, directory: int) -> int:
        """Returns the new file's descriptor, locked; -1 if somebody else came first. Raises OSError and StartError."""
        old = self._taken_over(directory)
        temporary = f"{self._path.name}.{os.getpid()}"
        fd = -1
        try:
            fd = _new(temporary, directory, f"{os.getpid()}\n")
            if old >= 0:
                os.rename(temporary, self._path.name, src_dir_fd=directory, dst_dir_fd=directory)
            else:
                os.link(temporary, self._path.name, src_dir_fd=directory, dst_dir_fd=directory)
                os.unlink(temporary, dir_fd=directory)
        except BaseException as error:
            if fd >= 0:
                os.close(fd)
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            if isinstance(error, FileExistsError):
                return -1
            raise
        finally:
            if old >= 0:
                os.close(old)
        return fd

    def _taken_over(self, directory: int) -> int:
        """Returns the existing file's descriptor, locked, so that nobody else can replace it meanwhile; -1 for none.

        Raises OSError, and StartError if the file must not be replaced.
        """
        while True:
            try:
                # Opens neither a link nor a FIFO that somebody has put there, as can happen in /tmp.
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                fd = os.open(self._path.name, flags, dir_fd=directory)
            except FileNotFoundError:
                return -1
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise OSError(errno.ELOOP, "it is a symbolic link") from None
                raise
            try:
                self._check(fd)
                if _is(fd, directory, self._path.name):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # its server has just removed it

    def _check(self, fd: int) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        text = os.pread(fd, 64, 0).decode("latin-1").strip()
        if text and not (text.isascii() and text.isdigit()):
            raise StartError(f"the PID file {self._path} does not hold a process ID; choose another --pid")
        if not _lock(fd):
            raise StartError(
                f"the PID file {self._path} belongs to process {text or 'of another server'}, which is alive; "
                "stop it, or choose another --pid"
            )

    def _is_ours(self, directory: int, name: str) -> bool:
        return self._fd >= 0 and _is(self._fd, directory, name)


def _new(name: str, directory: int, text: str) -> int:
    """Creates a file that holds the text, locked. Follows no link that somebody has put there. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=directory)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask: others have to read it
        if os.write(fd, text.encode()) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _lock(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int) -> bool:
    """Locks the file. Returns False if another process holds it. Raises OSError."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is(fd: int, directory: int, name: str) -> bool:
    """Whether an open file is the one of that name."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
