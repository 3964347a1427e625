"""Descriptors, of which an ordinary user may have 1,024."""

import resource
from contextlib import suppress
from pathlib import Path

ENOUGH = 8192
SPARE = 128
"""For the pipes and sockets of the servers that run beside, and for the server's own."""


def take_what_may_be_had() -> None:
    """Raises the limit of this process, which those inherit that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def affordable(connections: int) -> int:
    """So many, or as many as this process has descriptors for."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return connections
    return min(connections, limit - len(list(Path("/proc/self/fd").iterdir())) - SPARE)


def opened(pid: int | str) -> dict[int, str]:
    """What each descriptor of a process leads to. Those that it closes meanwhile are none of them."""
    found = {}
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(each.name)] = str(each.readlink())
    return found
