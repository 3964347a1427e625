"""The server as Python sees it: `Server` in a running loop, and `run` as a whole process."""

import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from fastserve import application, logs
from fastserve.application import Application
from fastserve.config import Config
from fastserve.errors import ExitStatus, StartError
from fastserve.listen import Listeners, address, open_listeners

if TYPE_CHECKING:
    from fastserve.threaded_worker import ThreadedWorker

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

    def serve_process(self) -> bool:
        """The same as a process of its own, in the main thread.

        The application is imported before there is an event loop: a WSGI application gets none, and Django, say,
        refuses to touch its database inside of one.
        """
        from fastserve.worker import new_loop_factory

        self._begin()
        with self._opened(None) as (listeners, access_log):
            app = application.load(self.config)
            if app.interface == "wsgi":
                return self._serve_threads(app, listeners, access_log)
            with asyncio.Runner(loop_factory=new_loop_factory(self.config.loop)) as runner:
                return runner.run(self._serve_here(app, listeners, access_log))

    def _begin(self) -> None:
        if self._used:
            raise RuntimeError("a Server serves once")
        self._used = True

    @contextmanager
    def _opened(self, sockets: Sequence[socket.socket] | None) -> Iterator[tuple[Listeners, int]]:
        listeners = Listeners(sockets) if sockets is not None else open_listeners(self.config)
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
        from fastserve.worker import Worker, signals  # the compiled core, which `fastserve --help` does not need

        worker = Worker(self.config, app.call, listeners, access_log)
        loop = asyncio.get_running_loop()
        with self._reachable(lambda: _soon(loop, worker.stop)), signals(lambda: self._stop_now(worker.stop)):
            return await worker.serve(lambda: self._announce(listeners))

    async def _serve_beside(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        from fastserve.worker import signals

        worker = self._threaded(app, listeners, access_log)
        loop = asyncio.get_running_loop()
        serving = loop.create_task(
            asyncio.to_thread(worker.serve, lambda: _soon(loop, lambda: self._announce(listeners)))
        )
        with self._reachable(worker.stop), signals(lambda: self._stop_now(worker.stop)):
            try:
                return await asyncio.shield(serving)
            except asyncio.CancelledError:
                worker.stop()
                worker.stop()
                await serving
                raise

    def _serve_threads(self, app: Application, listeners: Listeners, access_log: int) -> bool:
        worker = self._threaded(app, listeners, access_log)
        with self._reachable(worker.stop), worker.signals(lambda: self._stop_now(worker.stop)):
            return worker.serve(lambda: self._announce(listeners))

    def _threaded(self, app: Application, listeners: Listeners, access_log: int) -> "ThreadedWorker":
        from fastserve.threaded_worker import ThreadedWorker

        return ThreadedWorker(self.config, app.call, listeners, access_log)

    def _stop_now(self, stop: Callable[[], None]) -> None:
        self._stop_requested = True
        stop()

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
        self._addresses = tuple(address(each) for each in listeners.sockets)
        for each in self._addresses:
            logger.info("listening on %s", each)
        self.started.set()
        self._settled.set()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def run(app: str | Callable[..., Any], **options: Any) -> None:
    """Serves an application until SIGINT or SIGTERM, as the command `fastserve` does.

    app: the application, or where it is found: "module:attribute".
    options: see `Config`; raises its ValueError.
    Returns after a clean stop; else raises SystemExit with the exit status, the reason logged.
    """
    status = run_process(Config(app, **options))
    if status is not ExitStatus.CLEAN:
        sys.exit(status)


def run_process(config: Config) -> ExitStatus:
    """Serves until SIGINT or SIGTERM; how it ended."""
    try:
        logs.configure(config)
    except StartError as error:
        print(f"fastserve: error: {error}", file=sys.stderr)
        return ExitStatus.NOT_STARTED
    try:
        return ExitStatus.CLEAN if _run(config) else ExitStatus.NOT_CLEAN
    except StartError as error:
        cause = error.__cause__
        exc_info = (type(cause), cause, _without_ours(cause.__traceback__)) if cause is not None else None
        logger.critical("%s", error, exc_info=exc_info)
        return ExitStatus.NOT_STARTED
    except KeyboardInterrupt:
        logger.warning("interrupted")
        return ExitStatus.INTERRUPTED


def _run(config: Config) -> bool:
    from fastserve.worker import own_process

    own_process()
    server = Server(config)
    with _process_signals(server):
        return server.serve_process()


@contextmanager
def _process_signals(server: Server) -> Iterator[None]:
    """Signals while the server does not take them itself. Before: Ctrl-C interrupts an import that hangs, where
    asyncio.Runner's own handler would only cancel a coroutine that does not await. After: the process is ending
    anyway, and a late signal must not make it look killed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if server.should_exit:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the application's first frame on."""
    ours = str(Path(__file__).parent)
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith((ours, "<frozen importlib")) and trace.tb_frame.f_globals.get("__name__") != "importlib":
            return trace
        trace = trace.tb_next
    return None
