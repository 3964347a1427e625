"""The supervisor: owns the sockets, looks after the workers, and answers the signals. It serves nothing itself."""

import enum
import gc
import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import FrameType

from fastserve.app import application, hooks
from fastserve.app.hooks import SupervisorInfo
from fastserve.config.config import Config
from fastserve.errors import ExitStatus, StartError
from fastserve.host import cpus, privileges, service
from fastserve.host.signal_handlers import give_back, set_handler
from fastserve.host.stop_signals import STOPPING, StopSignals, Urgency
from fastserve.ipc import after_fork
from fastserve.observe import logs
from fastserve.observe.scoreboard import Scoreboard, State
from fastserve.sockets.listeners import SlotSockets
from fastserve.supervisor import adoption
from fastserve.supervisor.arrivals import Arrivals
from fastserve.supervisor.helper_processes import Admin, HelperProcess, SourceWatcher
from fastserve.supervisor.spawn import WorkerResources
from fastserve.supervisor.upgrade import Upgrade
from fastserve.supervisor.workers import HANDSHAKE, Workers

TICK = 1.0
"""Seconds between two looks at the workers, while nothing happens."""

MOST_DRAINING = 4
"""Workers of one slot that may drain at the same time, beside the one that serves and the one that starts."""

LEAST_BLOCKS = 64

SET_UP = (
    *("admin", "admin_token_file", "admin_host", "admin_queries"),
    *("pid", "user", "group", "umask", "raise_files", "chdir", "hooks", "preload"),
    *("reload", "reload_dir", "reload_include", "reload_exclude"),
    *("access_log", "access_logfile", "log_config", "log_level", "use_colors"),
)
"""Options that a reload does not change."""

RELOAD_GRACE = 1.0
"""Seconds to finish what a worker has begun, at most, under --reload: a developer does not wait for old streams."""

logger = logging.getLogger("fastserve")


class Phase(enum.Enum):
    """The phase of the supervisor's life; only `_enter` changes it."""

    STARTING = enum.auto()
    SERVING = enum.auto()
    LEAVING = enum.auto()
    """Told to stop; still serving, but no longer ready on the admin address (--drain-delay)."""
    STOPPING = enum.auto()
    FORCED = enum.auto()


_STATE_SHOWN = {
    Phase.STARTING: State.STARTING,
    Phase.SERVING: State.SERVING,
    Phase.LEAVING: State.DRAINING,
    Phase.STOPPING: State.STOPPING,
    Phase.FORCED: State.STOPPING,
}

_SIGNALS = (
    *STOPPING,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
    signal.SIGCHLD,
)


class _EndedEarly(BaseException):
    """Raised by a signal that ends the process while it runs code of others: an import, a hook."""


