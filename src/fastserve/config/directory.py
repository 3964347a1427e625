"""The working directory, by the name that was given: a deployment points a symbolic link at another release.

The kernel knows a process' directory by what the name stood for once. Who started in `/srv/current` means that name,
and the shell says so in PWD.
"""

import os
from contextlib import suppress
from pathlib import Path


def current() -> str:
    """The name of the current directory: PWD, where that is the same one."""
    name = os.environ.get("PWD", "")
    with suppress(OSError, ValueError):
        if Path(name).is_absolute() and Path(name).samefile("."):
            return name
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return "/"  # it has been removed


START = current()
"""Where the process was started: what its arguments say is seen from here, whatever --chdir does."""

_name = START
_real = os.path.realpath(START)


def enter(path: str) -> None:
    """Changes to a directory, as seen from `START`. Raises OSError."""
    global _name, _real
    name = str(Path(START) / path)
    os.chdir(name)
    _name, _real = name, os.getcwd()  # noqa: PTH109


def again() -> bool:
    """Changes to what the name of the directory stands for now; whether that is another one. Raises OSError.

    One that this user may not enter, but was started in by another, is kept.
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
