"""A log's descriptor that never blocks: the reader of a pipe may stall, and a server that waits for it serves nobody.

The access log's lines go the same way in C (ext/net/log_file.h).
"""

import atexit
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable

MOST = 1 << 18
"""Bytes that may wait; further lines are lost, and counted."""

FINISH = 1.0
"""Seconds that a stalled reader gets when the process ends."""

_PIPE_BUF = select.PIPE_BUF


def _nothing() -> None:
    """Counts nothing."""


class LogStream:
    """Takes a line at a time for a descriptor that stays the caller's, and never waits. From any thread.

    A pipe, a FIFO or a terminal is opened again as non-blocking, since the descriptor's own flags are shared with other
    processes; where that is not allowed, the descriptor is polled before each write.
    """

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._lock = threading.RLock()  # a signal handler may log while its thread holds the lock
        self._waiting = bytearray()
        self._lost = 0
        self.count: Callable[[], None] = _nothing
        """Called for each line that is lost."""
        self._fd, self._socket = fd, None
        mode = os.fstat(fd).st_mode
        self._looks = False
        self._pieces = stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif self._pieces:
            try:
                again = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._fd = os.open(f"/proc/self/fd/{fd}", again)
            except OSError:
                self._looks = True
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.finish)

    def _forget(self) -> None:
        """In a forked child: drops what waits, since the parent writes it."""
        self._lock = threading.RLock()
        self._waiting = bytearray()
        self._lost = 0

    def write(self, text: str) -> int:
        """Writes a line, which is lost if there is no room. Raises OSError if the descriptor takes nothing any more."""
        with self._lock:
            data = text.encode(self._encoding, "backslashreplace")
            if len(self._waiting) + len(data) > MOST:
                self.flush()
            if len(self._waiting) + len(data) > MOST:
                self._lost += 1
                self.count()
            else:
                self._waiting += data
            return len(text)

    def flush(self) -> None:
        """Writes as much of what waits as there is room for."""
        with self._lock:
            try:
                self._drain()
                if self._lost and not self._waiting:
                    lost, self._lost = self._lost, 0
                    self._waiting += f"fastserve: {lost} lines of the log were lost, because nobody read it\n".encode()
                    self._drain()
            except OSError:
                self._waiting.clear()
                raise

    def finish(self) -> None:
        """Writes the rest; a stalled reader gets FINISH seconds."""
        until = time.monotonic() + FINISH
        try:
            self.flush()
            while self._waiting and (left := until - time.monotonic()) > 0:
                waiting = select.poll()
                waiting.register(self._fd, select.POLLOUT)
                waiting.poll(left * 1000)
                self.flush()
        except (OSError, ValueError):
            pass  # there is nobody to tell

    def _drain(self) -> None:
        while self._waiting:
            taken = self._write(self._next())
            if taken == 0:
                return
            del self._waiting[:taken]

    def _next(self) -> bytes:
        """Returns as much as a pipe takes whole or not at all (pipe(7)): no writer cuts the lines of another."""
        if not self._pieces or len(self._waiting) <= _PIPE_BUF:
            return bytes(self._waiting)
        return bytes(self._waiting[: self._waiting.rfind(b"\n", 0, _PIPE_BUF) + 1 or _PIPE_BUF])

    def _write(self, data: bytes) -> int:
        """Returns the number of bytes taken; 0 if there is no room."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if self._looks and not select.select([], [self._fd], [], 0)[1]:
                return 0
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
