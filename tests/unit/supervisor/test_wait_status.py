"""How a process ended, in words, and whether it was memory."""

import signal
from pathlib import Path

import pytest

from fastserve.supervisor.wait_status import Exit, OutOfMemory, signal_name


@pytest.mark.parametrize(
    ("status", "code", "number", "words"),
    [
        (0, 0, 0, "exit status 0 (a clean stop)"),
        (1 << 8, 1, 0, "exit status 1 (the server could not start; the reason is logged)"),
        (77 << 8, 77, 0, "exit status 77"),
        (int(signal.SIGKILL), -1, signal.SIGKILL, "killed by SIGKILL (Killed)"),
        (signal.SIGSEGV | 128, -1, signal.SIGSEGV, "killed by SIGSEGV (Segmentation fault)"),  # with a core
    ],
)
def test_an_exit_in_words(status: int, code: int, number: int, words: str) -> None:
    end = Exit.of(status)
    assert (end.code, end.signal, str(end)) == (code, number, words)
    assert end.clean is (status == 0)


def test_a_signal_without_a_name() -> None:
    assert signal_name(signal.SIGRTMIN + 1) == f"signal {signal.SIGRTMIN + 1}"


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/shop\n", "shop/memory.events"),
        ("12:memory:/old\n0::/shop\n", "memory/old/memory.oom_control"),
        ("5:cpu,memory:/old\n", "memory/memory.oom_control"),
        ("0::/shop\n", "unified/shop/memory.events"),
    ],
)
def test_memory_is_found_out_by_the_control_groups_counter(tmp_path: Path, groups: str, file: str) -> None:
    counter, own = tmp_path / "fs" / file, tmp_path / "cgroup"
    counter.parent.mkdir(parents=True)
    counter.write_text("low 0\noom_kill 3\n")
    own.write_text(groups)
    memory = OutOfMemory(tmp_path / "fs", own)
    assert not memory.happened(), "what was before is no news"
    counter.write_text("low 0\noom_kill 5\n")
    assert [memory.happened() for _ in range(3)] == [True, True, False], "each is told once"
    counter.unlink()
    assert not memory.happened()


def test_without_control_groups_it_is_not_known(tmp_path: Path) -> None:
    assert not OutOfMemory(tmp_path, tmp_path / "none").happened()
