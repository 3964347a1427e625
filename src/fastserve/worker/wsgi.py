"""A worker for WSGI: threads instead of an event loop, and its stop."""

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from fastserve._core import WSGI, Driver
from fastserve.app import threads_left
from fastserve.config.config import Config
from fastserve.errors import ExitStatus, StartError
from fastserve.host import cpus
from fastserve.host.signal_handlers import set_handler
from fastserve.host.stop_signals import Urgency
from fastserve.ipc import after_fork
from fastserve.observe import logs
from fastserve.version import version
from fastserve.worker.asgi import CANCEL_GRACE, IDLE_GRACE, SERVER, WorkerContext, error_log, new_driver

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]

logger = logging.getLogger("fastserve")

MOST_IN_FILES = 10 << 30
"""Bytes of bodies in files, however large the disk is."""

LAST_GRACE = 1.0
"""Extra seconds before exit when the only thread is still inside the application."""


def room_for_bodies(config: Config) -> int:
    """Returns the bytes that this worker's files of bodies may take without an option: others use the disk too."""
    try:
        free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:
        return MOST_IN_FILES  # the directory may yet be created; a body that cannot be stored is 507
    return max(min(free // 2 // (config.workers or cpus.available()), MOST_IN_FILES), 1)


SOFTWARE = f"{SERVER.decode()}/{version()}"
"""Determined at import: later another user might not be allowed to read the package's metadata."""


class ThreadedWorker:
    """Serves one WSGI application in one context, once."""

    def __init__(self, config: Config, app: WSGIApplication, context: WorkerContext) -> None:
        if config.lifespan == "on":
            raise StartError("a WSGI application has no lifespan; leave --lifespan away")
        self._patience = config.timeout_graceful_shutdown
        self._listeners = context.listeners
        self._stopping = False
        self._asked_to_stop = False
        """Whether a signal has requested the stop, which begins when the driver turns."""
        self._forced = False
        self._note: Callable[[signal.Signals], Urgency]
        self._take: Callable[[signal.Signals], None]
        self._timers: dict[Urgency, threading.Timer] = {}
        # One thread that nobody may take over from needs no others; a deadline has to be kept by somebody.
        deadlines = (config.timeout_request, config.timeout_response_idle, config.timeout_response)
        self._watched = config.threads > 1 or any(deadlines) or config.timeout_threads > 0
        self._wsgi = WSGI(
            app,
            threads=config.threads,
            watched=self._watched,
            multiprocess=context.siblings,
            root_path=config.root_path,
            underscores=config.header_underscores == "allow",
            software=SOFTWARE,
        )
        self._log = error_log(config, context)
        own = {"body_files": room_for_bodies(config)}
        self.driver: Driver = new_driver(self._wsgi, config, context, self._log, own)

    def serve(self, started: Callable[[], None]) -> bool:
        """Serves, in the calling thread or while that waits, until the stop is done. Returns whether it was clean: not
        forced, and no call left inside the application.

        started: called when connections are served.
        """
        with after_fork.guarded(self._forget, self.driver.note_fork):
            return self._serve(started)

    def _forget(self) -> None:
        """In a child that the application has forked."""
        self._listeners.forget()
        self.driver.forget_after_fork()

    def _serve(self, started: Callable[[], None]) -> bool:
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
        """Makes the driver's thread call it between two turns. From any thread or signal handler."""
        self._wsgi.call_soon(call)

    @property
    def should_exit(self) -> bool:
        """Whether the end has begun: a stop, a reload, recycling. Setting it asks for a stop, from any thread."""
        return self._stopping or self._asked_to_stop

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self.should_exit:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self, *, at_once: bool = False) -> None:
        """Begins the graceful stop, or ends everything at once; logs each once. Called by `soon`, as what follows."""
        if not self._stopping:
            logger.info("stopping")
            self.drain()
        if at_once and not self._forced:
            logger.warning("stopping at once")
            self.force()

    def drain(self) -> None:
        """Begins the graceful stop, once."""
        if self._stopping:
            return
        self._stopping = True
        threads_left.stop_begins(self._patience)
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
        """Gives requests up: threads cannot be cancelled, but what they still do has no effect."""
        self.driver.cancel_requests()
        self.driver.drop_connections()
        self.driver.call_later(CANCEL_GRACE, self._wsgi.halt)  # at the latest: iterables still have to be closed

    def _leave(self) -> None:
        """Ends the process: the thread that should do it is inside the application and does not return."""
        logger.warning("calls of the application that did not end: %d", self._wsgi.give_up())
        self._log.close()
        logging.shutdown()
        logs.finish()
        os._exit(ExitStatus.NOT_CLEAN)

    def handle_exit(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal in the main thread, whatever that is doing.

        Applications find the server through it: see `Worker.handle_exit`.
        """
        urgency = self._note(signal.Signals(number))
        self._asked_to_stop |= urgency is not Urgency.NONE
        self.soon(partial(self._take, signal.Signals(number)))
        if urgency is not Urgency.NONE and not self._watched and urgency not in self._timers:
            # Nobody can take over from the thread that is inside the application: the process does not wait for ever.
            patience = self._patience if urgency is Urgency.GRACEFUL else 0.0
            self._timers[urgency] = timer = threading.Timer(LAST_GRACE + patience, self._leave)
            timer.daemon = True
            timer.start()

    @contextmanager
    def signals(
        self,
        numbers: Collection[signal.Signals],
        note: Callable[[signal.Signals], Urgency],
        take: Callable[[signal.Signals], None],
    ) -> Iterator[None]:
        """Calls `note` when one of the signals comes, and `take` by `soon`.

        Does nothing off the main thread, where Python takes no signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._note, self._take = note, take
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            set_handler(number, self.handle_exit)
        # Otherwise a signal that comes just before the wait for events would be seen only after it.
        descriptor = signal.set_wakeup_fd(self._wsgi.wake_fd, warn_on_full_buffer=False)
        try:
            yield
        finally:
            for timer in self._timers.values():
                timer.cancel()
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                if handler is not None:  # what C code has installed cannot be set again
                    set_handler(number, handler)
