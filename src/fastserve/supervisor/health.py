"""A worker's health: whether its driver turns, and whether it has served long enough, by the scoreboard and /proc."""

import os
from pathlib import Path

from fastserve.config.config import Config
from fastserve.observe.scoreboard import Cause
from fastserve.supervisor.slots import WorkerHandle

BEAT = 1.0
"""Seconds between two signs of life of an idle worker, at most."""

SILENT_AFTER = 2.5
"""Seconds of silence after which a sibling serves a worker's sockets too."""

TURNING = 0.05
"""Seconds of silence after which a worker with connections to take counts as hanging."""

_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


def beat(config: Config) -> float:
    """Returns the seconds between two signs of life of an idle worker."""
    return min(BEAT, config.timeout_worker / 4) if config.timeout_worker else BEAT


def resident(pid: int) -> int:
    """Returns a process's resident memory in bytes; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_SIZE
    except (OSError, IndexError):
        return 0


def worn_out(child: WorkerHandle, moment: float) -> Cause | None:
    """Returns why a worker should be replaced; None if it should not."""
    config = child.config
    if config.timeout_worker and child.threads_overdue() > config.timeout_worker:
        return Cause.THREADS
    if child.request_limit and child.block["requests_total"] >= child.request_limit:
        return Cause.REQUESTS
    if config.max_worker_age and child.ready is not None and moment - child.ready >= config.max_worker_age:
        return Cause.AGE
    if config.max_worker_memory and child.block["resident"] > config.max_worker_memory:
        return Cause.RESIDENT
    return None
