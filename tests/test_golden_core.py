"""The golden cases against the compiled module over a socket pair: whole, byte by byte and at every split."""

import asyncio
import fcntl
import gc
import logging
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from fastserve import _core
from golden.cases import Case, read_all
from kit.apps import answering

CASES = [case for case in read_all() if not case.rooms_only]
STEPS = 2000
"""Turns of the loop that a reply may take; each polls, so that this is a bound and no time."""

LONG = 4000
"""Bytes of input above which a sample of the splits is played: the limits of 8 and 32 KiB."""


class Bench:
    """A driver in a loop of its own, and what its application saw."""

    def __init__(self, loop: asyncio.AbstractEventLoop, case: Case) -> None:
        self.loop = loop
        self.case = case
        self.seen: list[tuple[dict[str, Any], bytearray]] = []
        logger = logging.getLogger("golden")
        logger.disabled = True
        interface = _core.ASGI(self.application, loop=loop, websocket=False, underscores=True)
        self.driver = _core.Driver(interface, logger=logger, limits=case.limits, server_header=None, date_header=False)
        interface.start()

    async def application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = bytearray()
        target = self.case.requests[len(self.seen)].target
        self.seen.append((dict(scope), body))

        async def watched() -> Any:
            event = await receive()
            body.extend(event.get("body", b""))
            return event

        await answering.respond(target, scope, watched, send)

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    def play(self, case: Case, pieces: tuple[bytes, ...]) -> tuple[bytes, bool]:
        """The reply, and whether the connection has ended."""
        self.seen.clear()
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            self.driver.adopt(theirs.detach())
            with suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    ours.sendall(piece)
                    self.until_taken(ours)
                if case.eof:
                    ours.shutdown(socket.SHUT_WR)
            result = self.reply(case, ours)
        for _ in range(100):
            if not self.driver.connections and not self.driver.requests:
                break
            self.turn()
        return result

    def until_taken(self, ours: socket.socket) -> None:
        """Until the driver has received everything, so that each piece is a receive of its own; it may refuse to."""
        for _ in range(50):
            if not struct.unpack("i", fcntl.ioctl(ours, termios.TIOCOUTQ, bytes(4)))[0]:
                return
            self.turn()

    def reply(self, case: Case, ours: socket.socket) -> tuple[bytes, bool]:
        data, ended, calm = b"", False, 0
        for _ in range(STEPS):
            self.turn()
            try:
                piece = ours.recv(1 << 20)
            except BlockingIOError:
                calm += case.mismatch(data) is None and not case.closes
                if calm > 2:  # all is there, and nothing more comes
                    break
                continue
            except ConnectionResetError:
                piece = b""
            data += piece
            if not piece:
                ended = True
                break
        return data, ended

    def close(self) -> None:
        self.driver.close()
        self.turn()


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def event_loop_under_test(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.SelectorEventLoop() if request.param == "asyncio" else uvloop.new_event_loop()
    yield loop
    loop.close()


def check_scopes(case: Case, bench: Bench) -> None:
    expected = [request for request in case.requests if request.error is None or request.body]
    seen = bench.seen[: len(expected)]
    for request, (scope, body) in zip(expected, seen, strict=False):
        assert scope["method"] == request.method
        assert scope["http_version"] == request.version
        assert (scope["raw_path"], scope["query_string"]) == (request.path, request.query)
        assert scope["headers"] == request.fields
        if request.complete and request.target != b"/early":
            assert bytes(body) == request.body
    assert len(bench.seen) <= len(case.requests)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_golden_case(case: Case, event_loop_under_test: asyncio.AbstractEventLoop) -> None:
    bench = Bench(event_loop_under_test, case)
    before = _core.ledger()
    try:
        for pieces in case.splits(most=0 if len(case.data) < LONG else 50):
            reply, ended = bench.play(case, pieces)
            cut = f"in {len(pieces)} pieces, the first {pieces[0]!r}"
            assert case.mismatch(reply) is None, f"{case.mismatch(reply)} ({cut})"
            assert ended == case.closes, cut
            check_scopes(case, bench)
            assert bench.driver.connections == 0
            assert bench.driver.requests == 0
    finally:
        bench.close()
    bench.seen.clear()
    gc.collect()
    assert _core.ledger() == before
