"""The compiled core: sockets, HTTP/1.1, WebSocket, and the ASGI and WSGI exchanges of one worker."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from ssl import SSLContext, SSLObject
from typing import Any, NoReturn, Protocol, TypeAlias

class TrustedProxies:
    """Peers whose word is taken, such as that of a proxy about its client.

    peers: addresses, networks, `unix` for Unix sockets and `*` for everybody. Raises ValueError for any other text.
    """

    def __init__(self, peers: Iterable[str]) -> None: ...
    def trusts(self, host: str | None) -> bool:
        """Whether the peer of this address is trusted; None: of a Unix socket."""

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

class ClientDisconnected(ConnectionResetError):  # noqa: N818  (an event, named as the specification names it)
    """Raised by `send` when nothing can reach the client any more."""

LIMITS: Mapping[str, int]
"""Every limit's name and default, from `ext/proto/limits.h`; times in milliseconds."""

STATUS_FIELDS: tuple[str, ...]
"""The names of the first 64-bit words of `Driver`'s status, in their order."""

DEBUG: bool
"""Whether this build counts its live objects (`FASTSERVE_DEBUG=1`)."""

LLHTTP_VERSION: str

HAVE_NGHTTP2: bool
"""Whether this build speaks HTTP/2."""

HAVE_ZLIB: bool
"""Whether this build has permessage-deflate."""

class TLS(Protocol):
    """What the TLS connections of a listener have in common."""

    @property
    def context(self) -> SSLContext:
        """Of the server's side; it may give a session another one while that shakes hands."""
    def describe(self, session: SSLObject, /) -> dict[str, Any]:
        """The scope's `tls`; asked once a connection, after the handshake."""
    def environ(self, session: SSLObject, /) -> dict[str, str]:
        """What it adds to an environ; likewise."""

class Interface:
    """How an application is called, and what drives the driver. It belongs to the one that it is given to."""

class ASGI(Interface):
    """Calls an ASGI 3 application on an event loop, which watches the driver's descriptor."""

    def __init__(
        self,
        application: ASGIApplication,
        *,
        loop: AbstractEventLoop,
        root_path: str = "",
        state: Mapping[str, Any] | None = None,
        websocket: bool = True,
        deflate: bool = True,
        underscores: bool = False,
        extensions: Iterable[str] = ("http.response.early_hint", "http.response.trailers"),
    ) -> None:
        """websocket: take upgrades to WebSocket up; otherwise they are ignored.
        underscores: pass on fields whose names have an underscore.
        extensions: what scopes of HTTP offer, by ASGI's names; also http.response.pathsend and .zerocopysend.
        deflate: agree upon permessage-deflate with clients that offer it, where the build has zlib.
        """
    def start(self) -> None:
        """Registers with the loop; from here on connections are served."""

class WSGI(Interface):
    """Calls a WSGI application (PEP 3333) in threads, without an event loop."""

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        threads: int = 8,
        watched: bool = True,
        root_path: str = "",
        underscores: bool = False,
        errors: Any = None,
        software: str = "fastserve",
        multiprocess: bool = False,
    ) -> None:
        """threads: calls of the application at the same time, at most.

        watched: another thread drives on while a call lasts; without it all happens in the thread that serves.
        underscores: pass on fields whose names have an underscore.
        errors: wsgi.errors; the standard error where it is None.
        multiprocess: wsgi.multiprocess, whether other processes serve the same application.
        """

    def serve(self) -> None:
        """Serves, in this thread or while it waits, until `halt`."""

    def halt(self) -> None:
        """Ends `serve`; calls of the application that last are left alone."""

    def give_up(self) -> int:
        """Breaks off the answers that threads still work on; how many there were. Each is logged. From any thread."""

    def call_soon(self, call: Callable[[], None]) -> None:
        """Has it called where the driver is not at work. From any thread and any signal handler."""

    @property
    def wake_fd(self) -> int:
        """A byte written there wakes the thread that serves; for signal.set_wakeup_fd."""

