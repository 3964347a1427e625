"""What happens inside a turn: clients that leave, applications that come back, handlers that raise."""

import asyncio
import io
import logging
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastserve import _core
from kit import Client, request
from kit.driving import KINDS, Driving, listener
from kit.waiting import PATIENCE, until

LOOPS = ("asyncio", "uvloop")
LARGE = b"x" * 200_000
RESET = struct.pack("ii", 1, 0)

Message = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Any]

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def reset(client: Client) -> None:
    """Closes with RST, whatever is unread."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.socket.close()


def serve(driving: Driving) -> socket.socket:
    made = listener()
    driving.do(lambda: driving.driver.add_listener(made.fileno()))
    return made


def is_idle(driving: Driving) -> bool:
    return driving.do(lambda: driving.driver.connections == 0 and driving.driver.requests == 0)


async def answer(send: Send, body: bytes = b"hello") -> None:
    await send(START)
    await send({"type": "http.response.body", "body": body})


# ---- a client that leaves inside a turn


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_is_opened_on_a_connection_whose_answer_found_the_client_gone(kind: str) -> None:
    called: list[str] = []
    released = threading.Event()

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        if scope["path"] == "/wait":
            await asyncio.Event().wait()
        await answer(send, LARGE)

    def wsgi(environ: Message, start_response: Any) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/wait":
            released.wait(PATIENCE)
        start_response("200 OK", [])
        return [LARGE]

    with Driving(kind, asgi=asgi, wsgi=wsgi) as driving, serve(driving) as made:
        clients = [Client(made.getsockname()) for _ in range(200)]
        assert until(lambda: driving.do(lambda: driving.driver.connections) == len(clients))

        def leave() -> None:
            for client in clients:
                client.send(request("/large") + request("/wait"))
                reset(client)

        driving.do(leave)  # the driver is not at work meanwhile: it finds the requests and the reset together
        assert until(lambda: driving.do(lambda: driving.driver.connections) == 0)
        assert called.count("/wait") == 0
        assert is_idle(driving)
        released.set()
        with Client(made.getsockname()) as client:
            assert client.exchange(request("/large")).body == LARGE


def test_a_preface_in_two_pieces_fits_the_buffer(tmp_path: Any) -> None:
    """Up to 23 bytes that were kept and a whole buffer of others: a Unix socket gives as much in one step."""
    rest = b"\r\nSM\r\n\r\n" + b"\0" * 1_000_000
    with Driving("asyncio") as driving:
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(PATIENCE)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(rest))
            driving.do(lambda: driving.driver.adopt(theirs.detach()))
            ours.send(b"PRI * HTTP/2.0\r\n")
            assert until(lambda: driving.do(lambda: driving.driver.counters()["bytes_in"]) == 16)

            def send() -> None:
                assert ours.send(rest) > 262_144  # what is there in one step is more than the buffer takes

            driving.do(send)
            while ours.recv(1 << 16):
                pass
        assert until(lambda: is_idle(driving))


# ---- an application that reads another request's body


@pytest.mark.parametrize("kind", LOOPS)
def test_a_body_that_another_request_reads_is_no_part_of_the_requests_behind_it(kind: str) -> None:
    called: list[str] = []
    bodies: list[bytes] = []
    uploads: list[Receive] = []
    injected = b"GET /injected HTTP/1.1\r\nhost: a\r\n\r\n"
    body = injected * 40_000

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        if scope["path"] == "/upload":
            uploads.append(receive)
            await asyncio.Event().wait()
        if scope["path"] == "/steal":  # what has been received already, and what lies in the socket behind it
            bodies.extend([(await uploads[0]())["body"] for _ in range(2)])
        await answer(send)

    with Driving(kind, asgi=asgi) as driving, serve(driving) as made:
        with Client(made.getsockname()) as one, Client(made.getsockname()) as other:
            head = b"POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            other.send_until_blocked(head + b"%x\r\n" % len(body) + body, 2 * len(body))
            assert until(lambda: len(uploads) == 1)
            assert one.exchange(request("/")).body == b"hello"
            one.send(request("/steal") + 3 * request("/mine"))
            assert [one.answer().body for _ in range(4)] == [b"hello"] * 4
            assert body.startswith(b"".join(bodies))
        assert called == ["/upload", "/", "/steal", "/mine", "/mine", "/mine"]


# ---- steps that raise


@pytest.mark.parametrize("kind", LOOPS)
def test_a_send_in_a_task_of_its_own_raises_what_it_should(kind: str) -> None:
    raised: list[BaseException] = []

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        task: asyncio.Task[None] = asyncio.create_task(
            send({"type": "http.response.body", "body": LARGE * 100, "more_body": True})
        )
        try:
            await task
        except BaseException as failure:
            raised.append(failure)
            raise

    with Driving(kind, asgi=asgi) as driving, serve(driving) as made:
        client = Client(made.getsockname(), receive_buffer=4096)
        client.send(request("/"))
        assert client.receive_once()
        for _ in range(3):
            driving.do(lambda: None)  # the loop comes round: the task waits now
        reset(client)
        assert until(lambda: len(raised) == 1)
        assert isinstance(raised[0], ConnectionResetError)
        assert until(lambda: is_idle(driving))


# ---- code of the application's that runs while its event is read


class Meddling:
    """Does something of its own when it is asked whether it is true, iterated over, or asked for its descriptor."""

    def __init__(self, meddle: Callable[[], Any], value: Any) -> None:
        self.meddle = meddle
        self.value = value

    def __bool__(self) -> bool:
        self.meddle()
        return bool(self.value)

    def __iter__(self) -> Iterator[Any]:
        self.meddle()
        return iter(self.value)

    def fileno(self) -> int:
        self.meddle()
        fd: int = self.value.fileno()
        return fd


class Dropped:
    """Does something when nobody holds it any more."""

    def __init__(self, meddle: Callable[[], Any]) -> None:
        self.meddle = meddle

    def __del__(self) -> None:
        self.meddle()


class LastBytes(bytes):
    """A header's value, which does something when nobody holds it any more."""

    meddle: Callable[[], Any]

    def __del__(self) -> None:
        self.meddle()


