"""The world that `Workers` acts upon, in memory: a clock that stands, processes that are none, sockets nobody binds.

What passes between the supervisor and a worker is real: channels, mailboxes, the scoreboard, and the memory of faults.
"""

import array
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from fastserve.app.hooks import HOOKS, Hooks
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.ipc.channel import Channel, Message
from fastserve.ipc.mailbox import Mailbox
from fastserve.observe.logs import AccessLog
from fastserve.observe.scoreboard import Scoreboard
from fastserve.sockets.listeners import Listeners, SlotSockets
from fastserve.supervisor.slots import Closing, WorkerHandle
from fastserve.supervisor.spawn import Generation, NotForkedError, WorkerResources
from fastserve.supervisor.workers import Workers

FIRST_PID = 1 << 23
"""Above every process ID that Linux gives: a signal that really was sent would reach nobody."""

TAKEN = -1
"""Instead of a wait status: somebody else has taken it."""


class Clock:
    """Stands in for the module `time`, and stands still."""

    def __init__(self) -> None:
        self.now = 5000.0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return round(self.now * 1e9)


class FakeSockets(SlotSockets):
    """One address, a socket for each slot, and a record of what was done to them."""

    def __init__(self, slots: int, *, listening: bool = True) -> None:
        self.groups = [_socket() for _ in range(slots)]
        self.is_listening = listening
        self.cannot_listen = ""
        self.can_steer = True
        self.most_slots = 99
        self.steered: int | None = None
        """The slots that new connections are steered to; None: to all."""
        self.queued: dict[int, int] = {}
        """Connections that nobody has accepted, by slot."""
        self.closed_slots: list[tuple[int, bool]] = []
        """Each with whether another supervisor had it too."""
        self.given_up = False
        self.next: FakeSockets | None = None
        """What `reopened` gives."""

    @property
    def slots(self) -> int:
        return len(self.groups)

    def of_slot(self, index: int) -> tuple[socket.socket, ...]:
        return (self.groups[index],) if index < len(self.groups) else ()

    @property
    def listening(self) -> bool:
        return self.is_listening

    def listen(self) -> None:
        if self.cannot_listen:
            raise StartError(self.cannot_listen)
        self.is_listening = True

    def reopened(self, config: Config) -> SlotSockets:
        self.next = FakeSockets(self.slots)
        return self.next

    def without(self, other: SlotSockets) -> Listeners:
        return self if self is not other else Listeners(())  # type: ignore[return-value]

    def close(self, *, keep_paths: bool = False) -> None:
        self.given_up = True
        for each in self.groups:
            each.close()

    def add_slot(self) -> int:
        if self.slots >= self.most_slots:
            raise OSError(24, "Too many open files")
        self.groups.append(_socket())
        return self.slots - 1

    def close_slot(self, index: int, *, shared: bool = False) -> None:
        assert index == self.slots - 1 > 0
        self.groups.pop().close()
        self.closed_slots.append((index, shared))

    def steer(self, slots: int) -> bool:
        self.steered = slots if self.can_steer else None
        return self.can_steer

    def unsteer(self) -> None:
        self.steered = None

    def waiting(self, index: int) -> int:
        return self.queued.get(index, 0)


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@dataclass(eq=False)
class Worker:
    """A fake process as seen from inside: its end of the channel, and what has come to it."""

    handle: WorkerHandle
    end: Channel
    signals: list[signal.Signals] = field(default_factory=list)
    turns: bool = True
    """Whether it gives signs of life."""
    status: int | None = None
    """What waitpid gives, once it has ended."""

    def heard(self, *kinds: str) -> list[Message]:
        """The messages that have come since this was asked the last time, of these kinds; what they carry is closed."""
        found = []
        while True:
            try:
                message = self.end.receive()
            except BlockingIOError:
                break
            if message is None:
                break
            for each in message.descriptors:
                os.close(each)
            found.append(message)
        return [each for each in found if not kinds or each.kind in kinds]

    def uncovers(self) -> list[int]:
        """Lets go of what it was told to, and says so; the slots."""
        found = [each.values["slot"] for each in self.heard("uncover")]
        for slot in found:
            self.end.send("uncovered", slot=slot)
        return found

    def goes(self) -> Self:
        """Stops listening, and ends without an error."""
        self.end.send("draining")
        return self.ends(0)

    def ends(self, code: int = 0, by: signal.Signals | None = None) -> Self:
        """With an exit status, or by a signal; the supervisor finds out when it reaps."""
        self.status = int(by) if by is not None else code << 8
        self.turns = False
        return self

    def faults(self, text: str) -> Self:
        """Writes about its own crash."""
        os.write(self.handle.faults, text.encode())
        return self


