"""The compiled core: sockets, HTTP/1.1, WebSocket, and the ASGI and WSGI exchanges of one worker."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from ssl import SSLContext, SSLObject
from typing import Any, NoReturn, Protocol, TypeAlias

class TrustedProxies:
    """Peers that are trusted, such as a proxy in what it says about its client.

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
        """The server's context; it may replace itself in a session during the handshake."""
    def describe(self, session: SSLObject, /) -> dict[str, Any]:
        """The scope's `tls`; asked once a connection, after the handshake."""
    def environ(self, session: SSLObject, /) -> dict[str, str]:
        """What a connection adds to an environ; asked once a connection, after the handshake."""

class Interface:
    """How an application is called, and what runs the driver. It belongs to the driver that it is given to."""

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
        """websocket: accept upgrades to WebSocket; otherwise they are ignored.
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

        watched: another thread goes on driving while a call lasts; otherwise everything happens in the serving thread.
        underscores: pass on fields whose names have an underscore.
        errors: wsgi.errors; the standard error where it is None.
        multiprocess: wsgi.multiprocess, whether other processes serve the same application.
        """

    def serve(self) -> None:
        """Serves, in this thread or while it waits, until `halt`."""

    def halt(self) -> None:
        """Ends `serve`; calls of the application that last are left alone."""

    def give_up(self) -> int:
        """Breaks off the answers that threads still work on, logs each, and returns their number. From any thread."""

    def call_soon(self, call: Callable[[], None]) -> None:
        """Arranges for `call` to be called when the driver is not at work. From any thread and any signal handler."""

    @property
    def wake_fd(self) -> int:
        """A byte written to this descriptor wakes the serving thread; for signal.set_wakeup_fd."""

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
        status: 12288 bytes, aligned to 8, in which it counts and notes what is in flight (ext/core/status.h), for
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
        tls: the TLS that its connections begin with; None: they are plain.
        redirect: the https port to which every request is redirected with 308; 0: requests are served.
        name: a number below 2**64 by which siblings know the address; 0: its connections are not handed over to them.
        """

    def add_mailbox(self, fd: int) -> None:
        """Takes over the connections that siblings put into the other end of this socket, and announces that it does.
        The socket is shut and emptied when the driver stops listening; the caller closes it. Raises OSError."""

    def add_sibling(self, number: int, fd: int, status: memoryview) -> None:
        """Hands accepted connections over to this process as long as it has clearly less to do.

        number: identifies the sibling in `remove_sibling`; an earlier sibling with the same number is forgotten.
        fd: leads to the sibling's mailbox; the driver owns it from here on.
        status: the sibling's status, to read.
        Raises ValueError for too little memory.
        """

    def remove_sibling(self, number: int) -> None:
        """Forgets a sibling. Does nothing if no sibling has this number."""

    def remove_listener(self, fd: int) -> None:
        """Stops watching a listening socket, then takes what waits in its queue. Does not close it. Raises ValueError
        if it is not watched."""

    def accept_waiting(self) -> None:
        """Accepts what waits in the queues of all listeners: a process that shared one may have been woken for a
        connection, and have died before it accepted."""

    def adopt(self, fd: int) -> None:
        """Serves an already connected stream socket; the driver owns the descriptor from here on."""

    def stop_listening(self) -> None:
        """Stops watching the listeners, then takes what waits in their queues. Does not close them."""

    def pass_time(self, seconds: float) -> None:
        """Lets monotonic time pass without waiting for it, for the whole process: what is due by then is due now. For
        tests; raises RuntimeError where the build is not a debug one."""

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Calls `callback` whenever the descriptor is readable or at its end: in the driving thread, when the driver is
        not at work. What it raises is logged. The descriptor stays the caller's. Raises OSError."""

    def unwatch(self, fd: int) -> None:
        """Stops watching the descriptor; to be called before it is closed. Raises ValueError if it is not watched."""

    def drain(self, grace: float, spread: float = 0.0) -> None:
        """Ends connections gracefully: from here on answers say `Connection: close`, and idle connections close after
        `grace` seconds, within which each may bring one more request. WebSockets are closed with 1012, each at a
        random moment of `spread` seconds; their applications are told before."""

    def tell_streams(self) -> None:
        """Gives every request in flight its `http.disconnect`."""

    def cancel_requests(self) -> int:
        """Cancels the tasks of all requests in flight, or gives up what threads still work on. Logs each, and returns
        their number."""

    def call_later(self, seconds: float, callback: Callable[[], None] | None) -> None:
        """Calls `callback` once, after that time; an earlier one is forgotten."""

    def beat(self, seconds: float) -> None:
        """Makes the driver turn at least that often even if nothing happens; 0: only when something does."""

    def repeat(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls `callback` repeatedly, with that time in between, when the driver is not at work. What it raises is
        logged."""

    def drop_connections(self) -> None:
        """Closes every connection, after sending as much of its queue as the socket takes."""

    def close(self) -> None:
        """Closes every connection, leaves the loop, flushes the access log. Idempotent."""

    def when_idle(self, callback: Callable[[], None] | None) -> None:
        """Calls `callback` once, as soon as there is no connection; at once when there is none now."""

    def note_fork(self) -> None:
        """Notes that the application has forked: connections are ended so that the peer sees it, whoever else has them
        open."""

    def forget_after_fork(self) -> None:
        """In a child that the application has forked: closes its copies of the connections and of the driver's other
        descriptors, and does no more, since all of that is the parent's too. The driver does nothing from here on; a
        thread that comes back to it ends the process. The caller closes the listeners' descriptors."""

    def came_back(self) -> None:
        """Ends a child of the application's that has come back into the server."""

    def flush_access_log(self) -> None: ...
    def reopen_access_log(self, fd: int) -> None:
        """Writes what waits, then goes on with this descriptor (-1: no log)."""

    @property
    def connections(self) -> int: ...
    @property
    def requests(self) -> int:
        """Requests in flight."""

    def counters(self) -> dict[str, int]:
        """Requests, connections, bytes in and out, and a count for each error name since the start."""

def came_back(logger: logging.Logger) -> NoReturn:
    """Ends a child that the application has forked and that has come back into the server."""

def unhear(number: int) -> None:
    """Makes that signal do nothing, without running Python code and on the ordinary stack. For a process of our own;
    `signal.getsignal` still returns the earlier handler. Raises OSError."""

def keep_freed_memory() -> None:
    """Makes the allocator keep a few megabytes between large bodies. Only for a process that is the server's alone."""

def ledger() -> dict[str, int]:
    """Live connections, exchanges, tasks and queue nodes; empty in a build without `FASTSERVE_DEBUG=1`."""
