"""How a process ended, in words: from its wait status, and from what the kernel counted beside it."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

from fastserve.errors import ExitStatus

_CGROUP = Path("/sys/fs/cgroup")
_MEANINGS = {int(status): status.meaning for status in ExitStatus}


class Exit(NamedTuple):
    """The end of a process."""

    code: int
    """Its exit status; -1 when a signal ended it."""
    signal: int
    """0 when it exited by itself."""

    @classmethod
    def of(cls, status: int) -> "Exit":
        """status: what waitpid gave."""
        code = os.waitstatus_to_exitcode(status)
        return cls(code, 0) if code >= 0 else cls(-1, -code)

    @property
    def clean(self) -> bool:
        return self.code == ExitStatus.CLEAN

    def __str__(self) -> str:
        if self.signal:
            return f"killed by {signal_name(self.signal)}"
        try:
            return f"exit status {self.code} ({_MEANINGS[self.code]})"
        except KeyError:
            return f"exit status {self.code}"


def signal_name(number: int) -> str:
    """SIGSEGV (Segmentation fault), or the number of one that has no name."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} ({signal.strsignal(number)})"


class OutOfMemory:
    """Counts how often the kernel killed a process of our control group for want of memory.

    root: where control groups are mounted.
    """

    def __init__(self, root: Path = _CGROUP, groups: Path = Path("/proc/self/cgroup")) -> None:
        self._events = _events(root, groups)
        self._seen = self._count()

    def happened(self) -> bool:
        """Whether it did once more than this was answered with yes."""
        if self._count() <= self._seen:
            return False
        self._seen += 1
        return True

    def _count(self) -> int:
        if self._events is None:
            return 0
        try:
            lines = self._events.read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _events(root: Path, groups: Path) -> Path | None:
    """Version 2: memory.events, also where it is mounted beside version 1; version 1: memory.oom_control."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if controllers == "":
            candidates = [root / inside / "memory.events", root / "unified" / inside / "memory.events"]
        elif "memory" in controllers.split(","):
            candidates = [root / "memory" / inside / "memory.oom_control", root / "memory" / "memory.oom_control"]
        else:
            continue
        for each in candidates:
            if each.is_file():
                return each
    return None
