"""The whole core as one state machine: clients that do anything in any order, an application that does what no
application should, and a clock that moves when it is told to. Hypothesis chooses, and shrinks what fails.

`make fuzz-core` runs it under the sanitizers, `python -m fuzz.core_machine [examples]` in tests/ as it is built.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import uvloop
from hpack import Encoder
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastserve import _core
from kit import request
from kit.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    WINDOW_UPDATE,
    frame,
)
from kit.http2 import settings as h2_settings
from kit.websocket import FIN, PONG, TEXT, close_payload, handshake
from kit.websocket import frame as ws_frame

Message = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Any]

LARGE = b"x" * 150_000
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"end"}
MORE: Message = {"type": "http.response.body", "body": b"more", "more_body": True}
LIMITS = {
    "timeout_request": 3000,
    "timeout_keep_alive": 1000,
    "timeout_first_byte": 1000,
    "timeout_head": 1000,
    "timeout_body": 1000,
    "timeout_write": 2000,
    "timeout_ws_ping": 1000,
    "timeout_ws_pong": 1000,
    "timeout_h2_ping": 1000,
    "timeout_h2_pong": 1000,
    "max_body": 1 << 20,
}
QUEUES: tuple[dict[str, int], ...] = (
    {},
    {"max_concurrency": 1, "max_queue": 3},
    {"max_concurrency": 2, "max_queue": 2, "timeout_queue": 1000},
    {"timeout_queue": 1},
)


class Meddling:
    """Calls something when it is asked whether it is true, or when nobody holds it any more."""

    def __init__(self, call: Callable[[], Any], *, last: bool = False) -> None:
        self.call = call
        self.last = last

    def __bool__(self) -> bool:
        self.call()
        return False

    def __del__(self) -> None:
        if self.last:
            self.call()


class RaisingHandler(logging.Handler):
    """Keeps what the core says, and fails at every third line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + (f" {record.exc_info[1]!r}" if record.exc_info else ""))
        if len(self.lines) % 3 == 0:
            raise ValueError("a handler's own fault")


