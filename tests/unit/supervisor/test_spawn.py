"""How a worker begins: what the supervisor keeps of it, what it is given, and that a fork that fails leaves nothing."""

import json
import os

import pytest

from fastserve import Config
from fastserve.app.hooks import Hooks
from fastserve.observe.logs import AccessLog
from fastserve.observe.scoreboard import Scoreboard, State
from fastserve.sockets.listeners import SlotSockets
from fastserve.supervisor import spawn
from fastserve.supervisor.spawn import Generation, NotForkedError, WorkerResources
from kit.calls import python, reason
from kit.descriptors import opened

PROGRAM = """
import json, os, socket
from fastserve import Config
from fastserve.app.hooks import Hooks
from fastserve.ipc.after_fork import Forked
from fastserve.observe.logs import AccessLog
from fastserve.observe.scoreboard import Scoreboard
from fastserve.sockets.listeners import SlotSockets
from fastserve.supervisor.spawn import Generation, WorkerResources, start

config = Config("a:b", bind=("127.0.0.1:0",), max_requests=100, max_requests_jitter=5, timeout_startup=7)
sockets = SlotSockets.open(config, 3)
others = SlotSockets.open(config, 3)
left = []
told = []
hooks = Hooks({"pre_fork": lambda worker: told.append(worker.slot)})
scoreboard = Scoreboard(4)
resources = WorkerResources(scoreboard, hooks, AccessLog(config), None, None, lambda: left.append(True))
listening = [each.fileno() for slot in range(3) for each in sockets.of_slot(slot)]
foreign = [each.fileno() for slot in range(3) for each in others.of_slot(slot)]
ours, theirs = os.pipe()

def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

try:
    worker = start(1, Generation(config, sockets, 3), resources, siblings=True, all_sockets=(sockets, others))
except Forked:
    kept = [is_open(fd) for fd in listening], [is_open(fd) for fd in foreign]
    os.write(theirs, json.dumps([kept, left, told]).encode())
    os._exit(0)
os.close(theirs)
in_child = json.loads(os.read(ours, 1000))
status = os.waitpid(worker.pid, 0)[1]
block = [worker.block[name] for name in ("pid", "slot", "generation", "state")]
print(json.dumps({
    "in the child": in_child,
    "left behind here": left,
    "noted": block == [worker.pid, 1, 3, 1],
    "startup": worker.deadline - worker.spawned,
    "requests": worker.request_limit,
    "status": status,
    "all are open here": all(map(is_open, listening + foreign)),
    "holds its slot's": [each.fileno() for each in worker.holds] == listening[1:2],
    "mailbox": worker.mailbox is not None,
    "channel ended": worker.channel.receive() is None,
}))
"""


def test_a_worker_keeps_the_sockets_of_its_slot_and_nothing_of_the_supervisors() -> None:
    done = python(PROGRAM)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    kept, left_there, told = seen.pop("in the child")
    assert kept == [[False, True, False], [False, False, False]], "of another configuration none"
    assert (left_there, told) == ([True], [1])
    assert 100 <= seen.pop("requests") <= 105
    assert seen == {
        "left behind here": [],
        "noted": True,
        "startup": 7,
        "status": 0,
        "all are open here": True,
        "holds its slot's": True,
        "mailbox": True,
        "channel ended": True,
    }


@pytest.fixture
def resources() -> WorkerResources:
    return WorkerResources(Scoreboard(1), Hooks({}), AccessLog(Config("a:b")), None, None, lambda: None)


def begin(resources: WorkerResources) -> object:
    sockets = SlotSockets.open(Config("a:b", bind=("127.0.0.1:0",)), 1)
    try:
        generation = Generation(Config("a:b"), sockets, 0)
        return spawn.start(0, generation, resources, siblings=False, all_sockets=(sockets,))
    finally:
        sockets.close()


def test_there_is_a_most_of_processes(resources: WorkerResources) -> None:
    assert resources.scoreboard.take() is not None
    assert reason(lambda: begin(resources), NotForkedError) == "too many workers are still draining"


def test_a_fork_that_fails_leaves_nothing(resources: WorkerResources, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(spawn, "fork", refused)
    before = opened(os.getpid())
    assert reason(lambda: begin(resources), NotForkedError) == "resource temporarily unavailable"
    assert opened(os.getpid()) == before
    assert [each.state for each in resources.scoreboard.workers()] == []
    block = resources.scoreboard.take()
    assert block is not None
    assert block.state is State.STARTING