class World:
    """Workers, and all that they act upon.

    options: of their configuration.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workers: int, sockets: FakeSockets, **options: Any) -> None:
        self.clock = Clock()
        self.config = Config("served:app", **options)
        self.sockets = sockets
        self.scoreboard = Scoreboard(32)
        self.ended: list[tuple[int, str]] = []
        """What the hook `worker_exit` was told: the slot, and how the worker ended."""
        self.processes: list[Worker] = []
        self.cannot_fork = ""
        self.resident: dict[int, int] = {}
        self.all_sockets: list[FakeSockets] = [sockets]
        hooks = Hooks({name: self._note_end for name in HOOKS if name == "worker_exit"})
        resources = WorkerResources(self.scoreboard, hooks, AccessLog(self.config), None, None, lambda: None)
        for module in ("supervisor.workers", "supervisor.termination", "observe.scoreboard"):
            monkeypatch.setattr(f"fastserve.{module}.time", self.clock)
        monkeypatch.setattr("fastserve.supervisor.workers.start", self._spawn)
        monkeypatch.setattr("fastserve.supervisor.health.resident", lambda pid: self.resident.get(pid, 1 << 20))
        monkeypatch.setattr("os.waitpid", self._waitpid)
        monkeypatch.setattr("os.kill", self._kill)
        self.workers = Workers(self.config, workers, sockets, resources)

    def _note_end(self, worker: Any) -> None:
        self.ended.append((worker.slot, worker.exit))

    # ---- processes

    def _spawn(
        self,
        slot: int,
        generation: Generation,
        resources: WorkerResources,
        *,
        siblings: bool,
        all_sockets: tuple[SlotSockets, ...],
    ) -> WorkerHandle:
        if self.cannot_fork:
            raise NotForkedError(self.cannot_fork)
        block = self.scoreboard.take()
        assert block is not None
        ours, theirs = Channel.pair()
        pid = FIRST_PID + len(self.processes)
        handle = WorkerHandle(
            pid, slot, generation.number, generation.config, block, ours, os.memfd_create("faults"), self.clock.now
        )
        handle.holds = generation.sockets.of_slot(slot)
        handle.request_limit = generation.config.max_requests
        handle.deadline = self.clock.now + generation.config.timeout_startup
        handle.mailbox = Mailbox.new() if generation.config.balance_connections else None
        for name, value in (("pid", pid), ("slot", slot), ("generation", generation.number)):
            block[name] = value
        self.processes.append(Worker(handle, theirs))
        self._beat()
        return handle

    def _waitpid(self, pid: int, _options: int) -> tuple[int, int]:
        found = self._process(pid)
        if found.status is None:
            return 0, 0
        if found.status == TAKEN:
            raise ChildProcessError
        return pid, found.status

    def _kill(self, pid: int, number: int) -> None:
        found = self._process(pid)
        if found.status == TAKEN:
            raise ProcessLookupError
        found.signals.append(signal.Signals(number))

    def _process(self, pid: int) -> Worker:
        return self.processes[pid - FIRST_PID]

    def _beat(self) -> None:
        for each in self.processes:
            if each.turns:
                each.handle.block["heartbeat"] = self.clock.monotonic_ns() // 1_000_000

    # ---- what the test does

    def step(self, seconds: float = 0.0) -> Self:
        """So many seconds later: reaps as on SIGCHLD, and does the step."""
        self.clock.now += seconds
        self._beat()
        self.workers.reap()
        self.workers.step()
        return self

    def steps(self, seconds: float, times: int) -> Self:
        for _ in range(times):
            self.step(seconds)
        return self

    def until_due(self) -> float:
        """Goes on to what `due` says is next, as the supervisor does; the seconds that it slept."""
        due = self.workers.due()
        assert due is not None
        before = self.clock.now
        self.step(max(due - before, 0.0))
        return self.clock.now - before

    def boot(self) -> list[Worker]:
        """Starts the workers and has them become ready."""
        self.step()
        found = self.processes[:]
        for each in found:
            each.end.send("ready")
        self.step()
        assert self.workers.booted
        for each in found:
            each.heard()
        return found

    def born(self) -> Worker:
        """The worker that was started last."""
        return self.processes[-1]

    def ready(self, worker: Worker | None = None) -> Worker:
        """A worker, or the last one, becomes ready."""
        found = worker or self.born()
        found.end.send("ready")
        self.step()
        assert found.handle.serving
        return found

    def current(self, slot: int) -> Worker | None:
        handle = self.workers.slots[slot].current
        return None if handle is None else self._process(handle.pid)

    def booted(self) -> bool:
        return self.workers.booted

    def clean(self) -> bool:
        return self.workers.clean

    def listening(self) -> bool:
        return self.sockets.listening

    def reloading(self) -> bool:
        return self.workers.reloading

    def failure(self) -> tuple[str, str] | None:
        return self.workers.failure

    def reason(self) -> str:
        """Of a start that failed."""
        assert self.workers.failure is not None
        return self.workers.failure[0]

    def closing(self, slot: int) -> Closing | None:
        return self.workers.slots[slot].closing

    def count_end(self, cause: str) -> int:
        return self.scoreboard.supervisor[f"ended_{cause}"]

    def reload(self, workers: int | None = None, **options: Any) -> FakeSockets:
        """As the supervisor does on HUP; the sockets of the new configuration."""
        config = Config("served:app", **options)
        sockets = self.workers.reopened(config)
        assert isinstance(sockets, FakeSockets)
        self.all_sockets.append(sockets)
        self.workers.reload(config, workers or self.workers.wanted, sockets)
        self.step()
        return sockets

    def close(self) -> None:
        for worker in self.processes:
            worker.end.close()
            if self.workers.children.get(worker.handle.pid) is worker.handle:
                worker.handle.channel.close()
                os.close(worker.handle.faults)
        for mailbox in self.workers.mailboxes():
            mailbox.close()
        for sockets in self.all_sockets:
            sockets.close()


NewWorld = Callable[..., World]


def letter(worker: Worker, text: bytes) -> socket.socket:
    """Puts a connection into a worker's mailbox, as a sibling does; its other end."""
    ours, theirs = socket.socketpair()
    assert worker.handle.mailbox is not None
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
    worker.handle.mailbox.entry.sendmsg([text], [rights])
    theirs.close()
    return ours


def letters(worker: Worker) -> list[bytes]:
    """Takes all out of its mailbox; their texts."""
    assert worker.handle.mailbox is not None
    found: list[bytes] = []
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(worker.handle.mailbox.box, 256, 1)
        except BlockingIOError:
            return found
        if not text:
            return found
        for each in descriptors:
            os.close(each)
        found.append(text)
