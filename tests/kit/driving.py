"""A driver of the test's own, in a thread, without a server around it."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from fastserve import _core
from kit.waiting import PATIENCE

T = TypeVar("T")

KINDS = ("asyncio", "uvloop", "one", "eight")
"""ASGI on either loop, WSGI on one thread and on eight."""


async def hello_asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def hello_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def listener(backlog: int = 64) -> socket.socket:
    """On an ephemeral port of the loopback."""
    made = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    made.setblocking(False)
    return made


class Driving:
    """Drives until the block is left.

    Parameters:
        kind: one of KINDS.
        asgi, wsgi: the application, whichever the kind calls for.
        options: of the driver.
    """

    def __init__(self, kind: str, *, asgi: Any = hello_asgi, wsgi: Any = hello_wsgi, **options: Any) -> None:
        self.logger = logging.getLogger(f"driving.{kind}")
        self.logger.disabled = False  # a configuration that another test has tried may have done that
        self._loop: asyncio.AbstractEventLoop | None = None
        if kind in ("asyncio", "uvloop"):
            self._loop = asyncio.SelectorEventLoop() if kind == "asyncio" else uvloop.new_event_loop()
            extensions = [f"http.response.{name}" for name in ("early_hint", "pathsend", "trailers", "zerocopysend")]
            self._asgi = _core.ASGI(asgi, loop=self._loop, extensions=extensions)
            self.driver = _core.Driver(self._asgi, logger=self.logger, **options)
        else:
            threads = {"one": 1, "eight": 8}[kind]
            self._wsgi = _core.WSGI(wsgi, threads=threads, watched=threads > 1)
            self.driver = _core.Driver(self._wsgi, logger=self.logger, **options)
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        if self._loop is None:
            self._wsgi.serve()
        else:
            self._asgi.start()
            self._loop.run_forever()

    def soon(self, call: Callable[[], Any]) -> None:
        """Has it called in the thread that drives, where the driver is not at work."""
        if self._loop is None:
            self._wsgi.call_soon(call)
        else:
            self._loop.call_soon_threadsafe(call)

    def do(self, call: Callable[[], T]) -> T:
        """The same; waits for its result."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        self.soon(work)
        return future.result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is None:
            self._wsgi.halt()
        else:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._loop is not None:
            self.driver.cancel_requests()
        self.driver.close()
        if self._loop is not None:
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
