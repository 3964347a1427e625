"""The server in a running event loop of the program that embeds it."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from fastserve.app import application
from fastserve.app.application import Application
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host.stop_signals import StopSignals, Urgency
from fastserve.ipc import after_fork
from fastserve.observe import logs
from fastserve.sockets.listeners import Listeners, open_listeners, take_over
from fastserve.worker.asgi import Worker, WorkerContext
from fastserve.worker.wsgi import ThreadedWorker

logger = logging.getLogger("fastserve")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Stop = Callable[[bool], None]
"""Makes the worker stop: gracefully, or with True at once."""


class Server:
    """One worker. Serves once; logging is left to the program that embeds it.

    handle_signals: while it serves in the main thread, SIGINT and SIGTERM stop it.
    started: set when connections are served, for other threads; a coroutine awaits `wait_started`.
    """

    def __init__(self, config: Config, *, handle_signals: bool = True) -> None:
        self.config = config
        self.started = threading.Event()
        self._handle_signals = handle_signals
        self._addresses: tuple[str, ...] = ()
        self._lock = threading.RLock()  # `shutdown` comes from other threads, and from signal handlers of this one
        self._stop: Stop | None = None
        self._stop_requested = False
        self._shut_down = False
        """Whether `shutdown` was called. A signal does not count: the program's own handler may call it then."""
        self._forced = False
        self._stops = StopSignals()
        self._received: dict[int, None] = {}
        self._handlers_before: dict[signal.Signals, Any] = {}
        """The earlier handler of each signal that is taken."""
        self._ended = False
        self._settled = asyncio.Event()
        self._used = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is listened on, as `http://127.0.0.1:8000` or `unix:/path`; kept after the stop."""
        return self._addresses

    @property
    def should_exit(self) -> bool:
        """Whether a stop was asked for; setting it asks for one, from any thread."""
        return self._stop_requested

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self._stop_requested:
            self.shutdown()

    def shutdown(self) -> None:
        """Begins the graceful stop; called again, it ends everything at once. From any thread."""
        with self._lock:
            again, self._shut_down = self._shut_down, True
            self._stops.begin()
            self._request(at_once=again)

    def _request(self, *, at_once: bool) -> None:
        with self._lock:
            self._stop_requested = True
            self._forced |= at_once
            if self._stop is not None:
                self._stop(self._forced)

    async def wait_started(self) -> None:
        """Waits, in the loop of `serve`, until connections are served. Raises StartError if they never are."""
        await self._settled.wait()
        if not self.started.is_set():
            raise StartError("the server did not start")

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> bool:
        """Serves until `shutdown`, or in the main thread SIGINT or SIGTERM. Returns whether the stop was clean.

        Afterwards the program's own signal handlers are restored, and the signals that came are raised again: the
        program acts on them as it would without a server.
        sockets: listening stream sockets to use instead of the configured address; the server closes them.
        Raises StartError when it cannot start. A cancelled task stops at once, and the lifespan is still ended.
        A WSGI application is served in threads beside the loop.
        """
        self._begin()
        try:
            with self._opened(sockets) as (listeners, access_log):
                app = application.load(self.config)
                serve = self._serve_beside if app.interface == "wsgi" else self._serve_here
                with self._signals(), after_fork.guarded(self._forget):
                    return await serve(app, listeners, access_log)
        finally:
            self._settled.set()
            self._raise_again()

    def _begin(self) -> None:
        if self._used:
            raise RuntimeError("a Server serves once")
        self._used = True

    @contextmanager
    def _opened(self, sockets: Sequence[socket.socket] | None) -> Iterator[tuple[Listeners, int]]:
        listeners = take_over(sockets, self.config) if sockets is not None else open_listeners(self.config)
        access_log = None
        try:
            access_log = logs.AccessLog(self.config, standard_output=self.config.access_log is True)
            yield listeners, access_log.fd
            logger.info("stopped")
        finally:
            listeners.close()
            if access_log is not None:
                access_log.close()

    async def _serve_here(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        worker = Worker(self.config, app.call, WorkerContext(listeners, access_log))
        loop = asyncio.get_running_loop()
        with self._reachable(lambda at_once: _soon(loop, lambda: worker.stop(at_once=at_once))):
            return await worker.serve(lambda: self._announce(listeners))

    async def _serve_beside(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        worker = ThreadedWorker(self.config, app.call, WorkerContext(listeners, access_log))

        def stop(at_once: bool) -> None:
            worker.soon(lambda: worker.stop(at_once=at_once))

        loop = asyncio.get_running_loop()
        serving = loop.create_task(
            asyncio.to_thread(worker.serve, lambda: _soon(loop, lambda: self._announce(listeners)))
        )
        with self._reachable(stop):
            try:
                return await asyncio.shield(serving)
            except asyncio.CancelledError:
                stop(True)
                await serving
                raise

    # ---- signals

    def handle_exit(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal. A bound method as uvicorn's, since applications find the server through it."""
        self._received[number] = None
        urgency = self._stops.take(number)
        if urgency is not Urgency.NONE:
            self._request(at_once=urgency is Urgency.AT_ONCE)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Takes the signals. Not by `loop.add_signal_handler`: what the program had there could not be restored."""
        if not self._handle_signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in _SIGNALS:
            if (before := signal.getsignal(number)) is not None:  # what C code has installed cannot be set again
                self._handlers_before[number] = before
                signal.signal(number, self.handle_exit)
        loop = asyncio.get_running_loop()
        try:
            with _woken_by_signals(loop):
                yield
        finally:
            self._ended = True
            for taken, found in self._handlers_before.items():
                if signal.getsignal(taken) == self.handle_exit:
                    signal.signal(taken, _living(taken, found))

    def _forget(self) -> None:
        """In a child that the application has forked: drops the state; its worker forgets the rest."""
        for number, found in self._handlers_before.items():
            if signal.getsignal(number) == self.handle_exit:
                signal.signal(number, _without_loop(number, _living(number, found)))

    def _raise_again(self) -> None:
        """Raises the signals that came again, except those that the loop handles: it was told of them beside us."""
        loop = asyncio.get_running_loop()
        for number in reversed(self._received):
            if not _is_of_loop(signal.getsignal(number), loop):
                signal.raise_signal(number)

    @contextmanager
    def _reachable(self, stop: Stop) -> Iterator[None]:
        """Lets `shutdown` reach the worker, also if it was called before. `stop` may be called from any thread."""
        with self._lock:
            self._stop = stop
            if self._stop_requested:
                self._stop(self._forced)
        try:
            yield
        finally:
            with self._lock:
                self._stop = None

    def _announce(self, listeners: Listeners) -> None:
        self._addresses = listeners.addresses
        for each in self._addresses:
            logger.info("listening on %s", each)
        self.started.set()
        self._settled.set()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def _living(number: signal.Signals, handler: Any) -> Any:
    """Returns a signal's handler; for the handler of a server that has ended, the one that was there before it."""
    while isinstance(server := getattr(handler, "__self__", None), Server) and server._ended:
        handler = server._handlers_before[number]
    return handler


