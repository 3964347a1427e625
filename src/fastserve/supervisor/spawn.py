"""How a worker begins: forked, with what it needs and nothing else of the supervisor's."""

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from fastserve.app.application import Application
from fastserve.app.hooks import Hooks, WorkerInfo
from fastserve.config.config import Config
from fastserve.host.privileges import Privileges
from fastserve.ipc.after_fork import Forked, fork
from fastserve.ipc.channel import Channel
from fastserve.ipc.mailbox import Mailbox
from fastserve.ipc.worker_spec import WorkerSpec
from fastserve.observe.logs import AccessLog
from fastserve.observe.scoreboard import Scoreboard, WorkerBlock
from fastserve.sockets.listeners import Listeners, SlotSockets
from fastserve.supervisor import health
from fastserve.supervisor.slots import WorkerHandle


class NotForkedError(RuntimeError):
    """No process could be forked; the message is the reason."""


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """What every worker gets."""

    scoreboard: Scoreboard
    hooks: Hooks
    access_log: AccessLog
    privileges: Privileges | None
    app: Application | None
    """The application, if it was imported before the fork."""
    leave_behind: Callable[[], None]
    """Closes in a forked process what belongs to the supervisor."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a reload replaces: the workers of one generation have the same configuration and sockets."""

    config: Config
    sockets: SlotSockets
    number: int


def start(
    slot: int,
    generation: Generation,
    resources: WorkerResources,
    *,
    siblings: bool,
    all_sockets: tuple[SlotSockets, ...],
) -> WorkerHandle:
    """Forks a worker. Raises Forked in it, and NotForkedError.

    siblings: there are other workers.
    all_sockets: all open sockets, of which the worker keeps only its slot's.
    """
    block = resources.scoreboard.take()
    if block is None:
        raise NotForkedError("too many workers are still draining")
    resources.hooks.call("pre_fork", WorkerInfo(slot, 0, generation.number))
    with ExitStack() as taken:
        taken.callback(resources.scoreboard.give_back, block)
        try:
            ours, theirs = Channel.pair()
            taken.callback(ours.close)
            taken.callback(theirs.close)
            faults = os.memfd_create("fastserve-faults")
            taken.callback(os.close, faults)
            mailbox = Mailbox.new() if generation.config.balance_connections else None
            if mailbox is not None:
                taken.callback(mailbox.close)
            pid = fork()
        except OSError as error:
            raise NotForkedError(os.strerror(error.errno or 0).lower()) from None
        taken.pop_all()
    if pid == 0:
        ours.close()
        if mailbox is not None:
            mailbox.entry.close()
        resources.leave_behind()
        listeners = _take_along(slot, generation.sockets, all_sockets)
        spec = _spec(slot, generation, resources, listeners, theirs, faults, block, siblings)
        raise Forked(_job(replace(spec, mailbox=mailbox)))
    theirs.close()
    child = _child(pid, slot, generation, block, ours, faults)
    child.mailbox = mailbox
    return child


def _take_along(slot: int, sockets: SlotSockets, all_sockets: tuple[SlotSockets, ...]) -> Listeners:
    """In a forked worker: returns what it serves, and closes all other sockets, also those of another generation."""
    for each in all_sockets:
        for other in each.without(sockets).sockets:
            other.close()
    return sockets.keep(slot)


def _spec(
    slot: int,
    generation: Generation,
    resources: WorkerResources,
    listeners: Listeners,
    channel: Channel,
    faults: int,
    block: WorkerBlock,
    siblings: bool,
) -> WorkerSpec:
    return WorkerSpec(
        config=generation.config,
        slot=slot,
        generation=generation.number,
        listeners=listeners,
        channel=channel,
        faults=faults,
        beat=health.beat(generation.config),
        siblings=siblings,
        block=block,
        scoreboard=resources.scoreboard,
        access_log=resources.access_log,
        privileges=resources.privileges,
        app=resources.app,
        hooks=resources.hooks,
        role=f"worker {slot}",
    )


def _job(spec: WorkerSpec) -> Callable[[], int]:
    def job() -> int:
        from fastserve.worker.forked_worker import run  # what serves is not loaded into the supervisor

        return run(spec)

    return job


def _child(
    pid: int, slot: int, generation: Generation, block: WorkerBlock, channel: Channel, faults: int
) -> WorkerHandle:
    config = generation.config
    child = WorkerHandle(pid, slot, generation.number, config, block, channel, faults, spawned=time.monotonic())
    child.holds = generation.sockets.of_slot(slot)
    if config.max_requests:
        child.request_limit = config.max_requests + random.randint(0, config.max_requests_jitter)
    child.deadline = child.spawned + config.timeout_startup if config.timeout_startup else None
    for name, value in (("pid", pid), ("slot", slot), ("generation", generation.number)):
        block[name] = value
    block["spawned"] = int(child.spawned * 1000)
    return child
