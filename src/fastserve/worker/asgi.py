"""A worker for ASGI: an event loop, its driver, and the course from the lifespan's startup to its shutdown."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from fastserve import _core
from fastserve._core import ASGI, Driver, Interface, TrustedProxies, came_back
from fastserve.app import threads_left
from fastserve.app.application import ASGI3
from fastserve.app.lifespan import Lifespan
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host.signal_handlers import set_handler
from fastserve.ipc import after_fork
from fastserve.observe import logs
from fastserve.observe.log_limit import LimitedLogger
from fastserve.observe.scoreboard import counter
from fastserve.sockets.listeners import Listeners

T = TypeVar("T")

logger = logging.getLogger("fastserve")
error_logger = logging.getLogger("fastserve.error")

asyncio_logger = logging.getLogger("asyncio")
"""The loop's logger. Its lines are rate-limited too: a callback of the application may fail again and again."""

SERVER = b"fastserve"

IDLE_GRACE = 1.0
"""Seconds in which an idle connection may still bring a request that was in transit when the stop began."""

RENEWAL = 1.0
"""Seconds between two looks at the files of certificates."""

CANCEL_GRACE = 1.0
"""Seconds that cancelled requests have to unwind before their connections are closed."""

LIFESPAN_GRACE = 5.0
"""Seconds that the application's shutdown has at least, however much of the graceful time the requests took."""


def new_loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns the factory of `--loop`'s event loop. Raises StartError if uvloop is requested and missing."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    try:
        import uvloop
    except ImportError as error:
        if name == "uvloop":
            raise StartError(f"uvloop cannot be used: {error}") from None
        return asyncio.SelectorEventLoop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def own_process(config: Config) -> None:
    """Tunes what only a process of the server's own may tune; not called if the server is embedded.

    Called before the application is imported. The stack size is the process's: if it were changed later, while a thread
    of ours starts, it would also apply to any thread that the application starts at that moment.
    """
    _core.keep_freed_memory()
    if config.thread_stack_size:
        threading.stack_size(config.thread_stack_size)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """A worker's surroundings: what it takes connections from, and where it writes what it does."""

    listeners: Listeners
    """Closed by the worker when it stops."""
    access_log: int = -1
    """A descriptor, which stays the caller's; -1: no access log."""
    shared: bool = False
    """Whether other processes take connections from the same listeners."""
    status: memoryview | None = None
    """The worker's block of the scoreboard."""
    beat: float = 0.0
    """Seconds after which the worker shows there that it is alive even if nothing happens; 0: never."""
    siblings: bool = False
    """Whether other processes run the same application (WSGI's wsgi.multiprocess)."""


def protocols(config: Config) -> list[str]:
    """Returns the protocols that ALPN offers. Raises StartError if the build lacks what is configured."""
    if config.http == "2" and not _core.HAVE_NGHTTP2:
        raise StartError("--http 2: this build has no HTTP/2; install libnghttp2-dev and build it again")
    if config.http == "2":
        return ["h2"]
    return ["h2", "http/1.1"] if config.http == "auto" and _core.HAVE_NGHTTP2 else ["http/1.1"]


def error_log(config: Config, context: WorkerContext) -> LimitedLogger:
    """Returns the driver's logger, which is rate-limited: clients can cause most of its lines."""
    if context.status is None:
        return LimitedLogger(error_logger, config.log_rate_limit)
    logs.count_lost(counter(context.status, "log_lines_dropped"))
    return LimitedLogger(error_logger, config.log_rate_limit, counter(context.status, "log_lines_left_out"))


def new_driver(
    interface: Interface,
    config: Config,
    context: WorkerContext,
    log: LimitedLogger,
    own: Mapping[str, int] | None = None,
) -> Driver:
    """Returns a driver that watches the listeners, for the interface to start. Raises StartError.

    own: limits that the configuration leaves to the worker, by the core's names.
    """
    offered = protocols(config)
    try:
        driver = Driver(
            interface,
            logger=log,
            limits={**(own or {}), **config.limits},
            server_header=SERVER if config.server_header else None,
            date_header=config.date_header,
            headers=config.headers,
            access_log_fd=context.access_log,
            forwarding=TrustedProxies(config.forwarded_allow_ips) if config.proxy_headers else None,
            proxy_protocol=TrustedProxies(config.proxy_allow_from).trusts if config.proxy_protocol else None,
            status=context.status,
            http=config.http,
        )
        driver.beat(context.beat)
        tls = context.listeners.security.tls
        if tls is not None:
            tls.offer(offered)
            driver.repeat(RENEWAL, tls.renew)
        context.listeners.listen(config.backlog)
        watch_listeners(driver, context)
    except (OSError, ValueError) as error:
        raise StartError(f"cannot serve: {error}") from error
    return driver


def watch_listeners(driver: Driver, context: WorkerContext) -> None:
    """Makes the driver watch the listeners that listen and are not watched yet. Raises OSError."""
    for each in context.listeners.take_listening():
        driver.add_listener(each.fileno(), shared=context.shared, **context.listeners.security.options(each))


