"""Children that others have left: who gets them, and that they are found without being reaped."""

import os
import subprocess
import sys

from fastserve.supervisor import adoption
from kit.calls import python
from kit.waiting import until

SUBREAPER = """
import ctypes
from fastserve.supervisor import adoption
print(adoption.adopts())
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
print(adoption.adopts())
"""


def test_a_subreaper_adopts_and_others_do_not() -> None:
    assert python(SUBREAPER).stdout.split() == ["False", "True"]


def test_a_child_that_has_ended_is_found_and_left_to_its_owner() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        assert until(lambda: adoption.ended() == process.pid)
        assert adoption.ended() == process.pid, "it is still there"
        assert os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1]) == 7
        process.returncode = 7
    assert adoption.ended() == 0
