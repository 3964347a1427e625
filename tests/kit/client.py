"""A raw client on a blocking socket: every byte is the test's, every wait has a deadline."""

import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from kit import tcp_table
from kit.answer import Answer, BrokenAnswer, Reader
from kit.waiting import PATIENCE, until

Address = tuple[str, int] | str
PIECE = 1 << 16

GRACE = 1.0
"""Seconds in which a server that stops still answers a request on a connection that was idle (docs/deployment.md)."""


class Client:
    """One connection.

    Parameters:
        address: (host, port), or the path of a Unix socket.
        timeout: seconds that any single wait may take; TimeoutError after that.
        receive_buffer: SO_RCVBUF in bytes, set before the connect so that the window is small from the start.
        context: speaks TLS; HTTP/1.1 is what it asks for.
        source: the address to connect from, where the system is not to choose.
    """

    def __init__(
        self,
        address: Address,
        timeout: float = PATIENCE,
        receive_buffer: int | None = None,
        context: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if context is not None:
                self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        except BaseException:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(lambda: self.socket.recv(PIECE))

    @property
    def port(self) -> int:
        """This end's port, which a server reports as the client's."""
        port: int = self.socket.getsockname()[1]
        return port

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def send_until_blocked(self, data: bytes, most: int, quiet: float = 0.5) -> int:
        """Sends `data` over and over until the socket takes nothing for `quiet` seconds, or `most` bytes have gone.

        Returns the number of bytes that the socket took.
        """
        total = 0
        self.socket.setblocking(False)
        with suppress(ssl.SSLWantWriteError):
            while total < most and select.select([], [self.socket], [], quiet)[1]:
                total += self.socket.send(data)
        self.socket.settimeout(PATIENCE)
        return total

    def answer(self, method: str = "GET") -> Answer:
        """The next response, read strictly."""
        return self.reader.answer(method)

    def taken(self) -> Self:
        """Waits until the server has read all that was sent, over TCP.

        A reset overtakes what nobody has read yet, and the request with it: a client that is to be known before it
        leaves waits for this. A close is a reset, too, where something is unread here, as are the tickets of TLS.
        """
        ours, theirs = self.socket.getsockname()[1], self.socket.getpeername()[1]
        assert until(lambda: not any(_waits(row, ours, theirs) for row in tcp_table.rows()))
        return self

    def exchange(self, data: bytes, method: str = "GET") -> Answer:
        """Sends a request and reads its response."""
        return self.send(data).answer(method)

    def ask(self, data: bytes) -> Answer | None:
        """The same on a connection that has been idle. None: it was too late, the server had closed the connection.

        A server that stops may do so GRACE seconds after it has said the last thing on it, and no sooner: that raises.
        A client that has to wait for a processor is late without knowing, so it is the kernel that is asked.
        """
        idle = 0.0
        try:
            try:
                self.send(data)
            finally:
                idle = self._silence()
            return self.answer()
        except (BrokenAnswer, ConnectionError) as error:
            if idle > GRACE - 0.02 and self._silence() >= idle:
                return None
            error.add_note(f"asked {idle:.3f} s after the last that came")
            raise

    def _silence(self) -> float:
        """Seconds since anything has come, or the connection was made. Of a Unix socket, the kernel does not say."""
        if self.socket.family == socket.AF_UNIX:
            return 0.0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return float(struct.unpack_from("=I", info, 52)[0]) / 1000  # tcpi_last_data_recv, in milliseconds

    def receive_once(self) -> bytes:
        """What a single recv brings."""
        assert not self.reader.buffer
        return self.socket.recv(1 << 20)

    def readable(self, seconds: float = 0.0) -> bool:
        """Whether bytes or an end have arrived, or do within `seconds`."""
        if self.reader.buffer:
            return True
        if isinstance(self.socket, ssl.SSLSocket):
            return self._deciphered(self.socket, seconds)
        return bool(select.select([self.socket], [], [], seconds)[0])

    def _deciphered(self, wire: ssl.SSLSocket, seconds: float) -> bool:
        """Records may carry nothing for us: session tickets, say."""
        deadline = time.monotonic() + seconds
        before = wire.gettimeout()
        try:
            while wire.pending() or select.select([wire], [], [], max(0.0, deadline - time.monotonic()))[0]:
                wire.settimeout(0)
                with suppress(ssl.SSLWantReadError):
                    self.reader.buffer += wire.recv(PIECE)
                    return True
        finally:
            wire.settimeout(before)
        return False

    def rest(self) -> bytes:
        """Everything up to the peer's FIN; a reset raises ConnectionResetError."""
        data = self.reader.buffer
        self.reader.buffer = b""
        while piece := self.socket.recv(PIECE):
            data += piece
        return data

    def closed(self) -> bool:
        """Waits for the peer's FIN; False when bytes came before it."""
        rest = self.rest()
        if rest:
            raise BrokenAnswer("bytes where the connection should have ended", rest)
        return True

    def gone(self) -> bool:
        """Waits until the peer has closed in either way, bytes before it are thrown away."""
        with suppress(ConnectionError):
            self.rest()
        return True

    def half_close(self) -> Self:
        """Sends FIN and goes on reading."""
        # ssl's own would go on without TLS.
        socket.socket.shutdown(self.socket, socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Closes with RST: SO_LINGER with a time of zero."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _waits(row: tcp_table.Row, client: int, server: int) -> bool:
    return (row.local, row.remote) == (server, client) and row.unread > 0
