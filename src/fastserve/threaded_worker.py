"""A worker for WSGI: threads in place of an event loop, and the way to its end."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fastserve._core import WSGI, Driver
from fastserve.config import Config
from fastserve.errors import ExitStatus, StartError
from fastserve.version import version
from fastserve.worker import CANCEL_GRACE, IDLE_GRACE, SERVER, Place, error_log, new_driver

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]

logger = logging.getLogger("fastserve")

LAST_GRACE = 1.0
"""Seconds beyond its time that a process has, whose only thread is inside the application when it should stop."""


class ThreadedWorker:
    """Serves one WSGI application in one place, once."""

    def __init__(self, config: Config, app: WSGIApplication, place: Place) -> None:
        if config.lifespan == "on":
            raise StartError("a WSGI application has no lifespan; leave --lifespan away")
        self._patience = config.timeout_graceful_shutdown
        self._listeners = place.listeners
        self._stopping = False
        self._forced = False
        # One thread that nobody may take over from needs no others; a deadline has to be kept by somebody.
        self._watched = config.threads > 1 or config.timeout_request > 0
        self._wsgi = WSGI(
            app,
            threads=config.threads,
            watched=self._watched,
            multiprocess=place.siblings,
            root_path=config.root_path,
            underscores=config.header_underscores == "allow",
            software=f"{SERVER.decode()}/{version()}",
        )
        self._log = error_log(config, place)
        self.driver: Driver = new_driver(self._wsgi, config, place, self._log)

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
            left = self.driver.requests
            self.driver.close()
            self._log.close()
        if left:
            logger.warning("calls of the application that did not end: %d", left)
        return not (left or self._forced)

    def soon(self, call: Callable[[], None]) -> None:
        """Has the driver's thread make the call, between two turns. From any thread or signal handler."""
        self._wsgi.call_soon(call)

    def stop(self) -> None:
        """Begins the graceful stop; called again, it ends everything at once. As what follows, only by `soon`."""
        if not self._stopping:
            logger.info("stopping")
            self.drain()
        elif not self._forced:
            logger.warning("stopping at once")
            self.force()

    def drain(self) -> None:
        """Begins the graceful stop, once."""
        if self._stopping:
            return
        self._stopping = True
        self.driver.stop_listening()
        self._listeners.close()
        self.driver.drain(min(IDLE_GRACE, self._patience / 2))
        self.driver.call_later(self._patience, self._end)
        self.driver.when_idle(self._wsgi.halt)

    def force(self) -> None:
        """Ends everything at once."""
        if self._forced:
            return
        self.drain()
        self._forced = True
        self._end()

    def _end(self) -> None:
        """Threads cannot be cancelled: their requests are given up, and what they still do has no effect."""
        self.driver.cancel_requests()
        self.driver.drop_connections()
        self.driver.call_later(CANCEL_GRACE, self._wsgi.halt)  # at the latest: iterables have still to be closed

    def _leave(self) -> None:
        """The thread that would end the process is inside the application and does not come back."""
        logger.warning("calls of the application that did not end: %d", self._wsgi.give_up())
        self._log.close()
        logging.shutdown()
        os._exit(ExitStatus.NOT_CLEAN)

    @contextmanager
    def signals(
        self, handlers: Mapping[signal.Signals, Callable[[], None]], last: Collection[signal.Signals]
    ) -> Iterator[None]:
        """Calls the handlers by `soon`; off the main thread, where Python takes no signals, nothing does.

        last: those that end the process. Where nobody could take over from the thread that is inside the application,
        the process does not wait for it for ever.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        timers: list[threading.Timer] = []

        def handle(number: int, _frame: FrameType | None) -> None:
            self.soon(handlers[signal.Signals(number)])
            if number in last and not self._watched and len(timers) < 2:
                timers.append(threading.Timer(LAST_GRACE + (0 if timers else self._patience), self._leave))
                timers[-1].daemon = True
                timers[-1].start()

        before = {number: signal.signal(number, handle) for number in handlers}
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
