"""The server in a running event loop of the program that embeds it."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from fastserve import application, logs
from fastserve.application import Application
from fastserve.config import Config
from fastserve.errors import StartError
from fastserve.listen import Listeners, open_listeners, take_over
from fastserve.threaded_worker import ThreadedWorker
from fastserve.worker import Place, Worker, signals

logger = logging.getLogger("fastserve")


class Server:
    """One worker. Serves once; logging is left to the program that embeds it.

    started: set when connections are served, for other threads; a coroutine awaits `wait_started`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = threading.Event()
        self._addresses: tuple[str, ...] = ()
        self._lock = threading.RLock()  # `shutdown` comes from other threads, and from signal handlers of this one
        self._stop: Callable[[], None] | None = None
        self._stop_requested = False
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
            self._stop_requested = True
            if self._stop is not None:
                self._stop()

    async def wait_started(self) -> None:
        """Waits, in the loop of `serve`, until connections are served; raises StartError if that never comes."""
        await self._settled.wait()
        if not self.started.is_set():
            raise StartError("the server did not start")

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> bool:
        """Serves until `shutdown`, or in the main thread SIGINT or SIGTERM; whether the stop was clean.

        sockets: listening stream sockets to use instead of the configured address; the server closes them.
        Raises StartError when it cannot start. A cancelled task stops at once, and the lifespan is still ended.
        A WSGI application is served in threads beside the loop.
        """
        self._begin()
        try:
            with self._opened(sockets) as (listeners, access_log):
                app = application.load(self.config)
                if app.interface == "wsgi":
                    return await self._serve_beside(app, listeners, access_log)
                return await self._serve_here(app, listeners, access_log)
        finally:
            self._settled.set()

    def _begin(self) -> None:
        if self._used:
            raise RuntimeError("a Server serves once")
        self._used = True

    @contextmanager
    def _opened(self, sockets: Sequence[socket.socket] | None) -> Iterator[tuple[Listeners, int]]:
        listeners = take_over(sockets, self.config) if sockets is not None else open_listeners(self.config)
        access_log = None
        try:
            access_log = logs.AccessLog(self.config)
            yield listeners, access_log.fd
            logger.info("stopped")
        finally:
            listeners.close()
            if access_log is not None:
                access_log.close()

    async def _serve_here(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        worker = Worker(self.config, app.call, Place(listeners, access_log))
        loop = asyncio.get_running_loop()
        with self._reachable(lambda: _soon(loop, worker.stop)), self._signals(worker.stop):
            return await worker.serve(lambda: self._announce(listeners))

    async def _serve_beside(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        worker = ThreadedWorker(self.config, app.call, Place(listeners, access_log))

        def stop() -> None:
            worker.soon(worker.stop)

        loop = asyncio.get_running_loop()
        serving = loop.create_task(
            asyncio.to_thread(worker.serve, lambda: _soon(loop, lambda: self._announce(listeners)))
        )
        with self._reachable(stop), self._signals(stop):
            try:
                return await asyncio.shield(serving)
            except asyncio.CancelledError:
                stop()
                stop()
                await serving
                raise

    def _signals(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        def handle() -> None:
            self._stop_requested = True
            stop()

        return signals({signal.SIGINT: handle, signal.SIGTERM: handle})

    @contextmanager
    def _reachable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Lets `shutdown` reach the worker, also if it was called before. `stop` may be called from any thread."""
        with self._lock:
            self._stop = stop
            if self._stop_requested:
                self._stop()
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