class Supervisor:
    """Runs once, in the main thread of a process that has no other.

    load: reads the configuration again, for a reload; raises ValueError with the reason.
    """

    def __init__(self, config: Config, load: Callable[[], Config]) -> None:
        self._config = self._config_at_start = _impatient(config)
        self._load = load
        self._service = service.Service(config)
        self._upgrade = Upgrade(self._service)
        self._scoreboard = Scoreboard(max(LEAST_BLOCKS, _number_of_workers(config) * (2 + MOST_DRAINING)))
        self._phase = Phase.STARTING
        self._signals: deque[int] = deque()
        self._stops = StopSignals()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._arrivals = Arrivals()
        self._helpers: list[HelperProcess] = []
        self._first_sockets: SlotSockets | None = None
        self._admin_sockets: SlotSockets | None = None
        self._access_log: logs.AccessLog | None = None
        self._admin: Admin | None = None
        self._watcher: SourceWatcher | None = None
        self._adopts = adoption.adopts()
        self._resized = False
        """Whether the log already says that WINCH means nothing."""
        self._opening = False
        self._stop_at = 0.0
        self._interrupted = False
        self._reloading = False
        self._watchdog_at = 0.0
        self._title = ""

    def run(self) -> ExitStatus:
        """Runs until a signal ends it. Returns the exit status. Raises StartError, and Forked in forked processes."""
        with after_fork.guarded(self._forget):
            return self._run()

    def _run(self) -> ExitStatus:
        self._take_signals()
        try:
            self._open()
        except BaseException as error:
            self._close()
            if isinstance(error, _EndedEarly):
                return self._status(clean=True)
            raise
        while True:
            self._step()
            if self._workers.failure is not None and self._phase is Phase.STARTING:
                self._enter(Phase.FORCED)
            if self._phase in (Phase.STOPPING, Phase.FORCED) and not self._workers.children:
                break
            self._wait()
        return self._end()

    # ---- the beginning

    def _open(self) -> None:
        """Does what can fail before the first worker. Raises StartError, with nothing left open that others see."""
        config = self._config
        workers = _number_of_workers(config)
        self._opening = True
        self._hooks = hooks.load(config.hooks, config.app_dir)
        self._first_sockets = sockets = SlotSockets.open(config, workers, self._upgrade.inherited.get("workers", {}))
        self._addresses = sockets.addresses
        try:
            self._hooks.call("on_starting", self._info(workers))
            self._attend()
            self._workers = Workers(config, workers, sockets, self._resources())
        except BaseException:
            self._close_sockets(sockets)
            raise
        self._opening = False

    def _resources(self) -> WorkerResources:
        config = self._config
        scoreboard = self._scoreboard
        scoreboard.supervisor["pid"], scoreboard.supervisor["started"] = os.getpid(), int(time.time())
        scoreboard.supervisor.state = State.STARTING
        user = privileges.resolve(config.user, config.group)
        self._access_log = access_log = logs.AccessLog(config)
        self._user = user
        if user is not None:
            access_log.give_to(user.uid, user.gid)
            logs.give_files_to(user.uid, user.gid)
        app = None
        if config.preload or not isinstance(config.app, str):
            app = self._imported(config)
        gc.collect()
        gc.freeze()  # what the workers share with the supervisor stays shared: their collector does not touch it
        return WorkerResources(scoreboard, self._hooks, access_log, user, app, self._after_fork_in_worker)

    def _imported(self, config: Config) -> application.Application:
        if config.preload:
            import fastserve.worker.serve  # noqa: F401  (shared as well)
        service.set_environment(config)
        before = set(threading.enumerate())
        app = application.load(config)
        left = [each.name for each in threading.enumerate() if each not in before]
        if left:
            advice = "start them in the lifespan's startup, or in the hook post_fork"
            logger.warning("threads that the import has started are in no worker (%s): %s", advice, ", ".join(left))
        after_fork.flush_files()
        return app

    def _attend(self) -> None:
        """Sets up the helper processes."""
        config = self._config
        if config.admin is not None:
            admin = Config(config.app, bind=(config.admin,), uds_mode=config.uds_mode, uds_owner=config.uds_owner)
            self._admin_sockets = SlotSockets.open(admin, 1, self._upgrade.inherited.get("admin", {}))
            for each in self._admin_sockets.addresses:
                logger.info("admin pages on %s", each)
            if config.admin_token_file is None and self._admin_sockets.reached_from_elsewhere:
                logger.warning("whoever reaches the admin address reads its pages: --admin-token-file asks for a token")
            user = privileges.resolve(config.user, config.group)
            self._admin = Admin(config, user, self._admin_sockets, self._scoreboard, self._after_fork_in_admin)
            self._helpers.append(self._admin)
        if config.reload:
            self._watcher = SourceWatcher(config, self._after_fork_in_watcher)
            self._helpers.append(self._watcher)

    def _info(self, workers: int) -> SupervisorInfo:
        return SupervisorInfo(os.getpid(), workers, self._addresses)

    def _after_fork_in_worker(self) -> None:
        """In a forked worker: closes what belongs to the supervisor alone."""
        self._after_fork_in_any()
        if self._admin_sockets is not None:
            self._admin_sockets.close(keep_paths=True)

    def _after_fork_in_admin(self) -> None:
        """In the process of the admin address: closes the workers' addresses too."""
        self._after_fork_in_any()
        self._close_addresses()

    def _after_fork_in_watcher(self) -> None:
        """In a process that serves nothing: closes all addresses."""
        self._after_fork_in_worker()
        self._close_addresses()

    def _close_addresses(self) -> None:
        for each in self._workers.all_sockets():
            each.close(keep_paths=True)

    def _forget(self) -> None:
        """In a process that a preloaded application or a hook has forked: closes everything."""
        give_back()
        workers: Workers | None = getattr(self, "_workers", None)  # not set while the application is imported
        self._close_own(workers)
        for each in (self._first_sockets, self._admin_sockets, *(workers.all_sockets() if workers is not None else ())):
            if each is not None:
                each.close(keep_paths=True)
        if self._access_log is not None:
            self._access_log.close()

    def _after_fork_in_any(self) -> None:
        after_fork.disown()
        self._close_own(self._workers)

    def _close_own(self, workers: Workers | None) -> None:
        self._service.leave_behind()
        self._selector.close()
        self._arrivals.close()
        self._wake.close()
        self._woken.close()
        for child in workers.children.values() if workers is not None else ():
            child.channel.close()
            os.close(child.faults)
        for mailbox in workers.mailboxes() if workers is not None else ():
            mailbox.close()
        for helper in self._helpers:
            helper.close_channel()

    def _close_sockets(self, *workers: SlotSockets) -> None:
        """Closes our sockets; workers accept from copies of their own. Keeps paths that another supervisor serves."""
        keep = self._upgrade.others_serve
        for each in workers:
            each.close(keep_paths=keep)
        if self._admin_sockets is not None and self._phase is not Phase.STOPPING:
            self._admin_sockets.close(keep_paths=keep)

    # ---- the loop

    def _take_signals(self) -> None:
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._arrivals, selectors.EVENT_READ)
        self._woken_before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            set_handler(number, self._note_signal)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        if self._opening and number in STOPPING:
            self._opening = False
            self._interrupted = number == signal.SIGINT
            raise _EndedEarly

    def _wait(self) -> None:
        """Waits until something happens or is due."""
        self._watch_channels()
        self._arrivals.watch(self._workers.watched())
        times = [self._stop_at] if self._phase is Phase.LEAVING else []
        times += [each for each in (self._workers.due(), *(helper.due() for helper in self._helpers)) if each]
        tick = min(TICK, self._config.timeout_worker / 4) if self._config.timeout_worker else TICK
        due = min([time.monotonic() + tick, *times])
        while not self._happened(due):
            pass

    def _happened(self, due: float) -> bool:
        """Waits once. Returns False if only connections have come, and the workers take them."""
        look = self._arrivals.due()
        until = due if look is None else min(due, look)
        ready = [key.fileobj for key, _ in self._selector.select(max(until - time.monotonic(), 0.0))]
        if self._woken in ready:
            with suppress(BlockingIOError):
                self._woken.recv(4096)
        hangs = self._workers.note_waiting(self._arrivals.waiting())
        return hangs or any(each is not self._arrivals for each in ready) or time.monotonic() >= due

    def _watch_channels(self) -> None:
        """Registers the existing channels with the selector, and removes others."""
        wanted = {child.channel.fileno() for child in self._workers.children.values()}
        wanted = (wanted | {each.fileno() for each in self._helpers}) - {-1}
        known = {key.fd for key in self._selector.get_map().values()} - {self._woken.fileno(), self._arrivals.fileno()}
        for fd in known - wanted:
            self._selector.unregister(fd)
        for fd in wanted - known:
            self._selector.register(fd, selectors.EVENT_READ)

    def _step(self) -> None:
        logs.flush()
        while self._signals:
            self._answer(self._signals.popleft())
        for helper in self._helpers:
            helper.step()
        if self._watcher is not None and self._watcher.changes() and self._phase in (Phase.STARTING, Phase.SERVING):
            self._reload()
        for each in self._workers.all_sockets():
            each.renew_keys()
        self._workers.shared = self._upgrade.others_serve
        self._workers.step()
        if self._phase is Phase.SERVING and self._upgrade.alone():
            self._workers.scale(self._workers.wanted)  # sockets that only the predecessor needed are given up now
        moment = time.monotonic()
        if self._phase is Phase.STARTING and self._workers.booted:
            self._enter(Phase.SERVING)
        if self._phase is Phase.LEAVING and moment >= self._stop_at:
            self._enter(Phase.STOPPING)
        if self._reloading and not self._workers.reloading:
            self._reloading = False
            if self._phase is Phase.SERVING:
                self._reloaded()
        self._show()

    def _reloaded(self) -> None:
        """Ends a reload, whether it succeeded or not."""
        before, self._addresses = self._addresses, self._workers.sockets.addresses
        self._say_addresses(before)
        self._service.ready()

    def _enter(self, phase: Phase) -> None:
        """Changes the phase; nothing else does."""
        self._phase = phase
        self._scoreboard.supervisor.state = _STATE_SHOWN[phase]
        if phase is Phase.SERVING:
            self._addresses = self._workers.sockets.addresses
            self._say_addresses(())
            self._service.ready()
            self._upgrade.began_serving()
            self._hooks.call("when_ready", self._info(self._workers.wanted))
        elif phase is Phase.LEAVING:
            if not self._interrupted:
                logger.info("stopping")
            self._workers.leaving = True
            self._service.stopping()
            self._stop_at = time.monotonic() + self._delay()
        elif phase is Phase.STOPPING:
            self._close_sockets(*self._workers.all_sockets())
            self._workers.end_all()
        elif phase is Phase.FORCED:
            self._close_sockets(*self._workers.all_sockets())
            self._workers.force()

    def _delay(self) -> float:
        """Returns the seconds from the signal to stop to the end of listening."""
        delay = self._config.drain_delay if self._workers.booted else 0.0
        others = self._upgrade.slots
        sockets = self._workers.sockets
        if self._upgrade.follows and others < sockets.slots and sockets.steer(others):
            delay = max(delay, HANDSHAKE)  # the predecessor goes on, without the sockets that only this one has
        return delay

    def _say_addresses(self, known: tuple[str, ...]) -> None:
        for each in self._addresses:
            if each not in known:
                logger.info("listening on %s", each)

    def _show(self) -> None:
        """Shows the state where people look for it."""
        state = self._phase.name.lower() if not self._reloading else "reloading"
        text = f"{state}, {self._workers.serving} of {self._workers.wanted} workers"
        if text != self._title:
            self._title = text
            self._service.show("supervisor", text)
        if self._service.watchdog_interval and time.monotonic() >= self._watchdog_at:
            self._watchdog_at = time.monotonic() + self._service.watchdog_interval
            self._service.watchdog()

    # ---- signals

    def _answer(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number in STOPPING:
            self._interrupted |= number == signal.SIGINT and self._phase is Phase.STARTING
            self._stop(self._stops.take(number))
        elif number == signal.SIGUSR1:
            self._reopen_logs()
        elif self._phase is not Phase.SERVING:
            logger.warning("%s is ignored: %s", signal.Signals(number).name, self._phase.name.lower())
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR2:
            self._begin_upgrade()
        elif number == signal.SIGTTIN:
            self._scale(self._workers.wanted + 1)
        elif number == signal.SIGTTOU:
            self._scale(self._workers.wanted - 1)
        elif number == signal.SIGWINCH:
            self._rest()

    def _reopen_logs(self) -> None:
        """Reopens the logs here first: the workers' user may write the files but not create them."""
        logs.reopen_files()
        if self._access_log is not None:
            self._access_log.reopen()
        if self._user is not None:
            logs.give_files_to(self._user.uid, self._user.gid)
        self._workers.signal_all(signal.SIGUSR1)

    def _reap(self) -> None:
        self._reap_ours()
        while self._adopts and (orphan := adoption.ended()):
            if orphan in self._ours():
                self._reap_ours()
            else:
                os.waitpid(orphan, 0)

    def _reap_ours(self) -> None:
        self._workers.reap()
        for helper in self._helpers:
            helper.reap()
        if self._upgrade.reap() and self._phase is Phase.SERVING:
            # New connections were steered away from the sockets that only the successor had.
            self._workers.scale(self._workers.wanted)
            if self._workers.resting:
                self._workers.resume()

    def _ours(self) -> set[int]:
        return {*self._workers.children, *(helper.pid for helper in self._helpers), self._upgrade.successor}

    def _stop(self, urgency: Urgency) -> None:
        if urgency is Urgency.GRACEFUL and self._phase in (Phase.STARTING, Phase.SERVING):
            self._enter(Phase.LEAVING)
        elif urgency is Urgency.AT_ONCE and self._phase is not Phase.FORCED:
            logger.warning("stopping at once")
            self._enter(Phase.FORCED)

    def _reload(self) -> None:
        """Reads the configuration again and replaces the workers. A configuration that fails changes nothing."""
        try:
            hooks_of_release = self._enter_release()
            config = _impatient(self._load())
            if self._admin is not None:
                self._admin.read_again()
            workers = self._workers.wanted if self._upgrade.others_serve else _number_of_workers(config)
            sockets = self._workers.reopened(config)
        except (ValueError, StartError) as error:
            logger.error("not reloaded, the workers go on as they are: %s", error)
            self._scoreboard.supervisor["reloads_failed"] += 1
            return
        logger.info("reloading")
        if not self._reloading:
            self._service.reloading()
        self._reloading = True
        changed = [name for name in SET_UP if getattr(config, name) != getattr(self._config_at_start, name)]
        if changed:
            logger.warning("not changed by a reload but by a restart, or SIGUSR2: %s", ", ".join(changed))
        self._config = config
        if hooks_of_release is not None:
            self._hooks.take(hooks_of_release)
        self._hooks.call("on_reload", self._info(workers))
        self._workers.reload(config, workers, sockets)

    def _enter_release(self) -> hooks.Hooks | None:
        """Enters the working directory again, whose name may by now stand for another release. Returns its hooks then.

        An application that was imported here stays, and so does its directory. Raises StartError.
        """
        start = self._config_at_start
        if start.preload or not isinstance(start.app, str) or not service.reenter():
            return None
        application.forget_directories()
        return hooks.load(start.hooks, start.app_dir)

    def _scale(self, workers: int) -> None:
        if workers < 1 or self._upgrade.others_serve:
            why = "another supervisor serves too" if workers >= 1 else "one worker is the least"
            logger.warning("%d workers stay: %s", self._workers.wanted, why)
            return
        logger.info("%d workers", workers)
        self._workers.scale(workers)

    def _begin_upgrade(self) -> None:
        sockets, descriptors = {}, []
        for name, each in (("workers", self._workers.sockets), ("admin", self._admin_sockets)):
            if each is not None:
                sockets[name], some = each.for_exec()
                descriptors += some
        self._upgrade.begin(sockets, self._workers.sockets.slots, descriptors)

    def _rest(self) -> None:
        """Handles WINCH: while there is a successor, ends the workers gracefully and keeps the sockets. A terminal also
        sends it when its size changes, and whatever looks after this process may pass that on."""
        if _on_terminal():
            return
        if not self._upgrade.successor:
            if not self._resized:
                logger.info("SIGWINCH is ignored: it ends the workers only while an upgrade's successor (SIGUSR2) runs")
            self._resized = True
            return
        logger.info("the workers end, SIGHUP starts others")
        self._workers.end_all()

    # ---- the end

    def _end(self) -> ExitStatus:
        for helper in self._helpers:
            helper.end()
        for mailbox in self._workers.mailboxes():
            mailbox.close()
        if self._admin_sockets is not None:
            self._admin_sockets.close(keep_paths=self._upgrade.others_serve)
        self._hooks.call("on_exit", self._info(self._workers.wanted))
        self._close()
        if self._workers.failure is not None:
            reason, trace = self._workers.failure
            raise StartError(f"{reason}\n{trace}" if trace else reason)
        return self._status(self._workers.clean)

    def _close(self) -> None:
        """Cleans up in a process that may go on with something else."""
        self._service.close()
        signal.set_wakeup_fd(self._woken_before)
        for each in (self._selector, self._arrivals, self._wake, self._woken):
            each.close()
        gc.unfreeze()

    def _status(self, clean: bool) -> ExitStatus:
        if self._interrupted:
            logger.warning("interrupted")
            return ExitStatus.INTERRUPTED
        logger.info("stopped")
        return ExitStatus.CLEAN if clean else ExitStatus.NOT_CLEAN


def _impatient(config: Config) -> Config:
    """Under --reload: returns a configuration whose workers end soon after they were replaced."""
    patience = config.timeout_graceful_shutdown
    return replace(config, timeout_graceful_shutdown=min(patience, RELOAD_GRACE)) if config.reload else config


def _number_of_workers(config: Config) -> int:
    return config.workers or cpus.available()


def _on_terminal() -> bool:
    """Whether this process is in the foreground of a terminal."""
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)