def _is_of_loop(handler: Any, loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the handler stands for one of `loop.add_signal_handler`, which the loop calls whatever Python calls."""
    return getattr(handler, "__self__", None) is loop or _is_noop(handler)


def _is_noop(handler: Any) -> bool:
    """Whether it is the placeholder that asyncio sets for a handler in its loop."""
    return getattr(handler, "__module__", "") == "asyncio.unix_events"


def _without_loop(number: signal.Signals, handler: Any) -> Any:
    """Returns a handler for a child, where no loop runs to do what the loop's placeholder only passes on."""
    owner = getattr(getattr(handler, "func", handler), "__self__", None)
    if not isinstance(owner, asyncio.AbstractEventLoop | asyncio.Runner) and not _is_noop(handler):
        return handler
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wakes asyncio's loop when a signal comes just before it waits; the loop would notice it only after the wait.

    Once the program has a signal handler in the loop, the loop wakes on its own; uvloop's always does.
    """
    if not isinstance(loop, asyncio.SelectorEventLoop):
        yield
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        _wake_by(writer.fileno(), instead_of=-1)
        loop.add_reader(reader, _drain, reader)
        try:
            yield
        finally:
            loop.remove_reader(reader)
            _wake_by(-1, instead_of=writer.fileno())


def _wake_by(fd: int, *, instead_of: int) -> None:
    """Sets the descriptor that signals write to, if the present one is the expected one."""
    before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    if before != instead_of:
        signal.set_wakeup_fd(before)


def _drain(reader: socket.socket) -> None:
    with suppress(BlockingIOError):
        reader.recv(4096)
