"""How a worker begins: forked, with what it needs and nothing else of the supervisor's."""

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from fastserve import health
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
from fastserve.slots import Child
from fastserve.sockets.listeners import Listeners, SlotSockets


class NotForkedError(RuntimeError):
    """There is no new process; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every worker gets."""

    scoreboard: Scoreboard
    hooks: Hooks
    access_log: AccessLog
    privileges: Privileges | None
    app: Application | None
    """Imported before the fork, else None."""
    leave_behind: Callable[[], None]
    """Closes, in a forked process, what is the supervisor's."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a worker is of: the configuration, and the generation that each reload begins."""

    config: Config
    sockets: SlotSockets
    generation: int


def start(
    slot: int, version: Version, equipment: Equipment, *, siblings: bool, all_sockets: tuple[SlotSockets, ...]
) -> Child:
    """Forks a worker. Raises Forked in it, and NotForkedError.

    siblings: there are other workers.
    all_sockets: those that are open, of which the worker keeps only its slot's.
    """
    block = equipment.scoreboard.take()
    if block is None:
        raise NotForkedError("too many workers are still draining")
    equipment.hooks.call("pre_fork", WorkerInfo(slot, 0, version.generation))
    with ExitStack() as taken:
        taken.callback(equipment.scoreboard.give_back, block)
        try:
            ours, theirs = Channel.pair()
            taken.callback(ours.close)
            taken.callback(theirs.close)
            faults = os.memfd_create("fastserve-faults")
            taken.callback(os.close, faults)
            mailbox = Mailbox.new() if version.config.balance_connections else None
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
        equipment.leave_behind()
        listeners = _take_along(slot, version.sockets, all_sockets)
        spec = _spec(slot, version, equipment, listeners, theirs, faults, block, siblings)
        raise Forked(_job(replace(spec, mailbox=mailbox)))
    theirs.close()
    child = _child(pid, slot, version, block, ours, faults)
    child.mailbox = mailbox
    return child


def _take_along(slot: int, sockets: SlotSockets, all_sockets: tuple[SlotSockets, ...]) -> Listeners:
    """In a forked worker: what it serves; of the sockets before or after a reload it keeps no others open."""
    for each in all_sockets:
        for other in each.without(sockets).sockets:
            other.close()
    return sockets.keep(slot)


def _spec(
    slot: int,
    version: Version,
    equipment: Equipment,
    listeners: Listeners,
    channel: Channel,
    faults: int,
    block: WorkerBlock,
    siblings: bool,
) -> WorkerSpec:
    return WorkerSpec(
        config=version.config,
        slot=slot,
        generation=version.generation,
        listeners=listeners,
        channel=channel,
        faults=faults,
        beat=health.beat(version.config),
        siblings=siblings,
        block=block,
        scoreboard=equipment.scoreboard,
        access_log=equipment.access_log,
        privileges=equipment.privileges,
        app=equipment.app,
        hooks=equipment.hooks,
        role=f"worker {slot}",
    )


def _job(spec: WorkerSpec) -> Callable[[], int]:
    def job() -> int:
        from fastserve.worker.forked_worker import run  # what serves is not loaded into the supervisor

        return run(spec)

    return job


def _child(pid: int, slot: int, version: Version, block: WorkerBlock, channel: Channel, faults: int) -> Child:
    config = version.config
    child = Child(pid, slot, version.generation, config, block, channel, faults, spawned=time.monotonic())
    child.holds = version.sockets.of_slot(slot)
    if config.max_requests:
        child.request_limit = config.max_requests + random.randint(0, config.max_requests_jitter)
    child.deadline = child.spawned + config.timeout_startup if config.timeout_startup else None
    for name, value in (("pid", pid), ("slot", slot), ("generation", version.generation)):
        block[name] = value
    block["spawned"] = int(child.spawned * 1000)
    return child
