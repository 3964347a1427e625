"""What the supervisor knows of each worker process, and of each slot, in which workers follow one another."""

import enum
import socket
from dataclasses import dataclass, field

from fastserve.config.config import Config
from fastserve.ipc.channel import Channel
from fastserve.ipc.mailbox import Mailbox
from fastserve.observe.scoreboard import Cause, State, WorkerBlock, now

SHORT_LIFE = 1.0
"""Seconds: a worker that ends sooner after it was ready is not replaced immediately."""

LONGEST_PAUSE = 30.0
"""Seconds between two attempts, at most, however many have failed."""

LONGEST_OUTAGE = 2.0
"""The same while no worker serves at all."""


class Ending(enum.Enum):
    """How far the forced end of a worker has come that does not end on its own."""

    NONE = 0
    STACKS = 1
    """Asked for the Python stacks of its threads."""
    ABORTED = 2
    FORCED = 3
    """Told to end at once, whatever it is doing."""
    KILLED = 4


@dataclass(slots=True, eq=False)
class WorkerHandle:
    """One worker process, from its fork to its reaping. Times are time.monotonic's seconds."""

    pid: int
    slot: int
    generation: int
    config: Config
    block: WorkerBlock
    channel: Channel
    faults: int
    """The descriptor to read what it writes about its own crash."""
    spawned: float
    ready: float | None = None
    cause: Cause | None = None
    """Why it has to end; None while it goes on."""
    deadline: float | None = None
    """When the next step towards its end is due."""
    ending: Ending = Ending.NONE
    request_limit: int = 0
    """0 is no limit."""
    failure: tuple[str, str] | None = None
    """Why it could not start, in its own words: the reason and the traceback."""
    holds: tuple[socket.socket, ...] = ()
    """The sockets of its slot that it was given."""
    covers: dict[int, tuple[socket.socket, ...]] = field(default_factory=dict)
    """The sockets of other slots that it serves too, by slot."""
    releasing: set[int] = field(default_factory=set)
    """Covered slots that it was told to release but may still be serving."""
    listening: bool = True
    """Whether it may still have its own slot's sockets."""
    faults_read: int = 0
    stacks_due: float | None = None
    """When to read the stacks that it was asked for while it goes on."""
    mailbox: Mailbox | None = None
    """None: it neither hands connections over nor takes them."""
    hangs: bool = False
    """Whether connections wait for it while its driver does not turn."""

    @property
    def name(self) -> str:
        return f"worker {self.slot} (pid {self.pid})"

    @property
    def serving(self) -> bool:
        """Whether it takes connections, as far as it has said."""
        return self.block.state is State.SERVING

    def silence(self) -> float:
        """Seconds since its driver last turned."""
        return max(now() - self.block["heartbeat"], 0) / 1000

    def threads_overdue(self) -> float:
        """Seconds for which all threads of a WSGI worker have been late; 0 while one is not."""
        since = self.block["threads_overdue_since"]
        return max(now() - since, 0) / 1000 if since else 0.0


class Closing(enum.Enum):
    """How far the closing of a slot has come."""

    STEERED = 1
    """New connections go elsewhere; handshakes that had begun are completed here."""
    EMPTYING = 2
    """Its worker is told to end; a sibling takes what still waits."""
    RELEASING = 3
    """Nothing waits any more. The sockets leave the kernel's group when the last process has closed them."""


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one worker at a time, with sockets of its own."""

    index: int
    current: WorkerHandle | None = None
    """The worker that has the slot: from its readiness until it ends or is told to."""
    coming: WorkerHandle | None = None
    """The worker that will have the slot, and is not ready yet."""
    cause: Cause | None = None
    """Why `coming` replaces `current`."""
    failed_starts: int = 0
    """One after another."""
    short_lives: int = 0
    """One after another."""
    not_before: float = 0.0
    """When the next worker may be started."""
    closing: Closing | None = None
    closing_until: float = 0.0

    def start_failed(self, moment: float, *, others: bool) -> float:
        """Notes that a worker did not become ready. Returns the seconds until the next attempt.

        others: there are workers that serve.
        """
        self.failed_starts += 1
        pause = _pause(1.0, self.failed_starts - 1, others=others)
        self.not_before = moment + pause
        return pause

    def lost(self, child: WorkerHandle, moment: float, *, others: bool) -> float:
        """Notes that a ready worker has ended without being told to. Returns the seconds until the next one.

        others: there are workers that serve.
        """
        lived = moment - child.ready if child.ready is not None else 0.0
        self.short_lives = self.short_lives + 1 if lived < SHORT_LIFE else 0
        pause = _pause(0.1, self.short_lives, others=others) if self.short_lives else 0.0
        self.not_before = moment + pause
        return pause

    def try_at_once(self) -> None:
        """Forgets the failures, since something has changed."""
        self.failed_starts, self.short_lives, self.not_before = 0, 0, 0.0


def _pause(first: float, doubled: int, *, others: bool) -> float:
    """Returns the pause in seconds: doubled with each failure, up to a bound."""
    return min(first * 2.0 ** min(doubled, 16), LONGEST_PAUSE if others else LONGEST_OUTAGE)