LAST: Message = {"type": "http.response.body", "body": b"other"}


def meddling_events(how: str, event: Message, end: Callable[[], Any], file: io.BufferedReader) -> list[Message]:
    """Events of which one ends the response by itself while it is read, or when its last reference goes."""
    if how == "status and headers":
        return [{**START, "headers": Meddling(end, [])}, LAST]
    if how == "trailers":
        return [{**START, "trailers": Meddling(end, False)}, LAST]
    if how == "the event changes":

        def change() -> None:
            event.clear()
            event.update(type="http.response.body", body=b"y" * 64)

        event.update(type="http.response.body", body=b"x" * 64, more_body=Meddling(change, False))
        return [START, event]
    if how == "body":
        return [START, {**LAST, "more_body": Meddling(end, False)}]
    if how == "file":
        sent = {"type": "http.response.zerocopysend", "file": Meddling(end, file)}
        return [START, sent]
    if how == "more of a file":
        sent = {"type": "http.response.zerocopysend", "file": file.fileno(), "more_body": Meddling(end, False)}
        return [START, sent]
    if how == "a header's end":
        value = LastBytes(b"value")
        value.meddle = end
        return [{**START, "headers": [(b"name", value)]}, LAST]
    assert how == "links"
    return [{"type": "http.response.early_hint", "links": Meddling(end, [b"</a>"])}, START, LAST]


HOWS = (
    "status and headers",
    "trailers",
    "the event changes",
    "body",
    "file",
    "more of a file",
    "a header's end",
    "links",
)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", LOOPS)
def test_an_event_that_sends_while_it_is_read_harms_nobody(kind: str, how: str) -> None:
    with Path(__file__).open("rb") as file:

        async def asgi(scope: Message, receive: Receive, send: Send) -> None:
            if scope["path"] == "/plain":
                await answer(send)
                return
            waiting: list[Any] = []

            def end() -> None:
                for event in (START, LAST):
                    with suppress(Exception):  # out of order, as it may be
                        waiting.append(send(event))

            events = meddling_events(how, {}, end, file)
            while events:
                await send(events.pop(0))

        with Driving(kind, asgi=asgi) as driving, serve(driving) as made:
            for _ in range(3):
                with Client(made.getsockname()) as client:
                    client.send(request("/", "connection: close"))
                    client.rest()
            with Client(made.getsockname()) as client:
                assert client.exchange(request("/plain")).body == b"hello"
            assert until(lambda: is_idle(driving))


# ---- a logging handler that raises


