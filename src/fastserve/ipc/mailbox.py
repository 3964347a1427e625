"""Mailboxes: where siblings put connections that they have accepted and that another worker serves better.

The supervisor makes a pair of Unix sockets for each worker process: siblings have the entry, the worker has the box,
and the supervisor keeps both. So nothing is lost with a worker: what it leaves in its box goes to others. C code
writes and reads the messages (ext/net/handover.h); here they are moved unchanged.
"""

import array
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

_LONGEST = 256
"""Bytes, more than any message has."""


class Mailbox:
    """The mailbox of at most one worker process; `close` closes this process's descriptors."""

    def __init__(self, entry: socket.socket, box: socket.socket) -> None:
        self.entry = entry
        """What siblings put connections into."""
        self.box = box
        """What the worker takes them from."""
        self._held: tuple[bytes, int] | None = None

    @classmethod
    def new(cls) -> Self:
        """Makes a pair of sockets. Raises OSError."""
        entry, box = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        entry.setblocking(False)
        box.setblocking(False)
        return cls(entry, box)

    def shut(self) -> None:
        """Lets nothing more in, whoever has the entry; what the box holds can still be taken."""
        with suppress(OSError):  # shut by its worker before
            self.box.shutdown(socket.SHUT_RD)

    def move(self, others: Sequence["Mailbox"]) -> bool:
        """Moves its connections into the first of the others that takes them. Returns whether nothing is left.

        Its worker may take from it at the same time. Never waits.
        """
        while True:
            if self._held is None and self._empty():
                return True
            if not others or not self._take():
                return False
            if self._held is not None and not self._put(others):
                return False

    def close(self) -> None:
        """Closes both ends. Idempotent. In the last process that has them, waiting connections are lost."""
        self.entry.close()
        self.box.close()
        if self._held is not None:
            os.close(self._held[1])
            self._held = None

    def _empty(self) -> bool:
        try:
            return not self.box.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True

    def _take(self) -> bool:
        """Takes the next connection. Returns False if there is no descriptor for it; then it stays in the box."""
        if self._held is not None:
            return True
        try:
            os.close(os.dup(self.box.fileno()))  # the kernel closes one that it has no number for
        except OSError:
            return False
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            text, ancillary, _, _ = self.box.recvmsg(_LONGEST, room, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True  # its worker has taken it
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._held = text, array.array("i", data)[0]
        return True

    def _put(self, others: Sequence["Mailbox"]) -> bool:
        assert self._held is not None
        text, fd = self._held
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
        for each in others:
            with suppress(OSError):  # full, or shut
                each.entry.sendmsg([text], [rights])
                os.close(fd)
                self._held = None
                return True
        return False
