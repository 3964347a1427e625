"""Serving in the main thread of a process of our own: the interface's worker, and its signals."""

import asyncio
import signal
from functools import partial
from typing import Protocol

from fastserve.app import threads_left
from fastserve.app.application import Application
from fastserve.config.config import Config
from fastserve.host.stop_signals import Urgency
from fastserve.observe.logs import AccessLog, reopen_files
from fastserve.worker.asgi import Worker, WorkerContext, new_loop_factory
from fastserve.worker.wsgi import ThreadedWorker

AnyWorker = Worker | ThreadedWorker


class WorkerControl(Protocol):
    """What controls a worker."""

    @property
    def owns_process(self) -> bool:
        """Whether the process ends with the worker; otherwise it is a program's that goes on."""

    @property
    def signals(self) -> frozenset[signal.Signals]:
        """The signals that it takes."""

    def note(self, number: signal.Signals) -> Urgency:
        """Notes a signal. Returns its urgency. Called in the main thread, whatever that is doing."""

    def take(self, worker: AnyWorker, number: signal.Signals) -> None:
        """Acts on a signal that was noted, between two turns of the worker."""

    def began_serving(self, worker: AnyWorker, /) -> None:
        """Called when connections are served."""


def reopen_logs(worker: AnyWorker, access_log: AccessLog | None) -> None:
    """Reopens the log files after somebody has moved them away; earlier lines are written to the old ones."""
    reopen_files()
    if access_log is None:
        return
    if worker.driver is not None:
        worker.driver.flush_access_log()
    access_log.reopen()
    if worker.driver is not None:
        worker.driver.reopen_access_log(access_log.fd)


def serve(config: Config, app: Application, context: WorkerContext, control: WorkerControl) -> bool:
    """Serves until a signal has ended it. Returns whether the stop was clean. Raises StartError.

    The application was imported before there is an event loop: a WSGI application gets no loop, and Django for one
    refuses to touch its database inside a loop.
    """
    if app.interface == "wsgi":
        threaded = ThreadedWorker(config, app.call, context)
        with threaded.signals(control.signals, control.note, partial(control.take, threaded)):
            return threaded.serve(lambda: control.began_serving(threaded))
    with asyncio.Runner(loop_factory=new_loop_factory(config.loop)) as runner:
        if control.owns_process:
            loop = runner.get_loop()
            loop.shutdown_default_executor = threads_left.shutdown_of_executors(loop)  # type: ignore[method-assign]
        return runner.run(_serve(config, app, context, control))


async def _serve(config: Config, app: Application, context: WorkerContext, control: WorkerControl) -> bool:
    worker = Worker(config, app.call, context)

    def take(number: signal.Signals) -> None:
        control.note(number)
        control.take(worker, number)

    with worker.signals(control.signals, take):
        return await worker.serve(lambda: control.began_serving(worker))
