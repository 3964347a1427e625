"""How a worker ends, and what is said of it then."""

import logging
import os
import signal
from collections.abc import Iterator

import pytest

from fastserve import Config
from fastserve.ipc.channel import Channel
from fastserve.observe.scoreboard import Cause, Scoreboard
from fastserve.supervisor import termination
from fastserve.supervisor.slots import Ending, WorkerHandle
from fastserve.supervisor.wait_status import Exit
from unit.supervisor.fakes import FIRST_PID

CLEAN, FAILED, KILLED = Exit(0, 0), Exit(3, 0), Exit(-1, signal.SIGKILL)


@pytest.fixture
def worker() -> Iterator[WorkerHandle]:
    block = Scoreboard(1).take()
    assert block is not None
    ours, theirs = Channel.pair()
    faults = os.memfd_create("faults")
    config = Config("a:b", timeout_graceful_shutdown=30)
    yield WorkerHandle(FIRST_PID, 2, 0, config, block, ours, faults, spawned=0.0)
    ours.close()
    theirs.close()
    os.close(faults)


@pytest.mark.parametrize(
    ("told", "ready", "end", "cause"),
    [
        (Cause.RELOAD, 1.0, KILLED, Cause.RELOAD),
        (None, None, FAILED, Cause.START),
        (None, None, KILLED, Cause.START),
        (None, 1.0, CLEAN, Cause.EXIT),
        (None, 1.0, KILLED, Cause.SIGNAL),
    ],
)
def test_why_a_worker_ended(
    worker: WorkerHandle, told: Cause | None, ready: float | None, end: Exit, cause: Cause
) -> None:
    worker.cause, worker.ready = told, ready
    assert termination.cause(worker, end) is cause


@pytest.mark.parametrize(
    ("told", "ready", "ending", "end", "level"),
    [
        (Cause.STOP, 1.0, Ending.NONE, CLEAN, logging.DEBUG),
        (Cause.STOP, 1.0, Ending.NONE, FAILED, logging.ERROR),
        (Cause.STOP, None, Ending.NONE, FAILED, logging.DEBUG),
        (Cause.STOP, 1.0, Ending.KILLED, KILLED, logging.DEBUG),
        (Cause.THREADS, 1.0, Ending.NONE, FAILED, logging.DEBUG),
        (Cause.THREADS, 1.0, Ending.NONE, KILLED, logging.ERROR),
        (None, 1.0, Ending.NONE, CLEAN, logging.ERROR),
        (None, None, Ending.NONE, FAILED, None),
    ],
)
def test_only_an_end_that_nobody_wanted_is_an_error(
    worker: WorkerHandle,
    caplog: pytest.LogCaptureFixture,
    told: Cause | None,
    ready: float | None,
    ending: Ending,
    end: Exit,
    level: int | None,
) -> None:
    """One that never was ready says why itself."""
    caplog.set_level(logging.DEBUG, "fastserve")
    worker.cause, worker.ready, worker.ending = told, ready, ending
    termination.report(worker, end, "so")
    assert [each.levelno for each in caplog.records] == ([] if level is None else [level])


def test_what_it_wrote_of_its_crash_is_logged_once(worker: WorkerHandle, caplog: pytest.LogCaptureFixture) -> None:
    os.write(worker.faults, b"Fatal Python error\n")
    termination.log_faults(worker)
    termination.log_faults(worker)
    assert caplog.messages == [f"{worker.name}:\nFatal Python error"]
    os.write(worker.faults, b"\xffmore\n")
    termination.log_faults(worker)
    assert caplog.messages[1:] == [f"{worker.name}:\n�more"]


def test_what_it_covers_is_let_go_with_it(worker: WorkerHandle) -> None:
    worker.covers = {4: ()}
    termination.expect(worker, Cause.RELOAD)
    assert (worker.covers, worker.releasing, worker.serving) == ({}, {4}, False)


def test_a_signal_to_one_that_is_gone_is_nothing(worker: WorkerHandle, caplog: pytest.LogCaptureFixture) -> None:
    termination.send(worker, signal.SIGTERM)
    assert caplog.records == []
