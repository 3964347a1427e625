"""The workers: started, replaced one at a time, restarted when they end, scaled up and down.

Everything here is a step towards the wanted state: `step` compares it with the present one and does what is due.
Nothing waits.
"""

import logging
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from fastserve.app.hooks import WorkerInfo
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.ipc.mailbox import Mailbox
from fastserve.observe.scoreboard import Cause, State
from fastserve.sockets.listeners import SlotSockets
from fastserve.supervisor import health, termination
from fastserve.supervisor.slots import Closing, Ending, Slot, WorkerHandle
from fastserve.supervisor.spawn import Generation, NotForkedError, WorkerResources, start
from fastserve.supervisor.wait_status import Exit, OutOfMemory

HANDSHAKE = 1.0
"""Seconds for TCP handshakes to complete that had begun before new connections were steered elsewhere."""

GROUP_GRACE = 0.25
"""Seconds within which a signal to the whole process group reaches the supervisor too, after it reached a worker."""

RETRY_REPLACEMENT = 30.0
"""Seconds after which the replacement of a worker is tried again, if its successor did not start."""

logger = logging.getLogger("fastserve")


@dataclass(slots=True)
class Reload:
    """The way to a new configuration or a new version of the application."""

    config: Config
    sockets: SlotSockets
    generation: int
    before: int
    """How many workers were wanted."""
    replaced: int = 0
    """How many workers of this generation have become ready."""