class Raising(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        raise ValueError("a handler's own fault")


@pytest.mark.parametrize("kind", LOOPS)
def test_a_logging_handler_that_raises_takes_no_answer_from_others(kind: str) -> None:
    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise RuntimeError("the application's fault")
        await answer(send)

    def wsgi(environ: Message, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/raise":
            raise RuntimeError("the application's fault")
        start_response("200 OK", [])
        return [b"hello"]

    handler = Raising()
    with Driving(kind, asgi=asgi, wsgi=wsgi) as driving, serve(driving) as made:
        driving.logger.addHandler(handler)
        try:
            clients = [Client(made.getsockname()) for _ in range(30)]
            for client in clients:
                assert client.exchange(request("/")).status == 200

            def send() -> None:
                for number, client in enumerate(clients):
                    client.send(request("/" if number % 10 else "/raise"))

            driving.do(send)
            assert [client.answer().status for client in clients] == [200 if n % 10 else 500 for n in range(30)]
            assert handler.count == 3
            for client in clients:
                client.close()
        finally:
            driving.logger.removeHandler(handler)
        assert until(lambda: is_idle(driving))


# ---- a driver that is entered again


def test_poll_and_sweep_inside_a_turn_do_nothing_and_lose_nothing() -> None:
    driver: list[Any] = []

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/again":
            driver[0].poll()
            driver[0].sweep()
        await answer(send)

    with Driving("asyncio", asgi=asgi) as driving, serve(driving) as made:
        driver.append(driving.driver)
        clients = [Client(made.getsockname()) for _ in range(20)]
        for client in clients:
            assert client.exchange(request("/")).status == 200

        def send() -> None:
            for client in clients:
                client.send(request("/again") + request("/"))

        driving.do(send)
        for client in clients:
            assert [client.answer().body for _ in range(2)] == [b"hello"] * 2
            client.close()
        assert until(lambda: is_idle(driving))
    assert not _core.DEBUG or _core.ledger()["connections"] == 0


# ---- the first bytes of a connection, by which its protocol is chosen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["half_close", "close"])
def test_part_of_a_preface_at_which_the_client_stops(kind: str, way: str) -> None:
    """It was kept as long as it might become HTTP/2's: what HTTP/1 makes of it must still be there when it answers."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    with Driving(kind) as driving, serve(driving) as made:
        for size in range(1, len(preface)):
            client = Client(made.getsockname()).send(preface[:size])
            assert until(lambda size=size: driving.driver.counters()["bytes_in"] >= size * (size + 1) // 2)  # type: ignore[misc]
            getattr(client, way)()
            if way == "half_close":
                assert client.answer("PRI").status in (400, 505), size
                assert client.gone()
                client.close()
            assert until(lambda: is_idle(driving))


class Secured:
    """As much of a listener's TLS as is asked before a handshake."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def describe(self, connection: Any) -> Message:
        raise NotImplementedError

    def environ(self, connection: Any) -> dict[str, str]:
        raise NotImplementedError


class NoMemory:
    def wrap_bio(self, *arguments: Any, **named: Any) -> Any:
        raise MemoryError


def secured(driving: Driving, context: Any) -> socket.socket:
    made = listener()
    driving.do(lambda: driving.driver.add_listener(made.fileno(), tls=Secured(context)))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_follows_plain_http_on_a_tls_address(kind: str) -> None:
    """Not HTTP/2's preface either, which comes in a second recv of the same turn: urgent data ends the first."""
    called: list[str] = []

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        await answer(send)

    def wsgi(environ: Message, start_response: Any) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"hello"]

    head = b"\x82\x84\x87\x41\x01a"  # GET, /, https, and a as the authority (RFC 7541 appendix A)
    frames = b"\0\0\0\4\0\0\0\0\0" + len(head).to_bytes(3, "big") + b"\1\5\0\0\0\1" + head
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with (
        Driving(kind, asgi=asgi, wsgi=wsgi) as driving,
        secured(driving, context) as made,
        Client(made.getsockname()) as client,
    ):
        assert until(lambda: driving.do(lambda: driving.driver.connections) == 1)

        def send() -> None:
            client.send(b"GET / HTTP/1.1\r\n").socket.send(b"!", socket.MSG_OOB)
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames).half_close()

        driving.do(send)  # the driver is not at work meanwhile, and finds all of it together
        assert client.answer().status == 400
        assert client.closed()
        assert until(lambda: is_idle(driving))
    assert called == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_cannot_be_secured_is_closed(kind: str) -> None:
    """It is not served without TLS."""
    with Driving(kind) as driving, secured(driving, NoMemory()) as made:
        with suppress(ConnectionError), Client(made.getsockname()) as client:
            client.send(request("/"))
            client.gone()
        assert until(lambda: driving.driver.counters()["connections"] == 1)
        assert until(lambda: is_idle(driving))
        assert driving.driver.counters()["requests"] == 0


def test_a_late_proxy_header_on_a_tls_address_is_no_failure_of_tls() -> None:
    """The handshake comes after it, and has not been begun."""
    limits = {"timeout_tls_handshake": 200}
    with Driving("asyncio", proxy_protocol=lambda host: True, limits=limits) as driving:
        with secured(driving, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as made, Client(made.getsockname()) as client:
            client.send(b"PROXY TCP4 10.0")
            assert client.gone()
        counters = driving.driver.counters()
        assert (counters["error_proxy_header"], counters["error_tls"]) == (1, 0)


# ---- a connection that is let go while its session is at work


@pytest.mark.parametrize("kind", LOOPS)
def test_a_log_that_lets_the_connection_go_at_the_end_of_an_answer(kind: str) -> None:
    """The client leaves, and the driver turns, within the line that says its answer has ended."""
    read_end, log = os.pipe()
    os.close(read_end)
    clients: list[Client] = []
    done = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "access log" in record.getMessage() and clients:
                reset(clients.pop())
                for _ in range(2):
                    driver.poll()

    async def asgi(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/last":
            await asyncio.sleep(0)
        await answer(send)
        if scope["path"] == "/last":
            done.set()

    with Driving(kind, asgi=asgi, access_log_fd=log) as driving, serve(driving) as made:
        driver: Any = driving.driver
        handler = Handler()
        driving.logger.addHandler(handler)
        try:
            client = Client(made.getsockname())
            clients.append(client)
            driving.do(lambda: client.send(request("/" + "a" * 4000) * 12 + request("/last?" + "q" * 2000)))
            assert done.wait(PATIENCE)
            assert until(lambda: is_idle(driving))
        finally:
            driving.logger.removeHandler(handler)
    os.close(log)