class Driver:
    """One worker's sockets: an epoll instance that holds listeners and connections.

    With ASGI, its methods are called in the loop's thread; with WSGI before `serve`, after it, or by `call_soon`.
    """

    def __init__(
        self,
        interface: Interface,
        *,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        limits: Mapping[str, int] = ...,
        server_header: bytes | None = b"fastserve",
        date_header: bool = True,
        headers: Sequence[tuple[bytes, bytes]] = (),
        access_log_fd: int = -1,
        forwarding: TrustedProxies | None = None,
        proxy_protocol: Callable[[str | None], bool] | None = None,
        status: memoryview | None = None,
        http: str = "auto",
    ) -> None:
        """forwarding: the peers whose X-Forwarded-For, -Proto and -Host are believed; None: nobody's.
        proxy_protocol: says of a peer's host, None for a Unix socket's, whether its connections begin with a
        header of the PROXY protocol; asked once a connection. None: nobody's do.
        status: 8192 bytes, aligned to 8, in which it counts and notes what is in flight (ext/core/status.h), for
        others to read at any moment; memory of its own where it is None.
        http: "1.1", "2", or "auto" for both; a build without HTTP/2 speaks the first only.

        Raises ValueError for an unknown limit, an invalid header or too little memory, OSError when epoll cannot be
        opened.
        """

    def add_listener(
        self, fd: int, *, shared: bool = False, tls: TLS | None = None, redirect: int = 0, name: int = 0
    ) -> None:
        """Watches a listening socket, which stays the caller's to close.

        shared: other processes watch it too.
        tls: what its connections begin with; None: they are plain.
        redirect: the port of https to which every request is redirected with 308; 0: they are served.
        name: a number below 2**64 by which siblings know the address; 0: its connections are not handed over to them.
        """

    def add_mailbox(self, fd: int) -> None:
        """Takes connections over from siblings that put them into this socket's other end, and shows that it does. It
        is shut, and emptied, when the driver stops listening; to close it is the caller's. Raises OSError."""

    def add_sibling(self, number: int, fd: int, status: memoryview) -> None:
        """Hands connections that are accepted over to this process as long as it has clearly less to do.

        number: by which it is forgotten; the one before with the same is.
        fd: leads to its mailbox; the driver owns it from here on.
        status: its status, to read.
        Raises ValueError for too little memory.
        """

    def remove_sibling(self, number: int) -> None:
        """Forgets it. Nothing happens where there is none of this number."""

    def remove_listener(self, fd: int) -> None:
        """Stops watching it, then takes what waits in its queue. Does not close it. Raises ValueError when it is not
        watched."""

    def accept_waiting(self) -> None:
        """Takes what waits in the queues of all listeners: a process that shared one may have been woken for it, and
        died before it came to accept."""

    def adopt(self, fd: int) -> None:
        """Serves an already connected stream socket; the driver owns the descriptor from here on."""

    def stop_listening(self) -> None:
        """Stops watching the listeners, then takes what waits in their queues. Does not close them."""

    def pass_time(self, seconds: float) -> None:
        """Lets monotonic time pass without waiting for it, for the whole process: what is due by then is due now. For
        tests; raises RuntimeError where the build is not a debug one."""

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Calls `callback` whenever the descriptor is readable or has come to its end, where the driver is not at work,
        in the thread that drives. What it raises is logged. The descriptor stays the caller's. Raises OSError."""

    def unwatch(self, fd: int) -> None:
        """Before the descriptor is closed. Raises ValueError when it is not watched."""

    def drain(self, grace: float, spread: float = 0.0) -> None:
        """Answers say `Connection: close` from here on; idle connections close after `grace` seconds,
        within which each may still bring one more request. Over `spread` seconds WebSockets are closed with 1012, each
        at a random moment, their applications being told before."""

    def tell_streams(self) -> None:
        """Gives every request in flight its `http.disconnect`."""

    def cancel_requests(self) -> int:
        """Cancels the tasks of all requests in flight, or gives up what threads still work on; how many there were.
        Each is logged."""

    def call_later(self, seconds: float, callback: Callable[[], None] | None) -> None:
        """Calls it once, after that time; the one before is forgotten."""

    def beat(self, seconds: float) -> None:
        """Has the driver turn at least that often, though nothing happens; 0 for when something does."""

    def repeat(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls it again and again, with that time in between, where the driver is not at work. What it raises is
        logged."""

    def drop_connections(self) -> None:
        """Closes every connection, once what is queued was sent as far as the socket takes it."""

    def close(self) -> None:
        """Closes every connection, leaves the loop, writes the access log out. Idempotent."""

    def when_idle(self, callback: Callable[[], None] | None) -> None:
        """Calls `callback` once, as soon as there is no connection; at once when there is none now."""

    def note_fork(self) -> None:
        """The application has forked: connections are ended so that it is seen, whoever else has them open."""

    def forget_after_fork(self) -> None:
        """In a child that the application has forked: closes its copies of the connections and of what else is the
        driver's, and does no more, for all of that is the parent's too. The driver does nothing from here on; a thread
        that comes back to it ends the process. The listeners' descriptors are left to the caller."""

    def came_back(self) -> None:
        """Ends such a child: it has come back from the application."""

    def flush_access_log(self) -> None: ...
    def reopen_access_log(self, fd: int) -> None:
        """Writes out what waits, then goes on with this descriptor (-1: no log)."""

    @property
    def connections(self) -> int: ...
    @property
    def requests(self) -> int:
        """Requests in flight."""

    def counters(self) -> dict[str, int]:
        """Requests, connections, bytes in and out, and a count for each error name since the start."""

def came_back(logger: logging.Logger) -> NoReturn:
    """Ends a child that the application has forked, and that has come back from the application into the server."""

def unhear(number: int) -> None:
    """Has nothing happen when that signal comes, without Python code and on the ordinary stack. For a process of our
    own; `signal.getsignal` goes on to give the handler of before. Raises OSError."""

def keep_freed_memory() -> None:
    """Has the allocator keep a few megabytes between large bodies. Only for a process that is all the server's."""

def ledger() -> dict[str, int]:
    """Live connections, exchanges, tasks and queue nodes; empty in a build without `FASTSERVE_DEBUG=1`."""
