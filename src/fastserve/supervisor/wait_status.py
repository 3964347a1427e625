"""How a process ended, in words: from its wait status and the kernel's count of out-of-memory kills."""

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
    """The signal that ended it; 0 if it exited."""

    @classmethod
    def of(cls, status: int) -> "Exit":
        """Reads a wait status. status: the one that waitpid returned."""
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
    """Returns a signal's name, such as SIGSEGV (Segmentation fault), or the number of one without a name."""
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
        """Returns True once for each such kill."""
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
    """Returns the file that counts: memory.events of version 2, also beside version 1, or memory.oom_control of 1."""
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
