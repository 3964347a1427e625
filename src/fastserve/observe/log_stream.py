"""A log's descriptor that nobody waits for: a reader of a pipe may stall, and a server that waits for it serves nobody.

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
"""Bytes that wait at most; lines that come beyond them are lost, and counted."""

FINISH = 1.0
"""Seconds that a reader which has stalled gets when the process ends."""

_PIPE_BUF = select.PIPE_BUF


def _nothing() -> None:
    """What counts nothing."""


class LogStream:
    """Takes a line at a time for a descriptor that stays the caller's, and never waits. From any thread.

    A pipe, a FIFO or a terminal is opened once more, without blocking, since the flags of the descriptor itself are
    shared with other processes; where that is not allowed it is looked at before each write.
    """

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._lock = threading.RLock()  # a signal handler may log in the midst of it
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
        """In a forked child: what waits is the parent's to write."""
        self._lock = threading.RLock()
        self._waiting = bytearray()
        self._lost = 0

    def write(self, text: str) -> int:
        """What finds no room within bounds is lost. Raises OSError where the descriptor takes nothing any more."""
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
        """Writes what finds room now."""
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
        """Writes the rest, for which a reader that has stalled gets FINISH seconds."""
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
        """What a pipe takes whole or not at all (pipe(7)): of several writers none cuts the others' lines."""
        if not self._pieces or len(self._waiting) <= _PIPE_BUF:
            return bytes(self._waiting)
        return bytes(self._waiting[: self._waiting.rfind(b"\n", 0, _PIPE_BUF) + 1 or _PIPE_BUF])

    def _write(self, data: bytes) -> int:
        """Bytes taken; 0 where there is no room."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if self._looks and not select.select([], [self._fd], [], 0)[1]:
                return 0
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
