"""Between the supervisor and a worker: messages that may carry descriptors, over a pair of Unix sockets.

A worker says `ready`, `failed` (with the reason and the traceback), and `draining` once it has stopped listening. The
supervisor says `cover` (serve these listening sockets of another slot too), `uncover`, which the worker answers with
`uncovered` once it has closed them, `look` (accept what waits: a sibling that was woken for it is gone), `sibling`
(another worker to which connections may be handed over, with the entry of its mailbox), `parted` (that worker will end
or has ended), and `listening` (your sockets do from now on: --listen-when-ready). Everything else goes by signals,
which a worker takes even before its driver runs.
"""

import array
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

_LONGEST = 1 << 16
_MOST_DESCRIPTORS = 253  # SCM_MAX_FD


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its descriptors belong to the receiver."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


class Channel:
    """One end. Its owner closes it; the other end then reads an end of file."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """Returns the descriptor; -1 when it is closed, at this end or, as `receive` has seen, at the other."""
        return self._socket.fileno()

    def send(self, kind: str, descriptors: Sequence[int] = (), **values: Any) -> bool:
        """Sends a message. Returns False if the other end is gone or does not read: then its heartbeat shows that."""
        text = json.dumps({"kind": kind, **values}).encode()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            self._socket.sendmsg([text], [rights] if descriptors else [])
        except OSError:
            return False
        return True

    def receive(self) -> Message | None:
        """Returns the next message; None if the other end is gone, and this one closed. Raises BlockingIOError."""
        if self.fileno() < 0:
            return None
        room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        try:
            text, ancillary, _, _ = self._socket.recvmsg(_LONGEST, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # The other end closed with a message of ours unread: the kernel reports that once, before what it had sent.
            text, ancillary, _, _ = self._socket.recvmsg(_LONGEST, room, socket.MSG_CMSG_CLOEXEC)
        if not text:
            self.close()
            return None
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        values = json.loads(text)
        return Message(values.pop("kind"), values, tuple(descriptors))

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()
