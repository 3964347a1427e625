"""The processes besides the workers: one that serves the admin address, one that watches the source files."""

import logging
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

from fastserve.config.config import Config
from fastserve.host import privileges, source_watch
from fastserve.host.privileges import Privileges
from fastserve.ipc.after_fork import Forked, fork
from fastserve.ipc.channel import Channel
from fastserve.ipc.worker_spec import WorkerSpec
from fastserve.observe import admin_access
from fastserve.observe.admin_access import Access, read_tokens
from fastserve.observe.scoreboard import Scoreboard
from fastserve.sockets.listeners import SlotSockets
from fastserve.supervisor import health
from fastserve.supervisor.wait_status import Exit

PAUSE = 1.0
"""Seconds before a process that has ended is followed by another."""

GRACE = 2.0
"""Seconds that a process has to end."""

_LONGEST_LINE = 65536

logger = logging.getLogger("fastserve")


class HelperProcess(ABC):
    """A process besides the workers, started again whenever it ends.

    leave_behind: in a forked process, closes what is the supervisor's.
    """

    name: str

    def __init__(self, leave_behind: Callable[[], None]) -> None:
        self._leave_behind = leave_behind
        self.pid = 0
        """0 while there is no such process."""
        self._channel: Channel | None = None
        self._not_before = 0.0

    @abstractmethod
    def job(self, channel: Channel) -> int:
        """The process's work, with its end of the channel. Returns the exit status."""

    @abstractmethod
    def hear(self, channel: Channel) -> None:
        """Takes a message. Raises BlockingIOError if no message waits."""

    def fileno(self) -> int:
        """Returns a descriptor that is readable when the process says something; -1 without a process."""
        return self._channel.fileno() if self._channel is not None else -1

    def due(self) -> float | None:
        """When another process has to be started; None while there is one."""
        return None if self.pid else self._not_before

    def step(self) -> None:
        """Hears what the process says, or starts one if there is none. Raises Forked in the new process."""
        if self._channel is not None:
            with suppress(BlockingIOError):
                self.hear(self._channel)
        elif not self.pid and time.monotonic() >= self._not_before:
            self._start()

    def _start(self) -> None:
        try:
            ours, theirs = Channel.pair()
            pid = self._fork(ours, theirs)
        except OSError as error:
            logger.error("the %s process cannot be started: %s", self.name, os.strerror(error.errno or 0).lower())
            self._not_before = time.monotonic() + PAUSE
        else:
            self.pid, self._channel = pid, ours

    def _fork(self, ours: Channel, theirs: Channel) -> int:
        """Forks. Raises Forked in the new process."""
        try:
            pid = fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._leave_behind()
            raise Forked(lambda: self.job(theirs))
        theirs.close()
        return pid

    def close_channel(self) -> None:
        """Closes the channel; also in a forked process, which has no helper to talk with."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def reap(self) -> None:
        """Takes the exit status, if the process has ended."""
        if not self.pid:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.step()
            end = Exit.of(status)
            level = logging.DEBUG if end.clean else logging.ERROR
            logger.log(level, "the %s process ended: %s; another one follows", self.name, end)
            # SIGTERM to the whole process group is not meant for the helper: readiness probes still get an answer.
            self._forget(pause=0.0 if end.clean else PAUSE)

    def _forget(self, pause: float) -> None:
        self.pid = 0
        self._not_before = time.monotonic() + pause
        self.close_channel()

    def end(self) -> None:
        """Ends the process, and waits until it has ended."""
        if not self.pid:
            return
        deadline = time.monotonic() + GRACE
        os.kill(self.pid, signal.SIGTERM)
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)
        self._forget(PAUSE)


class SourceWatcher(HelperProcess):
    """The process that says when source files have changed."""

    name = "watching"

    def __init__(self, config: Config, leave_behind: Callable[[], None]) -> None:
        """Raises StartError if nothing can be watched."""
        super().__init__(leave_behind)
        source_watch.check(config)
        self._config = config
        self._changes = ""

    def job(self, channel: Channel) -> int:
        source_watch.run(self._config, channel.fileno())
        return 0

    def hear(self, channel: Channel) -> None:
        text = os.read(channel.fileno(), _LONGEST_LINE)
        if text:
            self._changes = text.decode(errors="replace").strip()
        else:
            self.close_channel()

    def changes(self) -> str:
        """Returns what has changed since the last call; empty for nothing."""
        changes, self._changes = self._changes, ""
        return changes


class Admin(HelperProcess):
    """The process that serves the admin address, with a worker like those that serve the application."""

    name = "admin"

    def __init__(
        self,
        config: Config,
        user: Privileges | None,
        sockets: SlotSockets,
        scoreboard: Scoreboard,
        leave_behind: Callable[[], None],
    ) -> None:
        """sockets: of the admin address, with one slot."""
        super().__init__(leave_behind)
        self._config = config
        self._privileges = user
        self._sockets = sockets
        self._scoreboard = scoreboard
        self._tokens: object = None
        self.check()

    def check(self) -> None:
        """Raises StartError if the tokens cannot be read."""
        if self._config.admin_token_file is not None:
            self._tokens = admin_access.state(self._config.admin_token_file)
            self._access()

    def read_again(self) -> None:
        """At a reload: replaces the process by one that knows the new tokens. Raises StartError."""
        path = self._config.admin_token_file
        if path is not None and admin_access.state(path) != self._tokens:
            self.check()
            logger.info("the tokens of the admin address are read again")
            if self.pid:
                os.kill(self.pid, signal.SIGTERM)

    def _access(self) -> Access:
        path = self._config.admin_token_file
        uid = privileges.uid_of(self._config.user)
        return Access(self._config.admin_host, read_tokens(path, uid) if path is not None else ())

    def job(self, channel: Channel) -> int:
        from fastserve.observe import admin, metrics
        from fastserve.worker.forked_worker import run

        metrics.render(self._scoreboard)  # loads what another user might not be allowed to read
        config = Config(
            admin.application(
                self._scoreboard, health.SILENT_AFTER, self._access(), queries=self._config.admin_queries
            ),
            interface="wsgi",
            proxy_headers=False,  # a proxy must not change the host name of a request
            log_rate_limit=self._config.log_rate_limit,
            threads=1,
            lifespan="off",
            access_log=False,
            proc_name=self._config.proc_name,
            timeout_graceful_shutdown=1.0,
        )
        listeners = self._sockets.keep(0)
        spec = WorkerSpec(
            config=config,
            slot=0,
            generation=0,
            listeners=listeners,
            channel=channel,
            faults=2,
            beat=health.BEAT,
            siblings=False,
            privileges=self._privileges,
            role="admin",
        )
        return run(spec)

    def hear(self, channel: Channel) -> None:
        message = channel.receive()
        if message is None:
            self.close_channel()
        elif message.kind == "failed":
            logger.error("the admin address cannot be served: %s", message.values["reason"])
