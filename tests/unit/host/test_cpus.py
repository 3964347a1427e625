"""How many CPUs there are to have, and which one a worker is bound to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastserve.host import affinity, cpus
from kit.calls import python, reason


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A root with /proc/self/cgroup and the given files of control groups, and eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))

    def made(group: str, **files: str) -> Path:
        for name, text in {"proc/self/cgroup": group, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/cpu,cpuacct/"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {}, 8),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "400000 100000\n", V2 + "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "1600000 100000\n"}, 8),
        ("0::/docker/of-the-host\n", {V2 + "cpu.max": "200000 100000\n"}, 2),
        ("0::/../../a\n", {V2 + "cpu.max": "200000 100000\n", V2 + "a/cpu.max": "100000 100000\n"}, 2),
        ("0::/\n", {V2 + "cpu.max": "lots\n"}, 8),
        (
            "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n",
            {V1 + "a/cpu.cfs_quota_us": "250000\n", V1 + "a/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/a\n",
            {V1 + "a/cpu.cfs_quota_us": "-1\n", V1 + "a/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        (
            "4:cpu:/a\n",
            {V2 + "cpu/cpu.cfs_quota_us": "100000\n", V2 + "cpu/cpu.cfs_period_us": "50000\n"},
            2,
        ),
    ],
)
def test_how_many_cpus_there_are(
    machine: Callable[..., Path], group: str, files: dict[str, str], expected: int
) -> None:
    assert cpus.available(machine(group, **files)) == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert cpus.available(tmp_path) == len(os.sched_getaffinity(0))
    assert 1 <= cpus.available() <= len(os.sched_getaffinity(0))


def test_a_worker_gets_a_cpu_of_its_own_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 3, 4, 5, 9})
    assert [affinity.cpu_of(slot, "auto") for slot in range(6)] == [{1}, {3}, {4}, {5}, {9}, {1}]
    assert [affinity.cpu_of(slot, "3-5,9") for slot in range(5)] == [{3}, {4}, {5}, {9}, {3}]
    assert affinity.cpu_of(0, "") is None
    assert reason(lambda: affinity.cpu_of(0, "1,7-9")) == (
        "--cpu-affinity 1,7-9: there is no CPU 7 to be used here, only 1, 3, 4, 5, 9"
    )


def test_a_process_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    last = max(os.sched_getaffinity(0))
    code = (
        "import os\nfrom fastserve.host.affinity import apply, cpu_of\n"
        f"apply(None)\napply(cpu_of(0, '{last}'))\nprint(os.sched_getaffinity(0))"
    )
    assert python(code).stdout == f"{{{last}}}\n"
    assert "cannot bind a worker to CPU 4095: " in reason(lambda: affinity.apply({4095}))
