"""Linux's table of TCP sockets, /proc/net/tcp: what the kernel holds for whom, which no socket tells about its peer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TIME_WAIT = "06"
LISTEN = "0A"


@dataclass(frozen=True)
class Row:
    """One socket of this network namespace, whether or not a process has it open.

    Parameters:
        local, remote: ports.
        state: one of the constants above, or another of the kernel's.
        unread: bytes that have arrived, and that nobody has read yet; of a listening socket, connections.
        inode: as links in /proc/PID/fd name it; "0" as long as nobody has accepted it.
        line: the row as the kernel writes it.
    """

    local: int
    remote: int
    state: str
    unread: int
    inode: str
    line: str


def rows() -> Iterator[Row]:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote, (_, unread) = fields[1], fields[2], fields[4].split(":")
        yield Row(_port(local), _port(remote), fields[3], int(unread, 16), fields[9], line.strip())


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)
