"""How a worker is, by /proc, and how often it says that it turns."""

import os
import subprocess
import sys

import pytest

from fastserve import Config
from fastserve.supervisor import health
from kit.waiting import PATIENCE


@pytest.mark.parametrize(("timeout", "seconds"), [(0, 1.0), (30, 1.0), (2, 0.5), (0.4, 0.1)])
def test_a_sign_of_life_comes_several_times_before_the_deadline(timeout: float, seconds: float) -> None:
    assert health.beat(Config("a:b", timeout_worker=timeout)) == pytest.approx(seconds)


def test_resident_memory_is_what_the_kernel_says() -> None:
    before = health.resident(os.getpid())
    held = bytearray(os.urandom(1) * (32 << 20))
    assert health.resident(os.getpid()) - before > 16 << 20
    del held


def test_a_process_that_is_gone_has_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert process.wait(PATIENCE) == 0
    assert health.resident(process.pid) == 0