class Worker:
    """Serves one application in one context, once.

    app: in ASGI 3 form.
    driver: None before connections are served, and after the end.
    """

    def __init__(self, config: Config, app: ASGI3, context: WorkerContext) -> None:
        self.driver: Driver | None = None
        self._config = config
        self._app = app
        self._context = context
        self._log = error_log(config, context)
        self._lifespan = Lifespan(app, config.lifespan)
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        self._drained = asyncio.Event()
        self._deadline = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, started: Callable[[], None]) -> bool:
        """Runs until `stop`. Returns whether the stop was clean: not forced, and without a failed application shutdown.

        started: called when connections are served.
        Raises StartError if the startup of the lifespan or of the driver fails.
        """
        self._loop = asyncio.get_running_loop()
        with after_fork.guarded(self._forget, self._note_fork):
            return await self._serve(started)

    async def _serve(self, started: Callable[[], None]) -> bool:
        clean = True
        try:
            await _unless(self._stopping, self._lifespan.startup())
            if not self._stopping.is_set():
                driver = self._open()
                started()
                await self._stopping.wait()
                await self._drain(driver)
        finally:
            self._close()
            clean = await self._end_lifespan()
        return clean and not self._forced.is_set()

    @property
    def should_exit(self) -> bool:
        """Whether the end has begun: a stop, a reload, recycling. Setting it asks for a stop, from any thread."""
        return self._stopping.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self.should_exit:
            os.kill(os.getpid(), signal.SIGTERM)

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal. There is nothing left to do: the loop hears of it by its wake-up descriptor.

        A bound method, as uvicorn's, since applications find the server through it: sse-starlette ends its streams when
        `signal.getsignal(SIGTERM).__self__.should_exit` is true.
        """

    def _note_fork(self) -> None:
        if self.driver is not None:
            self.driver.note_fork()

    def _forget(self) -> None:
        """In a child that the application has forked: closes what is the worker's."""
        self._context.listeners.forget()
        if self.driver is not None:
            self.driver.forget_after_fork()
        elif self._loop is not None:
            with suppress(RuntimeError):  # in debug mode, where another thread has forked
                self._loop.call_soon(came_back, logger)

    def stop(self, *, at_once: bool = False) -> None:
        """Begins the graceful stop, or ends everything at once; logs each once. Like everything here, called only from
        a callback of the loop, when the driver is not at work."""
        if not self._stopping.is_set():
            logger.info("stopping")
            self.drain()
        if at_once and not self._forced.is_set():
            logger.warning("stopping at once")
            self.force()

    def drain(self) -> None:
        """Begins the graceful stop, once."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self.driver is not None:
            self._begin_drain(self.driver)

    def force(self) -> None:
        """Ends everything at once."""
        self._stopping.set()
        self._forced.set()
        self._drained.set()

    def _open(self) -> Driver:
        if self._config.ws_per_message_deflate and not _core.HAVE_ZLIB:
            raise StartError("--ws-per-message-deflate: this build has no zlib; install zlib1g-dev and build it again")
        interface = ASGI(
            self._app,
            loop=asyncio.get_running_loop(),
            root_path=self._config.root_path,
            extensions=[f"http.response.{name}" for name in self._config.asgi_extensions],
            state=self._lifespan.state,
            websocket=self._config.ws != "none",
            deflate=self._config.ws_per_message_deflate is not False,
            underscores=self._config.header_underscores == "allow",
        )
        self.driver = driver = new_driver(interface, self._config, self._context, self._log)
        asyncio_logger.addFilter(self._log)
        interface.start()
        return driver

    def _begin_drain(self, driver: Driver) -> None:
        """Accepts no more connections, and lets the open ones finish."""
        patience = self._config.timeout_graceful_shutdown
        threads_left.stop_begins(patience)
        self._deadline = asyncio.get_running_loop().time() + patience
        driver.stop_listening()
        self._context.listeners.close()
        driver.drain(min(IDLE_GRACE, patience / 2), min(self._config.ws_drain_timeout, patience / 2))
        driver.when_idle(self._drained.set)

    async def _drain(self, driver: Driver) -> None:
        """Waits for the requests in flight: first they may end on their own, then they are told, then cancelled."""
        patience = self._config.timeout_graceful_shutdown
        if await self._drained_by(self._deadline - patience / 2):
            return
        driver.tell_streams()
        if await self._drained_by(self._deadline):
            return
        cancelled = driver.cancel_requests()
        if cancelled:
            logger.warning("requests that did not end within %g seconds and were cancelled: %d", patience, cancelled)
        await self._drained_by(self._deadline + CANCEL_GRACE)

    async def _drained_by(self, when: float) -> bool:
        try:
            async with asyncio.timeout_at(when):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True

    def _close(self) -> None:
        self._context.listeners.close()
        driver, self.driver = self.driver, None
        if driver is None:
            return
        driver.when_idle(None)
        lost = driver.cancel_requests()
        if lost and self._forced.is_set():
            logger.warning("requests that were cancelled: %d", lost)
        driver.close()
        asyncio_logger.removeFilter(self._log)
        self._log.close()

    async def _end_lifespan(self) -> bool:
        left = self._deadline - asyncio.get_running_loop().time()
        clean = await _unless(self._forced, self._lifespan.shutdown(max(left, LIFESPAN_GRACE)))
        await self._lifespan.abandon()
        return clean is True

    @contextmanager
    def signals(self, numbers: Collection[signal.Signals], take: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Calls `take` for each signal from the running loop. Only for our own processes: the loop's handlers are lost.

        Does nothing off the main thread, where Python takes no signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            loop.add_signal_handler(number, take, number)
            set_handler(number, self.handle_exit)
            signal.siginterrupt(number, False)  # as the loop has it
        try:
            yield
        finally:
            # The loop restores a signal's default action, which would end the process before our handler is set.
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
            for number, old in before.items():
                loop.remove_signal_handler(number)
                if old is not None:  # what C code has installed cannot be set again
                    set_handler(number, old)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Returns the work's result; None if the event came first: then the work is not begun, or cancelled."""
    if event.is_set():
        work.close()
        return None
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        waiting.cancel()
