"""A worker for WSGI: threads in place of an event loop, and the way to its end."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fastserve._core import WSGI, Driver
from fastserve.config import Config
from fastserve.errors import ExitStatus, StartError
from fastserve.listen import Listeners
from fastserve.version import version
from fastserve.worker import CANCEL_GRACE, IDLE_GRACE, SERVER, new_driver

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]

logger = logging.getLogger("fastserve")

LAST_GRACE = 1.0
"""Seconds beyond its time that a process has, whose only thread is inside the application when it should stop."""


class ThreadedWorker:
    """Serves one WSGI application on its listeners, once.

    listeners: closed by the worker when it stops.
    access_log: a descriptor, which stays the caller's; -1 for none.
    """

    def __init__(self, config: Config, app: WSGIApplication, listeners: Listeners, access_log: int) -> None:
        if config.lifespan == "on":
            raise StartError("a WSGI application has no lifespan; leave --lifespan away")
        self._patience = config.timeout_graceful_shutdown
        self._listeners = listeners
        self._stopping = False
        self._forced = False
        # One thread that nobody may take over from needs no others; a deadline has to be kept by somebody.
        self._watched = config.threads > 1 or config.timeout_request > 0
        self._wsgi = WSGI(
            app,
            threads=config.threads,
            stack_size=config.thread_stack_size,
            watched=self._watched,
            root_path=config.root_path,
            underscores=config.header_underscores == "allow",
            software=f"{SERVER.decode()}/{version()}",
        )
        self._driver: Driver = new_driver(self._wsgi, config, listeners, access_log)

    def serve(self, started: Callable[[], None]) -> bool:
        """Serves, in the calling thread or while that waits, until `stop` has come to its end; whether that was clean:
        not forced, and no call left inside the application.

        started: called when connections are served.
        """
        try:
            started()
            self._wsgi.serve()
        finally:
            self._listeners.close()
            left = self._driver.requests
            self._driver.close()
        if left:
            logger.warning("calls of the application that did not end: %d", left)
        return not (left or self._forced)

    def stop(self) -> None:
        """Begins the graceful stop; called again, it ends everything at once. From any thread or signal handler."""
        self._wsgi.call_soon(self._stop)

    def _stop(self) -> None:
        if self._stopping:
            if not self._forced:
                logger.warning("stopping at once")
                self._forced = True
                self._end()
            return
        logger.info("stopping")
        self._stopping = True
        self._driver.stop_listening()
        self._listeners.close()
        self._driver.drain(min(IDLE_GRACE, self._patience / 2))
        self._driver.call_later(self._patience, self._end)
        self._driver.when_idle(self._wsgi.halt)

    def _end(self) -> None:
        """Threads cannot be cancelled: their requests are given up, and what they still do has no effect."""
        self._driver.cancel_requests()
        self._driver.drop_connections()
        self._driver.call_later(CANCEL_GRACE, self._wsgi.halt)  # at the latest: iterables have still to be closed

    def _leave(self) -> None:
        """The thread that would end the process is inside the application and does not come back."""
        logger.warning("calls of the application that did not end: %d", self._wsgi.give_up())
        logging.shutdown()
        os._exit(ExitStatus.NOT_CLEAN)

    @contextmanager
    def signals(self, stop: Callable[[], None]) -> Iterator[None]:
        """SIGINT and SIGTERM call `stop`, in the main thread: it waits for events or is inside the application. Off it,
        where Python takes no signals, nothing does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        timers: list[threading.Timer] = []

        def handle(_number: int, _frame: FrameType | None) -> None:
            stop()
            if not self._watched and len(timers) < 2:
                timers.append(threading.Timer(LAST_GRACE + (0 if timers else self._patience), self._leave))
                timers[-1].daemon = True
                timers[-1].start()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        # A signal that comes just before the wait for events would else be seen only after it.
        descriptor = signal.set_wakeup_fd(self._wsgi.wake_fd, warn_on_full_buffer=False)
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
