"""A process beside the workers: started again whenever it ends, heard, and ended."""

import json

import pytest

from kit.calls import python

PROGRAM = """
import json, os, signal, sys, time
from fastserve.ipc.after_fork import Forked
from fastserve.supervisor import helper_processes
from fastserve.supervisor.helper_processes import HelperProcess

helper_processes.PAUSE = 0.05
left = []

class Helper(HelperProcess):
    name = "helping"
    def job(self, channel):
        channel.send("born", pid=os.getpid(), left=left)
        how = sys.argv[1]
        if how == "waits":
            signal.pause()
        if how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            channel.send("deaf")
            while True:
                signal.pause()
        return int(how)
    def hear(self, channel):
        message = channel.receive()
        if message is None:
            self.close_channel()
        else:
            heard.append([message.kind, message.values])

heard = []
helper = Helper(lambda: left.append("what is the supervisor's"))

def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        helper.reap()
        helper.step()
        time.sleep(0.005)

try:
    exec(sys.argv[2])
except Forked as forked:
    os._exit(forked.job())
print(json.dumps(heard))
"""


def heard(how: str, script: str) -> list[tuple[str, dict[str, object]]]:
    done = python(PROGRAM, how, script)
    assert done.returncode == 0, done.stderr
    found: list[tuple[str, dict[str, object]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("status", ["0", "1"])
def test_it_is_started_again_whenever_it_ends(status: str) -> None:
    said = heard(status, "until(lambda: len(heard) == 3); helper.end(); assert helper.pid == 0")
    assert [kind for kind, _ in said] == ["born"] * 3
    assert len({str(values["pid"]) for _, values in said}) == 3
    assert all(values["left"] == ["what is the supervisor's"] for _, values in said)


def test_it_is_ended() -> None:
    script = (
        "until(lambda: heard); pid = helper.pid; assert helper.due() is None; assert helper.fileno() >= 0;"
        "helper.end(); assert helper.fileno() == -1; assert helper.due() > time.monotonic() - 1\n"
        "try:\n    os.kill(pid, 0)\nexcept ProcessLookupError:\n    pass\nelse:\n    raise AssertionError('it lives')"
    )
    assert len(heard("waits", script)) == 1


def test_one_that_does_not_hear_is_killed() -> None:
    script = "helper_processes.GRACE = 0.05; until(lambda: len(heard) == 2); helper.end(); assert helper.pid == 0"
    assert [kind for kind, _ in heard("deaf", script)] == ["born", "deaf"]


def test_one_that_cannot_be_forked_is_tried_again_later() -> None:
    script = """
def refused():
    raise BlockingIOError(11, "Resource temporarily unavailable")
fork, helper_processes.fork = helper_processes.fork, refused
open_before = len(os.listdir("/proc/self/fd"))
helper.step()
assert helper.pid == 0 and helper.due() > time.monotonic()
assert len(os.listdir("/proc/self/fd")) == open_before
helper_processes.fork = fork
until(lambda: heard)
helper.end()
"""
    assert len(heard("waits", script)) == 1