class Workers:
    """All slots and workers of a supervisor.

    failure: set when a worker could not start before all had been ready once: the reason and the traceback.
    """

    def __init__(self, config: Config, workers: int, sockets: SlotSockets, resources: WorkerResources) -> None:
        self.config = config
        self.sockets = sockets
        self.wanted = workers
        self.resting = False
        """Whether there should be no workers for now, though the sockets stay."""
        self.booted = False
        self.leaving = False
        """Whether the supervisor has been told to stop."""
        self.shared = False
        """Whether another supervisor has the same sockets."""
        self.failure: tuple[str, str] | None = None
        self.clean = True
        """Whether every worker that was told to end did so unforced and without an error."""
        self.slots = [Slot(index) for index in range(max(workers, sockets.slots))]
        self.children: dict[int, WorkerHandle] = {}
        self._resources = resources
        self._reload: Reload | None = None
        self._left: list[tuple[float, str]] = []
        self._parted: list[WorkerHandle] = []
        """Workers that will end or have ended, and whose mailboxes may hold connections for others."""
        self._emptied: list[Mailbox] = []
        """Mailboxes of workers that are gone. Closed when the next step begins: by then nobody watches them."""
        self._generation = 0
        self._memory = OutOfMemory()
        self._note()

    # ---- what is

    @property
    def reloading(self) -> bool:
        return self._reload is not None

    @property
    def serving(self) -> int:
        """How many workers serve."""
        return sum(1 for child in self.children.values() if child.serving)

    def _wanted_slots(self) -> Iterator[Slot]:
        if not self.resting:
            yield from self.slots[: self.wanted]

    def _note(self) -> None:
        scoreboard = self._resources.scoreboard.supervisor
        scoreboard["wanted"], scoreboard["generation"] = self.wanted, self._generation

    # ---- the step

    def step(self) -> None:
        """Does what is due. Raises Forked in a new worker."""
        moment = time.monotonic()
        while self._emptied:
            self._emptied.pop().close()
        self._listen_to_workers()
        self._say_who_left(moment)
        self._end_overdue(moment)
        self._look_after(moment)
        self._close_slots(moment)
        self._start_missing(moment)
        self._replace(moment)
        self._cover()
        if not self.booted and all(slot.current is not None for slot in self._wanted_slots()):
            self.booted = True

    def due(self) -> float | None:
        """When `step` has to be called next, as far as is known; None if only events matter."""
        children = self.children.values()
        times = [each for child in children for each in (child.deadline, child.stacks_due) if each is not None]
        times += [time.monotonic() + health.TURNING for child in children if child.hangs]
        times += [slot.not_before for slot in self._wanted_slots() if slot.current is None and slot.coming is None]
        times += [slot.closing_until for slot in self.slots if slot.closing is Closing.STEERED]
        times += [when for when, _ in self._left[:1]]
        times += [slot.closing_until for slot in self.slots[-1:] if slot.closing is Closing.EMPTYING]
        return min((each for each in times if each < math.inf), default=None)

    # ---- start

    def _start_missing(self, moment: float) -> None:
        for slot in self._wanted_slots():
            if slot.current is None and slot.coming is None and moment >= slot.not_before and self.failure is None:
                self._start(slot)

    def _next(self) -> Generation:
        """Returns the generation of a worker that starts now."""
        if self._reload is not None:
            return Generation(self._reload.config, self._reload.sockets, self._reload.generation)
        return Generation(self.config, self.sockets, self._generation)

    def _start(self, slot: Slot, cause: Cause | None = None) -> None:
        """Forks a worker; a slot that has one keeps it until the new one is ready."""
        try:
            slot.coming = start(
                slot.index, self._next(), self._resources, siblings=self.wanted > 1, all_sockets=self.all_sockets()
            )
        except NotForkedError as error:
            self._cannot_start(slot, str(error))
        else:
            slot.cause = cause
            self.children[slot.coming.pid] = slot.coming

    def _cannot_start(self, slot: Slot, reason: str) -> None:
        pause = slot.start_failed(time.monotonic(), others=self.serving > 0)
        logger.error("worker %d cannot be started: %s; another attempt in %g s", slot.index, reason, pause)

    # ---- what workers say

    def _listen_to_workers(self) -> None:
        for child in list(self.children.values()):
            try:
                while (message := child.channel.receive()) is not None:
                    if message.kind == "ready":
                        self._is_ready(child)
                    elif message.kind == "failed":
                        child.failure = message.values["reason"], message.values["traceback"]
                    elif message.kind == "draining":
                        self._drains(child)
                    elif message.kind == "uncovered":
                        child.releasing.discard(message.values["slot"])
            except BlockingIOError:
                continue

    def _is_ready(self, child: WorkerHandle) -> None:
        if child.cause is not None:
            return  # told to end meanwhile
        if not self._listen(child):
            return
        slot = self.slots[child.slot]
        child.ready, child.deadline = time.monotonic(), None
        child.failure, child.ending = None, Ending.NONE  # late, but while it was still only asked for its stacks
        child.block.state = State.SERVING
        child.block["ready"] = int(child.ready * 1000)
        slot.failed_starts = 0
        old, slot.current, slot.coming = slot.current, child, None
        self._introduce(child)
        logger.debug("%s is ready", child.name)
        if old is not None:
            self._tell_to_end(old, slot.cause or Cause.RELOAD)
        if self._reload is not None and child.generation == self._reload.generation:
            self._reload.replaced += 1

    def _listen(self, child: WorkerHandle) -> bool:
        """Makes the sockets listen once a first worker can answer. Returns whether they do."""
        reloaded = self._reload is not None and child.generation == self._reload.generation
        sockets = self._reload.sockets if self._reload is not None and reloaded else self.sockets
        if sockets.listening:
            return True
        try:
            sockets.listen()
        except StartError as error:
            child.failure = str(error), ""
            termination.force(child)
            return False
        for each in self.children.values():
            each.channel.send("listening")
        return True

    def _drains(self, child: WorkerHandle) -> None:
        """Notes that a worker has stopped listening: told by us, or by somebody who sent SIGTERM to it alone."""
        child.listening = False
        child.releasing.clear()
        if child.cause is not None or child.ready is None:
            return
        # A signal to the whole process group may reach workers first: then ours follows, and nobody is to be started.
        when = time.monotonic() + GROUP_GRACE
        slot = self.slots[child.slot]
        slot.not_before = max(slot.not_before, when)
        self._left.append((when, child.name))
        self._expect_end(child, Cause.DRAINED)

    def _say_who_left(self, moment: float) -> None:
        """Logs workers that somebody else told to end, once GROUP_GRACE has passed."""
        while self._left and self._left[0][0] <= moment:
            _, name = self._left.pop(0)
            level = logging.DEBUG if self.leaving else logging.INFO
            logger.log(level, "%s was told to end by somebody else, another one follows", name)

    # ---- the end of a worker

    def _tell_to_end(self, child: WorkerHandle, cause: Cause) -> None:
        """Sends SIGTERM: the worker accepts no more connections, finishes what it has begun, and exits."""
        self._expect_end(child, cause)
        termination.send(child, signal.SIGTERM)

    def _expect_end(self, child: WorkerHandle, cause: Cause) -> None:
        slot = self.slots[child.slot]
        if slot.current is child:
            slot.current = None
        if slot.coming is child:
            slot.coming = None
        termination.expect(child, cause)
        self._part(child)

    def end_all(self) -> None:
        """Makes every worker end gracefully; no more are started."""
        if self._reload is not None:
            self._end_reload(self._reload)
        self.resting, self.clean = True, True
        self._left.clear()
        for slot in self.slots:
            slot.closing = None  # the sockets stay for a successor, or all of them go
        for child in list(self.children.values()):
            if child.cause is None:
                self._tell_to_end(child, Cause.STOP)

    def force(self) -> None:
        """Ends every worker at once."""
        self.end_all()
        for child in self.children.values():
            termination.force(child)

    def resume(self) -> None:
        """Starts workers again after `end_all`."""
        self.resting = False
        for slot in self.slots:
            slot.try_at_once()
        self.scale(self.wanted)

    def signal_all(self, number: signal.Signals) -> None:
        for child in self.children.values():
            termination.send(child, number)

    def _end_overdue(self, moment: float) -> None:
        for child in list(self.children.values()):
            if child.deadline is None or moment < child.deadline:
                continue
            if child.cause is None and child.ending is Ending.NONE:
                what = f"did not become ready within {child.config.timeout_startup:g} s"
                child.failure = child.failure or (f"{child.name} {what}", "")
                termination.ask_for_stacks(child, what)
            else:
                self.clean = False
                termination.go_on(child)

    def reap(self) -> None:
        """Takes the exit statuses of workers that have ended."""
        for child in list(self.children.values()):
            try:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = child.pid, 0  # somebody else has taken it
            if pid:
                self._listen_to_workers()
                self._ended(child, Exit.of(status))

    def _ended(self, child: WorkerHandle, end: Exit) -> None:
        del self.children[child.pid]
        memory = end.signal == signal.SIGKILL and child.ending is not Ending.KILLED and self._memory.happened()
        explained = "killed by the kernel: the memory of its control group was used up" if memory else str(end)
        termination.report(child, end, explained)
        self._part(child)
        if child.cause is not None and child.ready is not None and not end.clean:
            self.clean = False
        self._resources.hooks.call("worker_exit", WorkerInfo(child.slot, child.pid, child.generation, explained))
        slot = self.slots[child.slot] if child.slot < len(self.slots) else None
        if slot is not None and slot.coming is child:
            slot.coming = None
            self._did_not_start(slot, child, explained)
        elif slot is not None and slot.current is child:
            slot.current = None
            pause = slot.lost(child, time.monotonic(), others=self.serving > 0)
            if pause:
                logger.warning("worker %d was ready only shortly, another one follows in %g s", slot.index, pause)
        self._resources.scoreboard.supervisor.count_end(Cause.MEMORY if memory else termination.cause(child, end))
        self._resources.scoreboard.give_back(child.block)
        child.channel.close()
        os.close(child.faults)
        for other in self.children.values():
            if other.serving:
                other.channel.send("look")

    def _did_not_start(self, slot: Slot, child: WorkerHandle, explained: str) -> None:
        reason, trace = child.failure or (f"{child.name} ended before it was ready: {explained}", "")
        text = f": {reason}\n{trace}" if trace else f": {reason}"
        moment = time.monotonic()
        if self._reload is not None and child.generation == self._reload.generation:
            self._reload_failed(self._reload, text)
            text = ""
        elif slot.current is not None:
            slot.not_before = moment + RETRY_REPLACEMENT
            logger.error("%s goes on, its successor did not start%s", slot.current.name, text)
        elif not self.booted and not child.config.reload:
            self.failure = self.failure or (reason, trace)
        if slot.current is not None or slot.closing is not None or self.failure is not None:
            return
        if child.config.reload:
            slot.not_before = math.inf
            logger.error("worker %d did not start, waiting for a change%s", slot.index, text)
        else:
            pause = slot.start_failed(moment, others=self.serving > 0)
            logger.error("worker %d did not start, another attempt in %g s%s", slot.index, pause, text)

    # ---- replacement

    def reopened(self, config: Config) -> SlotSockets:
        """Returns the sockets for `reload`. Ends a reload that is under way. Raises StartError."""
        self._abandon_reload()
        return self.sockets.reopened(config)

    def reload(self, config: Config, workers: int, sockets: SlotSockets) -> None:
        """Replaces all workers by workers with the new configuration.

        sockets: what `reopened` returned.
        """
        self._abandon_reload()
        for slot in self.slots:
            slot.try_at_once()
            if slot.coming is not None:
                self._tell_to_end(slot.coming, Cause.RELOAD)
        self.resting = False
        self._generation += 1
        self._reload = Reload(config, sockets, self._generation, self.wanted)
        self.scale(workers)

    def _replace(self, moment: float) -> None:
        """Replaces workers, never two at a time."""
        if any(slot.current is not None and slot.coming is not None for slot in self.slots):
            return
        if self._reload is not None:
            self._go_on_with(self._reload, moment)
            return
        for slot in self._wanted_slots():
            if slot.current is not None and moment >= slot.not_before:
                cause = health.worn_out(slot.current, moment)
                if cause is not None:
                    self._say_worn_out(slot.current, cause)
                    self._start(slot, cause)
                    return

    def _say_worn_out(self, child: WorkerHandle, cause: Cause) -> None:
        if cause is Cause.THREADS:
            late = child.threads_overdue()
            termination.show_stacks(
                child, f"is replaced: all its threads are late, and none has come back for {late:.1f} s"
            )
        else:
            logger.info("%s is replaced: %s", child.name, cause.replace("_", " "))

    def _go_on_with(self, reload: Reload, moment: float) -> None:
        for slot in self._wanted_slots():
            if slot.current is not None and slot.current.generation != reload.generation:
                if moment >= slot.not_before:
                    self._start(slot, Cause.RELOAD)
                return
        if all(slot.current is not None for slot in self._wanted_slots()):
            self._end_reload(reload)
            self._resources.scoreboard.supervisor["reloads"] += 1
            logger.info("reloaded")

    def _reload_failed(self, reload: Reload, text: str) -> None:
        self._resources.scoreboard.supervisor["reloads_failed"] += 1
        if reload.replaced:
            how = f" after {reload.replaced} workers, the others go on as they are"
        else:
            how = ", the workers go on as they are" if self.serving else ""
        logger.error("the reload failed%s%s", how, text)
        self._abandon_reload()
        if not reload.replaced:
            self.scale(reload.before)

    def _abandon_reload(self) -> None:
        """Gives up a reload: new workers that are ready stay, those that still start do not."""
        reload = self._reload
        if reload is None:
            return
        for slot in self.slots:
            if slot.coming is not None and slot.coming.generation == reload.generation:
                self._tell_to_end(slot.coming, Cause.RELOAD)
        self._end_reload(reload)

    def _end_reload(self, reload: Reload) -> None:
        """Ends a reload. Later workers get the new configuration if any worker serves with it, else the old one."""
        self._reload = None
        if reload.replaced:
            self.sockets.without(reload.sockets).close()
            self.config, self.sockets = reload.config, reload.sockets
        else:
            reload.sockets.without(self.sockets).close()

    # ---- health

    def _look_after(self, moment: float) -> None:
        for child in list(self.children.values()):
            if child.stacks_due is not None and moment >= child.stacks_due:
                child.stacks_due = None
                termination.log_faults(child)
            if child.serving and child.cause is None:
                child.block["resident"] = health.resident(child.pid)
                limit = child.config.timeout_worker
                silence = child.silence()
                if limit and silence > limit:
                    self._expect_end(child, Cause.STUCK)
                    termination.ask_for_stacks(child, f"has not turned for {silence:.1f} s and is stopped")

    def _cover(self) -> None:
        """Makes a sibling serve a slot's sockets while nobody else does."""
        for child in self.children.values():
            child.hangs = child.hangs and child.silence() > health.TURNING
        able = [
            child
            for child in self.children.values()
            if child.serving and not child.hangs and child.silence() < health.SILENT_AFTER
        ]
        self._deliver(able)
        for slot in self.slots[: self.sockets.slots]:
            served = slot.current.holds if slot.current in able else ()
            alone = tuple(each for each in self.sockets.of_slot(slot.index) if each not in served)
            if slot.closing is Closing.RELEASING:
                alone = ()
            for child in self.children.values():
                if slot.index in child.covers and (child not in able or child.covers[slot.index] != alone):
                    self._uncover(child, slot)
            if not alone or any(slot.index in child.covers for child in able):
                continue
            for child in sorted(able, key=lambda each: len(each.covers)):
                descriptors = [each.fileno() for each in alone]
                if child.channel.send("cover", descriptors, slot=slot.index, count=len(descriptors)):
                    child.covers[slot.index] = alone
                    break

    def watched(self) -> dict[int, int]:
        """Returns the descriptors of sockets in which a connection may wait for a worker that hangs, with their slots;
        leaves out those whose connections no sibling could take."""
        if self.serving < 2:
            return {}
        found: dict[int, int] = {}
        for slot in self.slots[: self.sockets.slots]:
            if slot.current is not None and slot.closing is None:
                found |= {each.fileno(): slot.index for each in self.sockets.of_slot(slot.index)}
                if slot.current.mailbox is not None:
                    found[slot.current.mailbox.box.fileno()] = slot.index
        return found

    def note_waiting(self, slots: set[int]) -> bool:
        """Notes slots in which connections wait. Returns whether one of their workers hangs and needs to be covered."""
        found = False
        for slot in self.slots:
            child = slot.current
            if slot.index in slots and child is not None and not child.hangs and child.silence() > health.TURNING:
                child.hangs = found = True
        return found

    def _uncover(self, child: WorkerHandle, slot: Slot) -> None:
        """Ends a cover. If the worker cannot be told, it goes on serving the sockets, and the next step tries again."""
        if child.channel.send("uncover", slot=slot.index):
            del child.covers[slot.index]
            child.releasing.add(slot.index)

    # ---- connections that workers hand over to one another

    def _introduce(self, child: WorkerHandle) -> None:
        """Makes a ready worker and its siblings of the same configuration hand connections over to one another."""
        for other in self.children.values():
            if other is not child and other.serving and other.generation == child.generation:
                self._tell_of(other, child)
                self._tell_of(child, other)

    def _tell_of(self, other: WorkerHandle, child: WorkerHandle) -> None:
        if other.mailbox is not None and child.mailbox is not None:
            block = self._resources.scoreboard.number(child.block)
            other.channel.send("sibling", [child.mailbox.entry.fileno()], number=child.pid, block=block)

    def _part(self, child: WorkerHandle) -> None:
        """Shuts a worker's mailbox: nothing is handed over to it any more, whether or not its siblings know yet."""
        if child.mailbox is None or child in self._parted:
            return
        child.mailbox.shut()
        self._parted.append(child)
        for other in self.children.values() if not self.resting else ():
            if other is not child and other.generation == child.generation:
                other.channel.send("parted", number=child.pid)

    def _deliver(self, able: list[WorkerHandle]) -> None:
        """Moves the mail of workers that end or hang to others, first to those that know its addresses."""
        for child in (*(each for each in self.children.values() if each.hangs), *self._parted):
            if child.mailbox is None:
                continue
            others = [each for each in able if each is not child and each not in self._parted]
            others.sort(key=lambda each: each.generation != child.generation)
            empty = child.mailbox.move([each.mailbox for each in others if each.mailbox is not None])
            if empty and child in self._parted and self.children.get(child.pid) is not child:
                self._parted.remove(child)
                self._emptied.append(child.mailbox)

    def mailboxes(self) -> Iterator[Mailbox]:
        """Yields all mailboxes that this process has."""
        known = {*self.children.values(), *self._parted}
        yield from (child.mailbox for child in known if child.mailbox is not None)
        yield from self._emptied

    # ---- more or fewer

    def all_sockets(self) -> tuple[SlotSockets, ...]:
        """All sockets. A reload has two sets, which share the sockets that stay; both always have the same slots."""
        return (self.sockets, self._reload.sockets) if self._reload is not None else (self.sockets,)

    def scale(self, workers: int) -> None:
        """Sets the number of workers. Fewer workers: the last slots are closed once nothing waits in them."""
        self.wanted = self._open_slots(workers)
        self._note()
        for slot in self.slots[: self.wanted]:
            slot.closing = None
        closing = self.slots[self.wanted :]
        steered = bool(closing) and all(each.steer(self.wanted) for each in self.all_sockets())
        if not closing:
            self._unsteer()
        for slot in closing:
            if slot.closing is None:
                slot.closing = Closing.STEERED
                slot.closing_until = time.monotonic() + (HANDSHAKE if steered else 0.0)

    def _open_slots(self, workers: int) -> int:
        """Opens slots for `workers`. Returns how many could be opened."""
        while len(self.slots) < workers:
            index = len(self.slots)
            try:
                for each in self.all_sockets():
                    if each.slots <= index:
                        each.add_slot()
            except OSError as error:
                self._close_slot(index)
                logger.error("no more than %d workers: %s", index, (error.strerror or str(error)).lower())
                return index
            self.slots.append(Slot(index))
        return workers

    def _close_slot(self, index: int) -> None:
        for each in self.all_sockets():
            if each.slots > index:
                each.close_slot(index, shared=self.shared)

    def _unsteer(self) -> None:
        for each in self.all_sockets():
            each.unsteer()

    def _close_slots(self, moment: float) -> None:
        for slot in self.slots:
            if slot.closing is Closing.STEERED and moment >= slot.closing_until:
                for child in (slot.current, slot.coming):
                    if child is not None:
                        self._tell_to_end(child, Cause.SCALED)
                slot.closing, slot.closing_until = Closing.EMPTYING, moment + HANDSHAKE
        closed = False
        while self._can_close(self.slots[-1], moment):
            self._close_slot(self.slots.pop().index)
            closed = True
        if closed and len(self.slots) == self.wanted:
            self._unsteer()

    def _can_close(self, slot: Slot, moment: float) -> bool:
        """Whether the slot's sockets leave the kernel's group with our own copies, and nothing waits in them."""
        if slot.closing is Closing.EMPTYING and moment >= slot.closing_until:
            own = any(child.listening and child.slot == slot.index for child in self.children.values())
            if own or any(each.waiting(slot.index) for each in self.all_sockets()):
                slot.closing_until = moment + HANDSHAKE
                return False
            slot.closing = Closing.RELEASING
            for child in self.children.values():
                if slot.index in child.covers:
                    self._uncover(child, slot)
        if slot.closing is not Closing.RELEASING:
            return False
        return not any(slot.index in child.covers or slot.index in child.releasing for child in self.children.values())
