"""The PID file: written for the programs that signal the server, and moved aside while a successor takes over."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from fastserve.errors import StartError

logger = logging.getLogger("fastserve")

ASIDE = ".oldbin"
"""What the name of a PID file ends in whose server is being replaced (as gunicorn and nginx have it)."""


class PidFile:
    """The file at `path`, which holds this process's ID and a line feed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._aside = Path(f"{path}{ASIDE}")

    def write(self) -> None:
        """Writes the file whole or not at all; one that a dead process left is taken over.

        Raises StartError when it cannot be written, is another live process's, or is no PID file.
        """
        temporary = Path(f"{self._path}.{os.getpid()}")
        try:
            self._refuse_another()
            _write_new(temporary, f"{os.getpid()}\n")
            temporary.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise StartError(f"cannot write the PID file {self._path}: {_reason(error)}") from None

    def move_aside(self) -> None:
        """Leaves the path to a successor; raises StartError when that cannot be done."""
        try:
            self._path.rename(self._aside)
        except OSError as error:
            raise StartError(f"cannot rename the PID file {self._path} to {self._aside}: {_reason(error)}") from None

    def move_back(self) -> None:
        """Takes the path back from a successor that is gone; nothing when the file aside is not ours."""
        if _holder(self._aside) != os.getpid():
            return
        try:
            self._aside.replace(self._path)
        except OSError as error:
            logger.error("cannot rename the PID file %s to %s: %s", self._aside, self._path, _reason(error))

    def remove(self) -> None:
        """Removes our file, aside or not; one that holds another process's ID is left alone."""
        for path in (self._path, self._aside):
            if _holder(path) == os.getpid():
                try:
                    path.unlink()
                except OSError as error:
                    logger.error("cannot remove the PID file %s: %s", path, _reason(error))

    def _refuse_another(self) -> None:
        text = _text(self._path)
        pid = _pid(text)
        if text.strip() and pid is None:
            raise StartError(f"the PID file {self._path} holds something else than a process ID; choose another --pid")
        if pid not in (None, os.getpid()) and _alive(pid):
            raise StartError(
                f"the PID file {self._path} belongs to process {pid}, which is alive; "
                "stop it, or if it is no server of yours remove the file"
            )


def _write_new(path: Path, text: str) -> None:
    """Never through a link that somebody has put there, as might be in /tmp."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
        os.fchmod(file.fileno(), 0o644)  # whatever the umask: it is there to be read
        file.write(text)


def _text(path: Path) -> str:
    """Empty for a file that is not there; the beginning of a long one."""
    try:
        with path.open("rb") as file:
            return file.read(64).decode("latin-1")
    except FileNotFoundError:
        return ""


def _pid(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31 else None


def _holder(path: Path) -> int | None:
    try:
        return _pid(_text(path))
    except OSError:
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
