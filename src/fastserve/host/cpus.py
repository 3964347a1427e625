"""How many CPUs this process may use: by the control group's quota and the affinity, not by what the machine has."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = "sys/fs/cgroup"


def available(root: Path = Path("/")) -> int:
    """Returns how many CPUs this process may use, at least 1; a quota is rounded up.

    root: where /proc and /sys are.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [-(-quota // period) for quota, period in _quotas(root) if quota > 0 and period > 0]
    return max(min([allowed, *quotas]), 1)


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """Yields quota and period, in microseconds, of our group and of those around it: each of them bounds us."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for folder in _folders(root / _GROUPS, path):
                yield _numbers(_read(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu")):
                for folder in _folders(root / _GROUPS / mount, path):
                    yield _numbers(f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}")


def _folders(mount: Path, path: str) -> Iterator[Path]:
    """Yields the group's folder and those above it. In a container the path may be the host's: its folders do not exist
    here, and our group is the mount itself. Or the path may lead out of what is mounted."""
    inside = PurePosixPath(path.lstrip("/"))
    if ".." not in inside.parts:
        yield from (mount / each for each in (inside, *inside.parents))
    else:
        yield mount


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _numbers(text: str | None) -> tuple[int, int]:
    """Returns quota and period; zeros if there is no limit: "max", -1, or no such file."""
    words = (text or "").split()
    if len(words) == 2 and all(word.isdigit() for word in words):
        return int(words[0]), int(words[1])
    return 0, 0
