"""A whole process that serves: the command's and `run`'s, under a supervisor or alone."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastserve.app import application, hooks
from fastserve.config.config import Config
from fastserve.errors import ExitStatus, StartError, trace_of_application
from fastserve.host import affinity, open_files, privileges, service
from fastserve.host.ignored_signals import unhear
from fastserve.host.signal_handlers import give_back, set_handler
from fastserve.host.stop_signals import STOPPING, StopSignals, Urgency
from fastserve.ipc import after_fork
from fastserve.ipc.after_fork import Forked
from fastserve.observe import logs
from fastserve.sockets.listeners import Listeners, open_listeners
from fastserve.standard_streams import leave_frames

if TYPE_CHECKING:
    from fastserve.worker.serve import AnyWorker

logger = logging.getLogger("fastserve")


def run(app: str | Callable[..., Any], **options: Any) -> None:
    """Serves an application until SIGINT or SIGTERM, as the command `fastserve` does.

    app: the application, or where it is found: "module:attribute".
    options: see `Config`; raises its ValueError. Off the main thread, where Python takes no signals, there is no
    supervisor, and nothing but the end of the process ends it.
    Returns after a clean stop; otherwise logs the reason and raises SystemExit with the exit status.
    """
    config = Config(app, **options)
    before = _handlers() if _in_main_thread() else {}
    job: Callable[[], int] | None = None
    status = ExitStatus.CLEAN
    try:
        status = run_process(config, lambda: config)
    except Forked as forked:
        job = forked.job
    finally:
        open_files.give_back()
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
    if job is not None:
        _be(job)
    if status is not ExitStatus.CLEAN:
        sys.exit(status)


def _handlers() -> dict[signal.Signals | int, Any]:
    """Returns the signal handlers that can be restored; those that C code has installed cannot."""
    found = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return {number: handler for number, handler in found.items() if handler is not None}


def _be(job: Callable[[], int]) -> None:
    """Ends a forked process after its job: the frames of the program that called `run` are not its own to unwind."""
    status = 1
    try:
        status = job()
        leave_frames(status)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        logger.exception("a fault of the server")
    finally:
        os._exit(status)


def run_process(config: Config, load: Callable[[], Config], *, own: bool = False) -> ExitStatus:
    """Serves until a signal ends it. Returns how it ended. Raises Forked in the processes that a supervisor forks.

    load: reads the configuration again; raises ValueError.
    own: the process is the server's and ends with it. Its signal handlers stay to the end, since a late signal must not
    make it look killed.
    """
    try:
        service.enter(config)
        logs.configure(config)
    except StartError as error:
        print(f"fastserve: error: {error}", file=sys.stderr)
        return ExitStatus.NOT_STARTED
    if config.raise_files:
        open_files.raise_limit()
    try:
        if config.supervisor and _in_main_thread():
            from fastserve.supervisor.supervisor import Supervisor

            return Supervisor(config, load).run()
        return _Alone(config, own).run()
    except StartError as error:
        cause = error.__cause__
        exc_info = (type(cause), cause, trace_of_application(cause)) if cause is not None else None
        logger.critical("%s", error, exc_info=exc_info)
        return ExitStatus.NOT_STARTED
    except KeyboardInterrupt:
        logger.warning("interrupted")
        return ExitStatus.INTERRUPTED


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class _Alone:
    """A process without a supervisor: one worker, which nobody controls."""

    signals = STOPPING | {signal.SIGUSR1}

    def __init__(self, config: Config, own: bool) -> None:
        if config.workers != 1:
            raise StartError("off the main thread there is no supervisor, and only one worker")
        self.owns_process = own
        self._config = config
        self._stops = StopSignals()
        self._stopped = False
        self._service = service.Service(config)
        self._listeners: Listeners | None = None
        self._access_log: logs.AccessLog | None = None

    def run(self) -> ExitStatus:
        try:
            self._hooks = hooks.load(self._config.hooks, self._config.app_dir)
            with self._early_signals(), after_fork.guarded(self._forget):
                clean = self._serve()
        finally:
            self._service.close()
        logger.info("stopped")
        return ExitStatus.CLEAN if clean else ExitStatus.NOT_CLEAN

    def _serve(self) -> bool:
        config = self._config
        self._user = privileges.resolve(config.user, config.group)
        if self._user is not None:
            self._user.set_environment()
        service.set_environment(config)
        self._listeners = listeners = open_listeners(config)
        self._addresses = listeners.addresses
        try:
            self._access_log = access_log = logs.AccessLog(config)
            try:
                self._hooks.call("on_starting", self._info())
                # Imported here: `--help` does not need it, and another user might not be allowed to read it.
                from fastserve.worker.asgi import WorkerContext, own_process
                from fastserve.worker.serve import serve

                self._become(access_log)
                own_process(config)
                app = application.load(config)
                clean = serve(config, app, WorkerContext(listeners, access_log.fd), self)
                self._hooks.call("on_exit", self._info())
                return clean
            finally:
                access_log.close()
        finally:
            listeners.close()

    def _become(self, access_log: logs.AccessLog) -> None:
        config = self._config
        self._service.show("server", "starting")
        if config.cpu_affinity:
            affinity.apply(affinity.cpu_of(0, config.cpu_affinity))
        user = self._user
        if user is not None:
            access_log.give_to(user.uid, user.gid)
            logs.give_files_to(user.uid, user.gid)
            user.drop()

    def _forget(self) -> None:
        """In a child that the application has forked: drops the state; its worker forgets the rest."""
        give_back()
        if self._service.pid_file is not None:
            self._service.pid_file.leave_behind()
        if self._listeners is not None:
            self._listeners.forget()
        if self._access_log is not None:
            self._access_log.close()

    def _info(self) -> hooks.SupervisorInfo:
        return hooks.SupervisorInfo(os.getpid(), 1, self._addresses)

    # ---- what its worker answers to

    def note(self, number: signal.Signals) -> Urgency:
        return self._stops.take(number) if number in STOPPING else Urgency.NONE

    def take(self, worker: "AnyWorker", number: signal.Signals) -> None:
        if number not in STOPPING:
            self._reopen(worker)
            return
        if not self._stopped:
            self._stopped = True
            self._service.stopping()
        worker.stop(at_once=self._stops.forced)

    def began_serving(self, _worker: "AnyWorker") -> None:
        for each in self._addresses:
            logger.info("listening on %s", each)
        self._service.ready()
        self._service.show("server", "serving")
        self._hooks.call("when_ready", self._info())

    def _reopen(self, worker: "AnyWorker") -> None:
        from fastserve.worker.serve import reopen_logs

        reopen_logs(worker, self._access_log)

    @contextmanager
    def _early_signals(self) -> Iterator[None]:
        """Handles signals while the worker does not take them itself. Before: Ctrl-C interrupts an import that hangs,
        where asyncio.Runner's own handler would only cancel a coroutine that does not await. After: they do nothing."""
        if not _in_main_thread():
            yield
            return

        def handle(number: int, _frame: FrameType | None) -> None:
            if self._stopped:
                return
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

        for number in STOPPING:
            set_handler(number, handle)
        unhear([signal.SIGUSR1])
        yield
