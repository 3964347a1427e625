"""A worker for ASGI: an event loop, the driver in it, and the way from the lifespan's startup to its shutdown."""

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
"""The loop's. A callback of the application that fails again and again is held to a rate too."""

SERVER = b"fastserve"

IDLE_GRACE = 1.0
"""Seconds in which an idle connection may still bring a request that was on its way when the stop began."""

RENEWAL = 1.0
"""Seconds between two looks at the files of certificates."""

CANCEL_GRACE = 1.0
"""Seconds that cancelled requests have to unwind before their connections are closed."""

LIFESPAN_GRACE = 5.0
"""Seconds that the application's shutdown has at least, however much of the graceful time its requests took."""


def new_loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop of `--loop`; raises StartError when uvloop is asked for and not there."""
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
    """Tunes what a whole process of the server may tune; not called where the server is embedded.

    Called before the application is imported. The size of stacks is the process's: changed later, for the moment in
    which a thread of ours starts, it would be that of whatever thread the application starts at this moment.
    """
    _core.keep_freed_memory()
    if config.thread_stack_size:
        threading.stack_size(config.thread_stack_size)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Where a worker stands: what it takes connections from, and where it writes what it does."""

    listeners: Listeners
    """Closed by the worker when it stops."""
    access_log: int = -1
    """A descriptor, which stays the caller's; -1 for none."""
    shared: bool = False
    """Other processes take connections from the same listeners."""
    status: memoryview | None = None
    """The worker's block of the scoreboard."""
    beat: float = 0.0
    """Seconds after which the worker shows there that it is alive, though nothing happens; 0 for never."""
    siblings: bool = False
    """Other processes run the same application (WSGI's wsgi.multiprocess)."""


def protocols(config: Config) -> list[str]:
    """What ALPN offers. Raises StartError where the build lacks what is asked for."""
    if config.http == "2" and not _core.HAVE_NGHTTP2:
        raise StartError("--http 2: this build has no HTTP/2; install libnghttp2-dev and build it again")
    if config.http == "2":
        return ["h2"]
    return ["h2", "http/1.1"] if config.http == "auto" and _core.HAVE_NGHTTP2 else ["http/1.1"]


def error_log(config: Config, context: WorkerContext) -> LimitedLogger:
    """What the driver logs to: most of it can be caused by clients."""
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
    """A driver that watches the listeners, for the interface to start. Raises StartError.

    own: limits that the configuration may leave to the worker, by the core's names.
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
    """Takes connections from the listeners that listen and are not watched yet. Raises OSError."""
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
        """Runs until `stop`; whether the stop was clean: not forced, and no failure in the application's shutdown.

        started: called when connections are served.
        Raises StartError when the lifespan's startup or the driver's fails.
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
        """What Python calls for a signal. Nothing is left to do: the loop hears of it by its wake-up descriptor.

        It is a bound method, as uvicorn's is, since applications look there for the server: sse-starlette ends its
        streams when `signal.getsignal(SIGTERM).__self__.should_exit` is true.
        """

    def _note_fork(self) -> None:
        if self.driver is not None:
            self.driver.note_fork()

    def _forget(self) -> None:
        """In a child that the application has forked."""
        self._context.listeners.forget()
        if self.driver is not None:
            self.driver.forget_after_fork()
        elif self._loop is not None:
            with suppress(RuntimeError):  # in debug mode, where another thread has forked
                self._loop.call_soon(came_back, logger)

    def stop(self, *, at_once: bool = False) -> None:
        """Begins the graceful stop, or ends everything at once; each says so once. As everything here, only from a
        callback of the loop, where the driver is not at work."""
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
        """Takes nobody new, and lets the connections come to their end."""
        patience = self._config.timeout_graceful_shutdown
        threads_left.stop_begins(patience)
        self._deadline = asyncio.get_running_loop().time() + patience
        driver.stop_listening()
        self._context.listeners.close()
        driver.drain(min(IDLE_GRACE, patience / 2), min(self._config.ws_drain_timeout, patience / 2))
        driver.when_idle(self._drained.set)

    async def _drain(self, driver: Driver) -> None:
        """Waits for the requests in flight: first they end by themselves, then they are told, then cancelled."""
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
        """Calls `take` from the running loop of a process of our own: handlers that the loop had would be lost.

        Off the main thread, where Python takes no signals, nothing does.
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
            # The loop gives a signal its default action back, which would end the process before ours is there.
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
            for number, old in before.items():
                loop.remove_signal_handler(number)
                if old is not None:  # what C code has installed cannot be set again
                    set_handler(number, old)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None when the event came first, and then the work is not begun or cancelled."""
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
