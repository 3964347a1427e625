"""A client that takes one step after the other, and never waits: the scene says whose turn it is."""

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from stress.answers import Garbled, Outcome, Request

PIECE = 1 << 16
MOST_UNREAD = 1 << 26


class Reader(Protocol):
    def feed(self, data: bytes, /) -> None: ...
    def ended(self, orderly: bool, /) -> None: ...
    @property
    def done(self) -> bool: ...


@dataclass(frozen=True)
class Places:
    """Where the server listens."""

    port: int
    secure_port: int
    path: str


class Way(Enum):
    """How a client reaches the server."""

    TCP = "tcp"
    UNIX = "unix"
    PROXY = "proxy"
    """From an address whose connections begin with a header of the PROXY protocol."""
    TLS = "tls"


@dataclass(frozen=True)
class Step:
    """Of a client: send, raw (past TLS), read, wait (for all answers, or the first `size` ones), half (close its half),
    close, reset, nothing; act: the first part, which is played while the server runs undisturbed, ends here."""

    kind: str
    data: bytes = b""
    size: int = 0


class End(Enum):
    NONE = "open"
    FIN = "FIN"
    RESET = "reset"
    LEFT = "left by the client"


class Client:
    """One connection with its script.

    requests: all that the script asks for; each knows how it ended.
    stays: the client reads to the end whatever comes, so each request has an outcome.
    """

    def __init__(
        self, name: str, way: Way, steps: list[Step], requests: list[Request], *, stays: bool, receive_buffer: int = 0
    ) -> None:
        self.name = name
        self.way = way
        self.steps = steps
        self.requests = requests
        self.stays = stays
        self.receive_buffer = receive_buffer
        self.alpn: list[str] = ["http/1.1"]
        self.reader: Reader | None = None
        self.end = End.NONE
        self.garbled: str = ""
        self.received = 0
        self.at = 0
        self.out = bytearray()
        self.waits_since = 0.0
        self.halved = False
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLObject | None = None
        self._shaken = False
        self._farewell = False
        self._broken = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._cipher = bytearray()
        self.handshaking = False

    # ---- the scene's side

    @property
    def over(self) -> bool:
        return self.end is not End.NONE

    @property
    def waiting(self) -> bool:
        """Its step is to wait for answers."""
        return not self.over and self.at < len(self.steps) and self.steps[self.at].kind == "wait"

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def connect(self, places: Places, context: ssl.SSLContext) -> None:
        family = socket.AF_UNIX if self.way is Way.UNIX else socket.AF_INET
        self._socket = made = socket.socket(family, socket.SOCK_STREAM)
        if self.receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if self.way is Way.PROXY:
            made.bind(("127.0.0.2", 0))
        made.settimeout(10)
        if self.way is Way.UNIX:
            made.connect(places.path)
        else:
            made.connect(("127.0.0.1", places.secure_port if self.way is Way.TLS else places.port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        if self.way is Way.TLS:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
            self.handshaking = True
            self._shake()

    def step(self) -> None:
        """Takes the next step, as far as it goes."""
        if self.over:
            return
        if self.at >= len(self.steps):
            self.close()
            return
        step = self.steps[self.at]
        if step.kind == "wait":
            self.wait()
            return
        self.at += 1
        if step.kind == "send":
            self.out += step.data
            self.flush()
        elif step.kind == "read":
            self.read(step.size)
        elif step.kind == "half":
            self.half()
        elif step.kind == "raw":
            self._raw(step.data)
        elif step.kind == "reset":
            self.reset()
        elif step.kind == "close":
            self.close()

    def wait(self) -> None:
        """Reads on until all answers are there, or the connection is over."""
        if not self.waits_since:
            self.waits_since = time.monotonic()
        self.flush()
        self.read(MOST_UNREAD)
        if not self.over and self.answered() and not self.out:
            self.at += 1
            self.waits_since = 0.0

    def answered(self) -> bool:
        """Whether it has what its step waits for."""
        first = self.steps[self.at].size
        if first:
            return all(each.outcome is not Outcome.OPEN for each in self.requests[:first])
        return self.reader is not None and self.reader.done

    @property
    def before_act(self) -> bool:
        """Its first part is not over."""
        return not self.over and any(step.kind == "act" for step in self.steps[self.at :])

    # ---- out

    def say(self, data: bytes) -> None:
        """What a reader has to answer at once."""
        if not self.halved:
            self.out += data

    def flush(self) -> None:
        if self.over or self._socket is None:
            return
        if self._tls is not None:
            self._encipher()
            return
        self._push(self.out)

    def _push(self, data: bytearray) -> None:
        assert self._socket is not None
        try:
            while data:
                sent = self._socket.send(data[: 1 << 18])
                del data[:sent]
        except BlockingIOError:
            pass
        except OSError:
            data.clear()  # what had come before it is still to be read
            self._broken = True

    def _encipher(self) -> None:
        assert self._tls is not None
        if self._shaken and self.out and len(self._cipher) < 1 << 20:
            with suppress(ssl.SSLError):
                sent = self._tls.write(self.out)
                del self.out[:sent]
        self._cipher += self._outgoing.read()
        self._push(self._cipher)

    def _raw(self, data: bytes) -> None:
        """Past TLS, which makes garbage of it."""
        self.flush()
        if not self.out and self._socket is not None:
            self._push(bytearray(data))

    # ---- in

    def read(self, most: int) -> None:
        """Takes what is there, `most` bytes of it at most."""
        while most > 0 and not self.over:
            assert self._socket is not None
            try:
                data = self._socket.recv(min(most, PIECE))
            except BlockingIOError:
                return
            except OSError:
                self._ended(End.RESET)
                return
            if not data:
                self._ended(self._orderly())
                return
            most -= len(data)
            self._take(data)

    def _orderly(self) -> End:
        """A FIN; but a reset is said once, and `send` may have heard it; TLS that ends without a farewell was broken
        off; and so may have been a Unix socket, which has no other way to say so."""
        broken_off = self._broken or (self._tls is not None and not self._farewell) or self.way is Way.UNIX
        return End.RESET if broken_off else End.FIN

    def _take(self, data: bytes) -> None:
        if self._tls is None:
            self._feed(data)
            return
        self._incoming.write(data)
        if not self._shaken:
            self._shake()
        try:
            while self._shaken and (plain := self._tls.read(PIECE)):
                self._feed(plain)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._farewell = True
        except ssl.SSLError:
            self._ended(End.RESET)

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
            self._shaken = True
            self.handshaking = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.handshaking = False
            self._ended(End.RESET)
        if not self.over:
            self._encipher()

    def _feed(self, data: bytes) -> None:
        self.received += len(data)
        if self.reader is None or self.garbled:
            return
        try:
            self.reader.feed(data)
        except Garbled as error:
            self.garbled = str(error)
        if self.out:
            self.flush()

    # ---- ends

    def half(self) -> None:
        self.flush()
        self.halved = True
        if self._tls is not None and self._shaken:
            return  # TLS knows no half; its client goes on to read
        if self._socket is not None and not self.out:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._ended(End.LEFT)

    def close(self) -> None:
        self._ended(End.LEFT)

    def _ended(self, end: End) -> None:
        if self.over:
            return
        self.end = end
        if self._socket is not None:
            self._socket.close()
        if self.reader is not None and end is not End.LEFT and not self.garbled:
            try:
                self.reader.ended(end is End.FIN)
            except Garbled as error:
                self.garbled = str(error)

    def unanswered(self) -> list[Request]:
        """Those that it stayed for, and of which nothing came, though the connection ended as if all were well."""
        if not self.stays or self.end is not End.FIN or self.garbled:
            return []
        return [
            each for each in self.requests if each.outcome is Outcome.OPEN and not each.begun and not each.websocket
        ]


Connect = Callable[[Client], None]
