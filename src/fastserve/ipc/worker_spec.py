"""What the supervisor gives a forked process: plain facts, so that the supervisor need not import what serves."""

import signal
from dataclasses import dataclass

from fastserve.app.application import Application
from fastserve.app.hooks import Hooks
from fastserve.config.config import Config
from fastserve.host.privileges import Privileges
from fastserve.ipc.channel import Channel
from fastserve.ipc.mailbox import Mailbox
from fastserve.observe.logs import AccessLog
from fastserve.observe.scoreboard import Scoreboard, WorkerBlock
from fastserve.sockets.listeners import Listeners

STACKS_SIGNAL = signal.SIGRTMAX
"""Makes a worker write the Python stacks of all its threads, from C, whichever thread holds the interpreter's lock."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a forked process is to do."""

    config: Config
    slot: int
    generation: int
    listeners: Listeners
    """The sockets of the slot, and those that all workers share."""
    channel: Channel
    faults: int
    """The descriptor to which a crash is written."""
    beat: float
    """Seconds between two signs of life at most."""
    siblings: bool
    """Whether there are other workers."""
    block: WorkerBlock | None = None
    scoreboard: Scoreboard | None = None
    """The scoreboard, with its siblings' blocks."""
    mailbox: Mailbox | None = None
    """None: no sibling hands connections over to it."""
    access_log: AccessLog | None = None
    """Opened by the supervisor, who may create files that the worker's user may only write."""
    privileges: Privileges | None = None
    app: Application | None = None
    """None: the worker imports it."""
    hooks: Hooks | None = None
    role: str = ""
    """As the process title says it."""
