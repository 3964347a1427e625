"""A forked worker: from the supervisor's spec to its exit status."""

import faulthandler
import logging
import os
import signal
import socket
import threading
import time
import traceback
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from fastserve.app import application
from fastserve.app.hooks import WorkerInfo
from fastserve.errors import ExitStatus, StartError, summary, trace_of_application
from fastserve.host import affinity, title
from fastserve.host.ignored_signals import unhear
from fastserve.host.service import reenter, set_environment
from fastserve.host.signal_handlers import give_back, set_handler
from fastserve.host.stop_signals import Urgency
from fastserve.ipc import after_fork
from fastserve.ipc.channel import Message
from fastserve.ipc.worker_spec import STACKS_SIGNAL, WorkerSpec

if TYPE_CHECKING:
    from fastserve._core import Driver
    from fastserve.worker.asgi import WorkerContext
    from fastserve.worker.serve import AnyWorker

LONGEST_TRACEBACK = 32768
"""Characters of a traceback that are sent to the supervisor; more does not fit into one message."""

MOMENT = 1.0
"""Seconds that an import has to end if it has forked."""

_STANDARD_ERROR = 2

_UNHEARD = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU)
# A terminal, or `kill` with a process group, sends these to workers too; they are meant for the supervisor.

_AT_THE_END = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1)  # the end has come: one more changes nothing

logger = logging.getLogger("fastserve")


def run(spec: WorkerSpec) -> ExitStatus:
    """Serves until the supervisor or a signal ends it, in the main thread of a process that was forked for it."""
    control = _Control(spec)
    try:
        try:
            return _run(spec, control)
        finally:
            unhear(_AT_THE_END)
    except _ToldToEnd:
        unhear(_AT_THE_END)
        spec.channel.send("failed", reason="SIGTERM has ended it before it was ready", traceback="")
        return ExitStatus.NOT_STARTED


def _run(spec: WorkerSpec, control: "_Control") -> ExitStatus:
    _first_signals(control)
    faulthandler.enable(spec.faults)
    faulthandler.register(STACKS_SIGNAL, spec.faults)
    try:
        with after_fork.guarded(control.forget, control.note_fork):
            return ExitStatus.CLEAN if _serve(spec, control) else ExitStatus.NOT_CLEAN
    except StartError as error:
        spec.channel.send("failed", reason=str(error), traceback=_as_text(error.__cause__))
        return ExitStatus.NOT_STARTED
    except Exception as error:
        spec.channel.send(
            "failed", reason=f"a fault of the server: {summary(error)}", traceback=_as_text(error, whole=True)
        )
        return ExitStatus.NOT_STARTED


def _serve(spec: WorkerSpec, control: "_Control") -> bool:
    config = spec.config
    title.set_title(config.proc_name, spec.role, "starting")
    if config.cpu_affinity:
        affinity.apply(affinity.cpu_of(spec.slot, config.cpu_affinity))
    # Imported here: by now the supervisor can see where a start hangs, and later another user might not read the files.
    from fastserve._core import unhear as unhear_in_c
    from fastserve.worker.asgi import WorkerContext, own_process
    from fastserve.worker.serve import serve

    for number in _UNHEARD:
        unhear_in_c(number)

    if spec.app is None and spec.hooks is not None and reenter():
        application.forget_directories()
    if spec.privileges is not None:
        spec.privileges.set_environment()
        spec.privileges.drop()
    set_environment(config)
    os.environ["FASTSERVE_SLOT"] = str(spec.slot)
    os.environ["FASTSERVE_GENERATION"] = str(spec.generation)
    own_process(config)
    if spec.hooks is not None:
        spec.hooks.call("post_fork", control.info)
    app = spec.app if spec.app is not None else application.load(config)
    control.imported()
    context = WorkerContext(
        spec.listeners,
        spec.access_log.fd if spec.access_log is not None else -1,
        shared=True,
        status=spec.block.memory if spec.block is not None else None,
        beat=spec.beat,
        siblings=spec.siblings,
    )
    control.context = context
    return serve(config, app, context, control)


