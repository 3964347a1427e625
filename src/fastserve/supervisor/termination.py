"""The end of a worker: told to, or forced step by step; and what is logged of it."""

import logging
import os
import signal
import time

from fastserve.ipc.worker_spec import STACKS_SIGNAL
from fastserve.observe.scoreboard import Cause, State
from fastserve.supervisor.slots import Ending, WorkerHandle
from fastserve.supervisor.wait_status import Exit

END_GRACE = 8.0
"""Seconds beyond --timeout-graceful-shutdown: cancelled requests unwind, the lifespan ends, exit handlers run."""

STACKS_GRACE = 0.5
"""Seconds that a stuck worker has to write its stacks, which it does in a signal handler, whatever else it does."""

ABORT_GRACE = 2.0
"""Seconds from SIGABRT, which may write a core, to SIGKILL."""

MOST_LOGGED = 20
"""Requests of a dead worker that are logged one by one, at most."""

logger = logging.getLogger("fastserve")


def send(child: WorkerHandle, number: signal.Signals) -> None:
    """Sends a signal to a worker."""
    try:
        os.kill(child.pid, number)
    except ProcessLookupError:
        pass  # it has ended and is about to be reaped
    except PermissionError:
        logger.error("%s cannot be sent %s: not permitted", child.name, number.name)


def expect(child: WorkerHandle, cause: Cause) -> None:
    """Notes that a worker will end, and sets its deadline. One that does not serve yet has no requests to finish."""
    child.cause = cause
    child.block.state = State.DRAINING
    requests = child.config.timeout_graceful_shutdown if child.ready is not None else 0.0
    child.deadline = time.monotonic() + requests + END_GRACE
    child.releasing.update(child.covers)
    child.covers.clear()


def force(child: WorkerHandle) -> None:
    """Ends a worker at once."""
    send(child, signal.SIGQUIT)
    child.ending, child.deadline = Ending.FORCED, time.monotonic() + ABORT_GRACE


def ask_for_stacks(child: WorkerHandle, what: str) -> None:
    """Takes the first step against a worker that does not listen to us: asks for its stacks."""
    show_stacks(child, what)
    child.ending, child.deadline, child.stacks_due = Ending.STACKS, child.stacks_due, None


def show_stacks(child: WorkerHandle, what: str) -> None:
    """Asks a worker that goes on for its stacks, which are logged a moment later."""
    logger.error("%s %s; its stacks follow%s", child.name, what, _serving(child))
    send(child, STACKS_SIGNAL)
    child.stacks_due = time.monotonic() + STACKS_GRACE


def go_on(child: WorkerHandle) -> None:
    """Takes the next step, when the last one has not ended the worker in time."""
    if child.ending is Ending.STACKS:
        log_faults(child)
        send(child, signal.SIGABRT)
        child.ending, child.deadline = Ending.ABORTED, time.monotonic() + ABORT_GRACE
        return
    if child.ending is Ending.NONE:
        logger.error("%s did not end in time and is killed%s", child.name, _serving(child))
    send(child, signal.SIGKILL)
    child.ending, child.deadline = Ending.KILLED, None


def log_faults(child: WorkerHandle) -> None:
    """Logs what the worker wrote about its own crash since the last look."""
    text = os.pread(child.faults, 1 << 20, child.faults_read)
    child.faults_read += len(text)
    shown = text.decode("utf-8", "replace").strip()
    if shown:
        logger.error("%s:\n%s", child.name, shown)


def report(child: WorkerHandle, end: Exit, explained: str) -> None:
    """Logs how a worker ended, and what was lost with it.

    explained: the end in words.
    """
    expected = child.cause is not None and (end.clean or child.ready is None or child.ending is not Ending.NONE)
    expected |= child.cause is Cause.THREADS and not end.signal  # calls that do not end are why it was replaced
    if expected:
        logger.debug("%s ended (%s): %s", child.name, child.cause, explained)
    elif child.ready is not None:
        lost = child.block["connections"], child.block["in_flight"]
        logger.error("%s ended unexpectedly: %s; connections: %d, requests in flight: %d", child.name, explained, *lost)
        for each in child.block.in_flight()[:MOST_LOGGED]:
            logger.error("%s was serving: %s for %.1f s", child.name, each.text, each.milliseconds / 1000)
    if end.signal and child.ending is Ending.NONE:
        log_faults(child)


def cause(child: WorkerHandle, end: Exit) -> Cause:
    """Returns why a worker ended, as far as the supervisor or its exit status says."""
    if child.cause is not None:
        return child.cause
    if child.ready is None:
        return Cause.START
    return Cause.SIGNAL if end.signal else Cause.EXIT


def _serving(child: WorkerHandle) -> str:
    found = child.block.in_flight()
    if not found:
        return ""
    shown = ", ".join(f"{each.text} for {each.milliseconds / 1000:.1f} s" for each in found[:MOST_LOGGED])
    return f"; it was serving: {shown}"
