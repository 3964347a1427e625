"""The working directory, by the name that was given: a deployment points a symbolic link at another release.

The kernel remembers a process' directory by what the name stood for at the time. Whoever started in `/srv/current`
means that name, and the shell passes it in PWD.
"""

import os
from contextlib import suppress
from pathlib import Path


def current() -> str:
    """Returns the name of the current directory: PWD if that is the same directory."""
    name = os.environ.get("PWD", "")
    with suppress(OSError, ValueError):
        if Path(name).is_absolute() and Path(name).samefile("."):
            return name
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return "/"  # it has been removed


START = current()
"""Where the process was started: its arguments are relative to this directory, whatever --chdir does."""

_name = START
_real = os.path.realpath(START)


def enter(path: str) -> None:
    """Changes to a directory, relative to `START`. Raises OSError."""
    global _name, _real
    name = str(Path(START) / path)
    os.chdir(name)
    _name, _real = name, os.getcwd()  # noqa: PTH109


def again() -> bool:
    """Changes to what the directory's name stands for now. Returns whether that is another directory. Raises OSError.

    A directory that this user may not enter, but another user started the process in, is kept.
    """
    global _real
    try:
        os.chdir(_name)
    except PermissionError:
        return False
    before, _real = _real, os.getcwd()  # noqa: PTH109
    return before != _real


def name() -> str:
    return _name
