"""Which processes there are of a supervisor's session, however they came to be in it."""

from pathlib import Path

from kit.waiting import PATIENCE, until

_SESSION = 3
"""The field of /proc/PID/stat after the name in parentheses, from 0."""


def members(session: int) -> list[int]:
    """Process IDs of the session, zombies left away."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[_SESSION]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def empty(session: int, timeout: float = PATIENCE) -> bool:
    """Waits until no process of the session is left."""
    return until(lambda: members(session) == [], timeout)
