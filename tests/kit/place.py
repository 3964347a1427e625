"""A driver of the test's own on an address, with what it shows of itself."""

import mmap
import struct
from types import SimpleNamespace
from typing import Any, Self, cast

from fastserve import _core
from kit.client import Client
from kit.driving import Driving, listener
from kit.http2 import HTTP2
from kit.process import Server
from kit.status import BLOCK
from kit.waiting import until


class Place:
    """Serves until the block is left; `place[word]` is a word of the status block, as another process would see it.

    Parameters:
        kind: one of `driving.KINDS`.
        asgi, wsgi: the application, whichever the kind calls for.
        limits: by the core's names.
    """

    def __init__(self, kind: str, *, asgi: Any = None, wsgi: Any = None, **limits: int) -> None:
        self.kind = kind
        self._memory = mmap.mmap(-1, BLOCK)
        self.driving = Driving(kind, asgi=asgi, wsgi=wsgi, status=memoryview(self._memory), limits=limits)
        self.listener = listener()
        self.address: tuple[str, int] = self.listener.getsockname()

    def __getitem__(self, word: str) -> int:
        (value,) = struct.unpack_from("=Q", self._memory, 8 * _core.STATUS_FIELDS.index(word))
        return int(value)

    def __enter__(self) -> Self:
        self.driving.__enter__()
        self.driving.do(lambda: self.driving.driver.add_listener(self.listener.fileno()))
        return self

    def __exit__(self, *error: object) -> None:
        self.driving.do(self.driving.driver.stop_listening)
        self.driving.__exit__(None, None, None)
        self.listener.close()
        assert self["buffered"] == self["body_files"] == 0, "bytes are charged to clients that are gone"

    @property
    def wsgi(self) -> bool:
        return self.kind in ("one", "eight")

    def connect(self) -> Client:
        return Client(self.address)

    def http2(self) -> HTTP2:
        return HTTP2(cast("Server", SimpleNamespace(address=self.address, secure=False)))

    def error(self, name: str) -> int:
        """How often the driver has counted an error of that name."""
        return int(self.driving.do(self.driving.driver.counters)[f"error_{name}"])

    def reaches(self, **words: int) -> bool:
        return until(lambda: all(self[word] >= least for word, least in words.items()))

    def holds(self, least: int) -> bool:
        return until(lambda: self["buffered"] + self["body_files"] >= least)

    def empty(self) -> bool:
        """All has been given back."""
        return until(lambda: self["buffered"] == self["body_files"] == 0)
