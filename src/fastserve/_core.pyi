"""The compiled core: sockets, HTTP/1.1 and the ASGI exchange of one worker."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

class Forwarding(Protocol):
    """Who may set the client's address, and how (X-Forwarded-For, -Proto, -Host)."""

    def trusts(self, host: str | None) -> bool:
        """Whether this peer is a trusted proxy; asked once a connection. None: a Unix socket."""
    def apply(self, scope: MutableMapping[str, Any]) -> None:
        """Rewrites client, scheme and the host field of a request that came from a trusted peer."""

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

class ClientDisconnected(ConnectionResetError):  # noqa: N818  (an event, named as the specification names it)
    """Raised by `send` when nothing can reach the client any more."""

LIMITS: Mapping[str, int]
"""Every limit's name and default, from `ext/proto/limits.h`; times in milliseconds."""

DEBUG: bool
"""Whether this build counts its live objects (`FASTSERVE_DEBUG=1`)."""

LLHTTP_VERSION: str

class Driver:
    """One worker's sockets: an event loop inside the event loop.

    Owns an epoll instance that holds listeners and connections; the loop watches only that.
    """

    def __init__(
        self,
        application: ASGIApplication,
        *,
        loop: AbstractEventLoop,
        logger: logging.Logger,
        limits: Mapping[str, int] = ...,
        root_path: str = "",
        server_header: bytes | None = b"fastserve",
        date_header: bool = True,
        headers: Sequence[tuple[bytes, bytes]] = (),
        state: Mapping[str, Any] | None = None,
        access_log_fd: int = -1,
        forwarding: Forwarding | None = None,
    ) -> None:
        """Raises ValueError for an unknown limit or an invalid header, OSError when epoll cannot be opened."""

    def start(self) -> None:
        """Registers with the loop; from here on connections are served."""

    def add_listener(self, fd: int, *, shared: bool = False) -> None:
        """Watches a listening socket, which stays the caller's to close. `shared`: other processes watch it too."""

    def adopt(self, fd: int) -> None:
        """Serves an already connected stream socket; the driver owns the descriptor from here on."""

    def stop_listening(self) -> None:
        """Takes what waits in the listeners' queues, then stops watching them. Does not close them."""

    def drain(self, grace: float) -> None:
        """Answers say `Connection: close` from here on; idle connections close after `grace` seconds,
        within which each may still bring one more request."""

    def tell_streams(self) -> None:
        """Gives every request in flight its `http.disconnect`."""

    def cancel_requests(self) -> int:
        """Cancels the tasks of all requests in flight; how many there were. Each is logged."""

    def close(self) -> None:
        """Closes every connection, leaves the loop, writes the access log out. Idempotent."""

    def when_idle(self, callback: Callable[[], None] | None) -> None:
        """Calls `callback` once, as soon as there is no connection; at once when there is none now."""

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

def keep_freed_memory() -> None:
    """Has the allocator keep a few megabytes between large bodies. Only for a process that is all the server's."""

def ledger() -> dict[str, int]:
    """Live connections, exchanges, tasks and queue nodes; empty in a build without `FASTSERVE_DEBUG=1`."""