def _first_signals(control: "_Control") -> None:
    """Sets handlers for the time before the worker's own: SIGTERM ends an import, by way of the exit handlers, and
    SIGQUIT at once; others are not for workers, or can wait. The supervisor blocked all of them before it forked.
    """
    signal.set_wakeup_fd(-1)
    unhear(_UNHEARD)
    for number in (signal.SIGQUIT, signal.SIGCHLD, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    set_handler(signal.SIGTERM, control.end_start)
    set_handler(signal.SIGUSR1, control.reopen_later)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _as_text(error: BaseException | None, *, whole: bool = False) -> str:
    """Returns an exception as text for the supervisor's log."""
    if error is None:
        return ""
    trace = error.__traceback__ if whole else trace_of_application(error)
    text = "".join(traceback.format_exception(type(error), error, trace))
    return text.rstrip("\n")[-LONGEST_TRACEBACK:]


class _ToldToEnd(BaseException):
    """Raised by SIGTERM before the worker serves, so that exit handlers end what the application has started: otherwise
    the processes of a pool would be left behind."""


class _Control:
    """The worker's side of the channel, and what its signals mean."""

    owns_process = True

    signals = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1})

    def __init__(self, spec: WorkerSpec) -> None:
        self.info = WorkerInfo(spec.slot, os.getpid(), spec.generation)
        self._spec = spec
        self._channel = spec.channel
        self.context: WorkerContext
        """Set before the worker serves."""
        self._covered: dict[int, tuple[int, ...]] = {}
        self._draining = False
        self._reopen_due = False
        self._told_to_end = False
        self._ending = False
        self._has_forked = False
        self._imported = False
        self._started = False
        self._watched = -1
        self._mailbox_open = False

    def end_start(self, _number: int, frame: FrameType | None) -> None:
        """Ends an import wherever it is. An import that has forked gets a moment to finish: it may be making a pool,
        whose processes nobody else would know."""
        if self._started or self._ending:
            return
        if not self._told_to_end:
            self._told_to_end = True
            insists = threading.Timer(MOMENT, self._insist)
            insists.daemon = True
            insists.start()
            if not self._imported and (self._has_forked or after_fork.within(frame)):
                return
        self._end_start()

    def _insist(self) -> None:
        """In a thread: ends the process when the import's moment is over, whatever it does or has caught."""
        while not self._started and not self._ending:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(MOMENT)

    def _end_start(self) -> None:
        self._ending = True  # exit handlers of the application are not interrupted
        raise _ToldToEnd

    def imported(self) -> None:
        """Notes the end of the import. Ends the worker if it was told to meanwhile: the import may have caught that."""
        self._imported = True
        if self._told_to_end:
            self._end_start()

    def note_fork(self) -> None:
        """Notes that the application has forked."""
        self._has_forked = True

    def reopen_later(self, _number: int, _frame: FrameType | None) -> None:
        """Notes that log files were moved away before this worker serves."""
        self._reopen_due = True

    def forget(self) -> None:
        """In a child that the application has forked: closes what is the worker's."""
        give_back()
        spec = self._spec
        faulthandler.unregister(STACKS_SIGNAL)
        faulthandler.enable(_STANDARD_ERROR)
        if spec.faults != _STANDARD_ERROR:
            os.close(spec.faults)
        self._channel.close()
        self._uncover_all()
        if spec.mailbox is not None:
            spec.mailbox.close()
        spec.listeners.forget()
        if spec.access_log is not None:
            spec.access_log.close()

    def note(self, number: signal.Signals) -> Urgency:
        """Returns a signal's urgency. The supervisor decides it: it sends QUIT to end everything at once."""
        if number == signal.SIGQUIT:
            return Urgency.AT_ONCE
        return Urgency.GRACEFUL if number == signal.SIGTERM else Urgency.NONE

    def take(self, worker: "AnyWorker", number: signal.Signals) -> None:
        self._started = True
        if number == signal.SIGTERM:
            self._drain(worker)
        elif number == signal.SIGQUIT:
            self._force(worker)
        else:
            self._reopen(worker)

    def began_serving(self, worker: "AnyWorker") -> None:
        assert worker.driver is not None
        self._started = True
        self._watched = self._channel.fileno()
        worker.driver.watch(self._watched, lambda: self._read(worker))
        self._open_mailbox(worker.driver)
        self._title("serving")
        if self._reopen_due:
            self._reopen(worker)
        if not self._channel.send("ready"):
            self._orphaned(worker)
        if self._told_to_end:  # and the exception was raised where Python passes none on
            self._drain(worker)

    def _title(self, state: str) -> None:
        title.set_title(self._spec.config.proc_name, self._spec.role, state)

    def _read(self, worker: "AnyWorker") -> None:
        with suppress(BlockingIOError):
            while True:
                message = self._channel.receive()
                if message is None:
                    self._orphaned(worker)
                    return
                self._obey(worker, message)

    def _obey(self, worker: "AnyWorker", message: Message) -> None:
        driver = worker.driver
        if driver is None or self._draining:
            _close(message.descriptors)
        elif message.kind == "cover" and len(message.descriptors) < message.values["count"]:
            logger.error("no descriptors left to stand in for worker %d", message.values["slot"])
            _close(message.descriptors)
        elif message.kind == "cover":
            self._covered[message.values["slot"]] = message.descriptors
            for fd in message.descriptors:
                self._serve_for_sibling(driver, fd)
        elif message.kind == "sibling":
            self._meet(driver, message)
        elif message.kind == "parted":
            driver.remove_sibling(message.values["number"])
        elif message.kind == "uncover":
            covered = self._covered.pop(message.values["slot"], ())
            for fd in covered:
                driver.remove_listener(fd)
            _close(covered)
            self._channel.send("uncovered", slot=message.values["slot"])
        elif message.kind == "look":
            driver.accept_waiting()
        elif message.kind == "listening":
            self._watch_listeners(driver)

    def _watch_listeners(self, driver: "Driver") -> None:
        """Watches the sockets that listen from now on, since a first worker can answer."""
        from fastserve.worker.asgi import watch_listeners

        watch_listeners(driver, self.context)
        self._open_mailbox(driver)

    def _open_mailbox(self, driver: "Driver") -> None:
        """Opens the mailbox once this worker knows every address that a sibling accepts from."""
        if self._spec.mailbox is not None and self.context.listeners.all_given and not self._mailbox_open:
            self._mailbox_open = True
            driver.add_mailbox(self._spec.mailbox.box.fileno())

    def _meet(self, driver: "Driver", message: Message) -> None:
        """Adds a sibling to which connections may be handed over. Without a descriptor for it they stay here."""
        scoreboard = self._spec.scoreboard
        for fd in message.descriptors:
            if scoreboard is not None:
                driver.add_sibling(message.values["number"], fd, scoreboard.memory(message.values["block"]))

    def _serve_for_sibling(self, driver: "Driver", fd: int) -> None:
        listener = socket.socket(fileno=fd)  # it looks at the address, and leaves the descriptor to us
        try:
            driver.add_listener(fd, shared=True, **self._spec.listeners.security.options(listener))
        finally:
            listener.detach()

    def _orphaned(self, worker: "AnyWorker") -> None:
        """Stops the worker when the supervisor is gone: nobody else would ever stop it."""
        if worker.driver is not None:
            worker.driver.unwatch(self._watched)  # the channel has closed this descriptor at its end
        if not self._draining:
            logger.error("the supervisor is gone")
        self._drain(worker)

    def _drain(self, worker: "AnyWorker") -> None:
        if self._draining:
            return
        self._draining = True
        self._title("draining")
        worker.drain()
        self._uncover_all()
        self._channel.send("draining")

    def _force(self, worker: "AnyWorker") -> None:
        self._draining = True
        worker.force()
        self._uncover_all()

    def _uncover_all(self) -> None:
        """Releases all covered slots, after the driver has stopped listening and accepted what waited."""
        for covered in self._covered.values():
            _close(covered)
        self._covered.clear()

    def _reopen(self, worker: "AnyWorker") -> None:
        from fastserve.worker.serve import reopen_logs

        reopen_logs(worker, self._spec.access_log)


def _close(descriptors: tuple[int, ...]) -> None:
    for fd in descriptors:
        os.close(fd)