class Application:
    """Does what the path says."""

    def __init__(self) -> None:
        self.driver: Any = None
        self.released = asyncio.Event()
        self.kept: list[tuple[Receive, Send]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        name = scope["path"].strip("/").replace("-", "_")
        if scope["type"] == "websocket":
            await self.websocket(receive, send, name)
        else:
            await getattr(self, f"do_{name}", self.do_hello)(receive, send)

    async def websocket(self, receive: Receive, send: Send, name: str) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            if name == "raise":
                raise RuntimeError("the application's fault")
            await send(
                {"type": "websocket.send", "bytes": LARGE} if name == "large" else {**event, "type": "websocket.send"}
            )

    async def do_hello(self, receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)

    async def do_large(self, receive: Receive, send: Send) -> None:
        await send(START)
        await send({**END, "body": LARGE})

    async def do_stream(self, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(20):
            await send({**MORE, "body": LARGE[:20_000]})
        await send(END)

    async def do_upload(self, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await self.do_hello(receive, send)

    async def do_wait(self, receive: Receive, send: Send) -> None:
        await self.released.wait()
        await self.do_hello(receive, send)

    async def do_start_and_wait(self, receive: Receive, send: Send) -> None:
        await send(START)
        await self.released.wait()
        await send(END)

    async def do_raise(self, receive: Receive, send: Send) -> None:
        raise RuntimeError("the application's fault")

    async def do_raise_late(self, receive: Receive, send: Send) -> None:
        await send(START)
        await send(MORE)
        raise RuntimeError("the application's fault")

    async def do_short(self, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"100")]})
        await send(END)

    async def do_keep(self, receive: Receive, send: Send) -> None:
        self.kept.append((receive, send))
        await self.do_hello(receive, send)

    async def do_keep_and_wait(self, receive: Receive, send: Send) -> None:
        self.kept.append((receive, send))
        await self.released.wait()

    async def do_steal(self, receive: Receive, send: Send) -> None:
        for other_receive, other_send in self.kept[-3:]:
            with suppress(Exception):
                await asyncio.wait_for(other_receive(), 0.001)
            with suppress(Exception):
                await other_send(START)
                await other_send(MORE)
        await self.do_hello(receive, send)

    async def do_meddle(self, receive: Receive, send: Send) -> None:
        pending: list[Any] = []

        def end() -> None:
            for event in (START, END):
                with suppress(Exception):
                    pending.append(send(event))

        await send({**START, "trailers": Meddling(end)})
        await send({**END, "more_body": Meddling(end, last=True)})

    async def do_dropped(self, receive: Receive, send: Send) -> None:
        def end() -> None:
            with suppress(Exception):
                send(END)

        await send({**START, "headers": [(b"a", b"b")], "extension": Meddling(end, last=True)})
        await send({**MORE, "extension": Meddling(end, last=True)})

    async def do_cancel(self, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await self.do_hello(receive, send)

    async def do_tasks(self, receive: Receive, send: Send) -> None:
        await send(START)
        tasks = [asyncio.create_task(send({**MORE, "body": LARGE})) for _ in range(3)]
        waiting = asyncio.create_task(receive())
        await asyncio.gather(*tasks, return_exceptions=True)
        waiting.cancel()

    async def do_leave_tasks(self, receive: Receive, send: Send) -> None:
        self.left = [asyncio.create_task(send({**MORE, "body": LARGE})), asyncio.create_task(receive())]
        await send(START)

    async def do_stall(self, receive: Receive, send: Send) -> None:
        if _core.DEBUG:
            self.driver.pass_time(1.5)
        await self.do_hello(receive, send)

    async def do_again(self, receive: Receive, send: Send) -> None:
        self.driver.poll()
        self.driver.sweep()
        await self.do_hello(receive, send)

    async def do_drop_all(self, receive: Receive, send: Send) -> None:
        await send(START)
        self.driver.drop_connections()
        with suppress(ConnectionError):
            await send(END)


ROUTES = tuple(name.removeprefix("do_").replace("_", "-") for name in vars(Application) if name.startswith("do_"))


class Peer:
    """One client, which speaks what it likes."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.socket.setblocking(False)
        self.encoder = Encoder()
        self.stream = 1
        self.tail = b""

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.socket.send(data)

    def read(self, n: int) -> None:
        with suppress(OSError):
            self.socket.recv(n)


def http1(route: str, body: int, chunked: bool, close: bool) -> bytes:
    lines = ("connection: close",) if close else ()
    if not body:
        return request(f"/{route}", *lines)
    text = b"POST /%s HTTP/1.1\r\nhost: a\r\n" % route.encode() + b"".join(b"%s\r\n" % line.encode() for line in lines)
    if chunked:
        return text + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (body, b"y" * body)
    return text + b"content-length: %d\r\n\r\n%s" % (body, b"y" * body)


class Core(RuleBasedStateMachine):
    uvloop = False

    @initialize(log=st.booleans(), queue=st.sampled_from(QUEUES))
    def start(self, log: bool, queue: dict[str, int]) -> None:
        self.before = dict(_core.ledger())
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop() if self.uvloop else asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(lambda _, context: self.note(context))
        self.problems: list[str] = []
        self.application = Application()
        self.handler = RaisingHandler()
        self.logger = logging.getLogger(f"core.{id(self)}")
        self.logger.setLevel(logging.DEBUG)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)
        self.log = os.open(os.devnull, os.O_WRONLY)
        self.asgi = _core.ASGI(self.application, loop=self.loop)
        self.driver = _core.Driver(
            self.asgi, logger=self.logger, limits={**LIMITS, **queue}, access_log_fd=self.log if log else -1
        )
        self.application.driver = self.driver
        self.asgi.start()
        self.peers: list[Peer] = []

    def note(self, context: Message) -> None:
        """What the loop says; that nobody has asked for a task's exception is the application's own fault."""
        if "never retrieved" not in context["message"]:
            self.problems.append(repr(context))

    def teardown(self) -> None:
        if not hasattr(self, "driver"):
            return
        self.release()
        for peer in self.peers:
            peer.socket.close()
        for _ in range(30):
            self.turn(1)
            if self.driver.connections == 0 and self.driver.requests == 0:
                break
            if _core.DEBUG:
                self.pass_time(4.0)
        left = (self.driver.connections, self.driver.requests)
        self.driver.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.turn(3)
        tasks = asyncio.all_tasks(self.loop)
        self.loop.close()
        os.close(self.log)
        assert left == (0, 0) or not _core.DEBUG
        assert not tasks
        self.check()

    # ---- what happens

    @rule()
    @precondition(lambda self: len(self.peers) < 6)
    def connect(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.peers.append(Peer(ours))
        self.driver.adopt(theirs.detach())

    @rule(n=st.integers(1, 3))
    def turn(self, n: int) -> None:
        for _ in range(n):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    @rule(seconds=st.sampled_from([0.02, 0.5, 1.1, 2.5, 5.0]))
    @precondition(lambda _: _core.DEBUG)
    def pass_time(self, seconds: float) -> None:
        self.driver.pass_time(seconds)

    @rule()
    def release(self) -> None:
        self.application.released.set()
        self.turn(2)
        self.application.released = asyncio.Event()

    def some(self, number: int) -> Iterator[Peer]:
        if self.peers:
            yield self.peers[number % len(self.peers)]

    @rule(
        number=st.integers(0, 5),
        routes=st.lists(st.sampled_from(ROUTES), min_size=1, max_size=4),
        body=st.sampled_from([0, 0, 5, 3000, 200_000]),
        chunked=st.booleans(),
        close=st.booleans(),
        cut=st.one_of(st.none(), st.integers(0, 300)),
    )
    def requests(self, number: int, routes: list[str], body: int, chunked: bool, close: bool, cut: int | None) -> None:
        for peer in self.some(number):
            data = b"".join(http1(route, body, chunked, close and route is routes[-1]) for route in routes)
            peer.send(data if cut is None else data[:cut])
            peer.tail = b"" if cut is None else data[cut:]

    @rule(number=st.integers(0, 5))
    def send_rest(self, number: int) -> None:
        for peer in self.some(number):
            tail, peer.tail = peer.tail, b""
            peer.send(tail)

    @rule(number=st.integers(0, 5), data=st.binary(min_size=1, max_size=40))
    def garbage(self, number: int, data: bytes) -> None:
        for peer in self.some(number):
            peer.send(data)

    @rule(
        number=st.integers(0, 5), preface=st.booleans(), window=st.sampled_from([0, 10, 65535]), cut=st.integers(0, 30)
    )
    def begin_http2(self, number: int, preface: bool, window: int, cut: int) -> None:
        for peer in self.some(number):
            data = (PREFACE if preface else b"") + h2_settings((4, window), (8, 1))
            peer.send(data[:cut])
            peer.tail = data[cut:]

    @rule(number=st.integers(0, 5), routes=st.lists(st.sampled_from(ROUTES), min_size=1, max_size=5), end=st.booleans())
    def open_streams(self, number: int, routes: list[str], end: bool) -> None:
        for peer in self.some(number):
            data = b""
            for route in routes:
                fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", f"/{route}")]
                block = peer.encoder.encode(fields)
                data += frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), peer.stream, block)
                peer.stream += 2
            peer.send(data)

    @rule(
        number=st.integers(0, 5),
        kind=st.sampled_from([DATA, RST_STREAM, WINDOW_UPDATE, PING, GOAWAY]),
        back=st.integers(0, 4),
        flags=st.integers(0, 1),
        size=st.sampled_from([0, 1, 4, 8, 5000]),
    )
    def send_frame(self, number: int, kind: int, back: int, flags: int, size: int) -> None:
        for peer in self.some(number):
            stream = max(0, peer.stream - 2 * back)
            length = {RST_STREAM: 4, WINDOW_UPDATE: 4, PING: 8, GOAWAY: 8}.get(kind, size)
            payload = b"\0\0\x01\0" * (length // 4) + b"\0" * (length % 4)
            peer.send(frame(kind, flags, 0 if kind in (PING, GOAWAY) else stream, payload))

    @rule(number=st.integers(0, 5), route=st.sampled_from(["echo", "large", "raise"]), glued=st.booleans())
    def open_websocket(self, number: int, route: str, glued: bool) -> None:
        for peer in self.some(number):
            peer.send(handshake(f"/{route}") + (ws_frame(FIN | TEXT, b"first") if glued else b""))

    @rule(
        number=st.integers(0, 5),
        first=st.sampled_from([FIN | TEXT, TEXT, FIN, 0, FIN | PONG, FIN | 9, FIN | 8, 0x83]),
        size=st.sampled_from([0, 2, 100, 70_000]),
        times=st.sampled_from([1, 1, 40]),
    )
    def send_ws_frame(self, number: int, first: int, size: int, times: int) -> None:
        for peer in self.some(number):
            payload = close_payload(1000) if first == FIN | 8 else b"z" * size
            peer.send(ws_frame(first, payload) * times)

    @rule(number=st.integers(0, 5), n=st.sampled_from([100, 65_536, 10_000_000]))
    def read(self, number: int, n: int) -> None:
        for peer in self.some(number):
            peer.read(n)

    @rule(number=st.integers(0, 5))
    def half_close(self, number: int) -> None:
        for peer in self.some(number):
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_WR)

    @rule(number=st.integers(0, 5))
    def leave(self, number: int) -> None:
        """What lies unread in a Unix socket turns this into a reset."""
        for peer in self.some(number):
            peer.socket.close()
            self.peers.remove(peer)

    @rule(number=st.integers(0, 5), route=st.sampled_from(ROUTES))
    def leave_behind_a_request(self, number: int, route: str) -> None:
        for peer in self.some(number):
            peer.send(request("/large") + request(f"/{route}"))
            self.leave(number)

    @rule()
    def stop_streams(self) -> None:
        self.driver.tell_streams()

    @rule()
    def cancel(self) -> None:
        self.driver.cancel_requests()

    # ---- what must not

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "handler"):
            return
        said = [line for line in self.handler.lines if "internal error" in line or "SystemError" in line]
        assert not said
        assert not self.problems
        assert self.driver.connections <= len(self.peers) + 20


class UvloopCore(Core):
    uvloop = True


def run(machine: type[Core], examples: int) -> None:
    """Raises what hypothesis has found, with the steps that lead there."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


if __name__ == "__main__":
    for each in (Core, UvloopCore):
        run(each, int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
