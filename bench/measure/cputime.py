"""CPU time and resident memory of a process tree, from /proc.

/proc/PID/task/TID/schedstat gives a thread's run time in nanoseconds, and takes it along when the thread ends.
/proc/PID/stat has the time of all threads that there ever were, to the tick of 10 ms. `spent` takes the first, and the
second where threads have come and gone, as they do under an application that starts one for a request.
"""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # nanoseconds


MISSING_TICKS = 3  # by which a process's two figures may differ: each reading is cut to the tick


class VanishedError(Exception):
    """A process of the tree has ended between two readings, so that its CPU time is unknown."""


@dataclass(frozen=True)
class Reading:
    """Run time in nanoseconds of every thread of a process tree, by (process id, thread id), and of every process."""

    threads: dict[tuple[int, int], int]
    processes: dict[int, int]


def tree(pid: int) -> list[int]:
    """The process `pid` and all its descendants that are alive now."""
    found = [pid]
    for parent in found:
        for task in _tasks(parent):
            found += _children(parent, task)
    return found


def read_cpu(pid: int) -> Reading:
    """Raises VanishedError when `pid` itself has ended."""
    threads: dict[tuple[int, int], int] = {}
    processes: dict[int, int] = {}
    for process in tree(pid):
        for task in _tasks(process):
            try:
                text = (PROC / str(process) / "task" / str(task) / "schedstat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while it was being read: `spent` notices if it had been there before
            threads[process, task] = int(text.split()[0])
        try:
            fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        processes[process] = (int(fields[11]) + int(fields[12])) * TICK
    if not any(process == pid for process, _ in threads):
        raise VanishedError(f"process {pid} has ended")
    return Reading(threads, processes)


def spent(before: Reading, after: Reading) -> int:
    """Nanoseconds of CPU time between two readings; what began in between counts from zero. Raises VanishedError."""
    if gone := before.processes.keys() - after.processes.keys():
        raise VanishedError("ended during the measurement: " + ", ".join(f"process {pid}" for pid in sorted(gone)))
    return sum(_spent(pid, before, after) for pid in after.processes)


def _spent(pid: int, before: Reading, after: Reading) -> int:
    """Of one process."""
    then, now = ({key: time for key, time in each.threads.items() if key[0] == pid} for each in (before, after))
    threads = sum(now.values()) - sum(then.values())
    process = after.processes[pid] - before.processes.get(pid, 0)
    seen = then.keys() <= now.keys() and process - threads <= MISSING_TICKS * TICK
    return threads if seen else process


def core_busy(core: int) -> int:
    """Nanoseconds that `core` has not been idle since the start of the machine, time stolen by a hypervisor included.

    To the tick only (10 ms): good for saying how quiet a machine is, not for measuring a server.
    """
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) * TICK
    raise ValueError(f"/proc/stat has no cpu{core}")


def resident(pid: int) -> int:
    """Resident memory of the whole tree in bytes; pages that processes share are counted once for each."""
    total = 0
    for process in tree(pid):
        try:
            total += int((PROC / str(process) / "statm").read_text().split()[1]) * PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def _tasks(pid: int) -> list[int]:
    try:
        return [int(entry.name) for entry in (PROC / str(pid) / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _children(pid: int, task: int) -> list[int]:
    try:
        return [int(child) for child in (PROC / str(pid) / "task" / str(task) / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
