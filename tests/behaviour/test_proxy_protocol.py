"""The PROXY protocol: whose connections begin with its header, and who the client is after it."""

import ast
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fastserve import _core
from kit import Client, request
from kit.driving import KINDS, Driving, listener
from kit.waiting import PATIENCE, until

V2 = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
LINE_6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"


def block(command: int, family: int, data: bytes = b"") -> bytes:
    return V2 + struct.pack(">BBH", 0x20 | command, family, len(data)) + data


ENDS = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 56324, 443)
ENDS_6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack(">HH", 56324, 443)
)
BLOCK = block(1, 0x11, ENDS)
NAMED = (("192.0.2.1", 56324), ("198.51.100.2", 443))
NAMED_6 = (("2001:db8::1", 56324), ("2001:db8::2", 443))


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    said = repr((scope["client"], scope["server"]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    client = (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])) if "REMOTE_PORT" in environ else None
    start_response("200 OK", [])
    return [repr((client, (environ["SERVER_NAME"], int(environ["SERVER_PORT"])))).encode()]


@dataclass
class Proxied:
    """A driver behind a proxy, whose peers were asked for."""

    driving: Driving
    address: Any
    asked: list[str | None] = field(default_factory=list)

    def connect(self) -> Client:
        return Client(self.address)

    def counter(self, name: str) -> int:
        return self.driving.do(self.driving.driver.counters)[name]

    def idle(self) -> bool:
        return self.driving.do(lambda: self.driving.driver.connections) == 0


def ends(client: Client, data: bytes = b"") -> Any:
    """Client and server as the application sees them in one more request of this connection."""
    return ast.literal_eval(client.exchange(data + request("/")).body.decode())


def until_taken(proxied: Proxied, total: int) -> None:
    """So that the next piece is received by itself."""
    assert until(lambda: proxied.counter("bytes_in") == total)


def ends_of(body: bytes) -> Any:
    return ast.literal_eval(body.decode())


Begin = Callable[..., Proxied]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def begin(kind: str) -> Iterator[Begin]:
    """begin(trusted=..., path=..., option=value, ...): a driver whose peers are behind a proxy."""
    running: list[tuple[Driving, socket.socket]] = []

    def new(
        trusted: Callable[[str | None], bool] = lambda _: True, path: Path | None = None, **options: Any
    ) -> Proxied:
        asked: list[str | None] = []

        def proxied(host: str | None) -> bool:
            asked.append(host)
            return trusted(host)

        if path is None:
            listening = listener()
        else:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            listening.listen()
        driving = Driving(kind, asgi=asgi, wsgi=wsgi, proxy_protocol=proxied, **options)
        driving.driver.add_listener(listening.fileno())
        running.append((driving.__enter__(), listening))
        return Proxied(driving, listening.getsockname(), asked)

    yield new
    for driving, listening in running:
        listening.close()
        driving.__exit__(None, None, None)


@pytest.fixture
def proxied(begin: Begin) -> Proxied:
    return begin()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (LINE, NAMED),
        (LINE_6, NAMED_6),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 56324 443\r\n", NAMED),
        (BLOCK, NAMED),
        (block(1, 0x21, ENDS_6), NAMED_6),
        (block(1, 0x11, ENDS + b"\x04\0\0" + b"\x01\0\x08http/1.1"), NAMED),
        (block(1, 0x11, ENDS + b"\x04" + struct.pack(">H", 4000) + bytes(4000)), NAMED),
    ],
    ids=["line-4", "line-6", "line-mapped", "block-4", "block-6", "triples", "long"],
)
def test_the_client_is_whom_the_proxy_names(proxied: Proxied, header: bytes, expected: Any) -> None:
    with proxied.connect() as client:
        assert ends(client, header) == expected
        assert ends(client) == expected, "it holds for the whole connection"
        assert client.exchange(request("/") + request("/")).status == 200
        assert client.answer().status == 200
    assert proxied.asked == ["127.0.0.1"]


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 1 2 3\r\n",
        block(0, 0),
        block(0, 0x11, ENDS),
        block(1, 0),
        block(1, 0x10, ENDS),
    ],
    ids=["unknown", "unknown and more", "local", "local and more", "unspecified", "transport unspecified"],
)
def test_a_header_that_names_nobody_leaves_the_real_peer(proxied: Proxied, header: bytes) -> None:
    with proxied.connect() as client:
        assert ends(client, header) == (("127.0.0.1", client.port), proxied.address)


@pytest.mark.parametrize("header", [LINE, BLOCK], ids=["line", "block"])
def test_a_header_may_come_in_any_pieces(proxied: Proxied, header: bytes) -> None:
    data = header + request("/")
    for number, cut in enumerate(range(1, len(data))):
        with proxied.connect() as client:
            client.send(data[:cut])
            until_taken(proxied, number * len(data) + cut)
            assert ends_of(client.exchange(data[cut:]).body) == NAMED, f"cut at {cut}"


@pytest.mark.parametrize("header", [LINE, BLOCK], ids=["line", "block"])
def test_a_header_may_come_byte_by_byte(proxied: Proxied, header: bytes) -> None:
    with proxied.connect() as client:
        for number, byte in enumerate(header + request("/"), 1):
            client.send(bytes([byte]))
            until_taken(proxied, number)
        assert ends_of(client.answer().body) == NAMED
        assert ends(client) == NAMED


@pytest.mark.parametrize(
    "data",
    [
        request("/"),
        LINE.replace(b"TCP4", b"TCP5") + request("/"),
        LINE.replace(b"\r\n", b"\n") + request("/"),
        LINE.replace(b"56324", b"056324") + request("/"),
        b"PROXY UNKNOWN " + b"x" * 200,
        block(2, 0x11, ENDS) + request("/"),
        block(1, 0x11, ENDS[:-1]) + request("/"),
        block(1, 0x11, ENDS + b"\x04\0") + request("/"),
        block(1, 0x11, ENDS + b"\x03\0\x04abcd") + request("/"),
        V2 + b"\x21\x11\xff\xff",
    ],
    ids=[
        "none",
        "protocol",
        "line end",
        "port",
        "too long a line",
        "command",
        "too short",
        "half a triple",
        "checksum",
        "too long a block",
    ],
)
def test_a_missing_or_malformed_header_ends_the_connection(
    proxied: Proxied, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with proxied.connect() as client:
        client.send(data)
        assert client.readable(PATIENCE)
        assert nothing_but_the_end(client)
    assert until(proxied.idle)
    assert proxied.counter("error_proxy_header") == 1
    assert proxied.counter("requests") == 0
    assert "the PROXY protocol header is missing or malformed" in caplog.text
    with proxied.connect() as client:
        assert ends(client, LINE) == NAMED, "others are none the worse for it"


def nothing_but_the_end(client: Client) -> bool:
    """Whether the connection has ended, with a FIN or a reset, and not a byte came before."""
    try:
        return client.rest() == b""
    except ConnectionResetError:
        return True


def test_a_peer_that_leaves_within_its_header_is_counted_and_one_without_a_byte_is_not(proxied: Proxied) -> None:
    """Health checks of a load balancer do no more than connect."""
    with proxied.connect() as client:
        client.half_close()
        assert nothing_but_the_end(client)
    assert until(proxied.idle)
    assert proxied.counter("error_proxy_header") == 0
    with proxied.connect() as client:
        client.send(LINE[:20]).half_close()
        assert nothing_but_the_end(client)
    assert until(proxied.idle)
    assert proxied.counter("error_proxy_header") == 1


def test_half_a_header_has_the_time_of_the_first_byte(begin: Begin) -> None:
    proxied = begin(limits={"timeout_first_byte": 300})
    with proxied.connect() as client, proxied.connect() as silent:
        client.send(LINE[:20])
        assert nothing_but_the_end(client)
        assert nothing_but_the_end(silent)
    assert until(proxied.idle)
    assert proxied.counter("error_proxy_header") == 1


def test_a_header_without_a_request_has_it_too(begin: Begin) -> None:
    proxied = begin(limits={"timeout_first_byte": 300})
    with proxied.connect() as client:
        client.send(LINE)
        assert nothing_but_the_end(client)
    assert proxied.counter("error_proxy_header") == 0


def test_a_head_after_a_header_has_its_own_time(begin: Begin) -> None:
    proxied = begin(limits={"timeout_head": 300})
    with proxied.connect() as client:
        assert client.exchange(LINE + b"GET / HT").status == 408
        assert client.gone()


def test_a_header_of_anybody_else_is_no_request(begin: Begin) -> None:
    """It would let anybody choose whom it comes from."""
    proxied = begin(trusted=lambda host: host != "127.0.0.1")
    for header in (LINE, BLOCK):  # as a request, the line has an invalid target
        with proxied.connect() as client:
            assert client.exchange(header + request("/")).status == 400
            assert client.gone()
    with proxied.connect() as client:
        assert ends(client) == (("127.0.0.1", client.port), proxied.address)
    assert proxied.asked == ["127.0.0.1"] * 3
    assert proxied.counter("error_proxy_header") == 0


def test_a_second_header_is_no_request(proxied: Proxied) -> None:
    with proxied.connect() as client:
        assert client.exchange(LINE + LINE + request("/")).status == 400
        assert client.gone()


def test_what_else_is_forwarded_is_believed_of_the_client_that_the_header_names(begin: Begin) -> None:
    for host, expected in (("192.0.2.1", ("203.0.113.9", 0)), ("127.0.0.1", NAMED[0])):
        proxied = begin(forwarding=_core.TrustedProxies([host]))
        with proxied.connect() as client:
            data = LINE + request("/", "X-Forwarded-For: 203.0.113.9")
            assert ends_of(client.exchange(data).body)[0] == expected


def test_the_access_log_names_the_client_that_the_header_names(begin: Begin, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        proxied = begin(access_log_fd=log.fileno())
        with proxied.connect() as client:
            ends(client, LINE)
            assert client.exchange(b"GET / HTTP/1.1\r\n\r\n").status == 400
        proxied.driving.do(proxied.driving.driver.flush_access_log)
        first, second = (tmp_path / "log").read_text().splitlines()
    assert first.startswith("192.0.2.1 - - [")
    assert second.startswith("192.0.2.1 - - [")


def test_a_proxy_on_a_unix_socket(begin: Begin, tmp_path: Path) -> None:
    proxied = begin(path=tmp_path / "socket")
    with proxied.connect() as client:
        assert ends(client, LINE) == NAMED
    with proxied.connect() as client:
        assert ends(client, b"PROXY UNKNOWN\r\n")[0] is None
    assert proxied.asked == [None, None]


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"], indirect=True)
def test_a_client_of_the_proxys_own_unix_socket(proxied: Proxied) -> None:
    paths = bytes(108) + b"/run/web.sock".ljust(108, b"\0")
    with proxied.connect() as client:
        assert ends(client, block(1, 0x31, paths)) == (None, ("/run/web.sock", None))
    with proxied.connect() as client:
        assert ends(client, block(1, 0x31, bytes(216))) == (None, proxied.address)


def test_a_driver_that_stops_takes_what_a_header_brings(proxied: Proxied) -> None:
    with proxied.connect() as client:
        client.send(LINE)
        until_taken(proxied, len(LINE))
        proxied.driving.do(proxied.driving.driver.stop_listening)
        proxied.driving.do(lambda: proxied.driving.driver.drain(5))
        answer = client.exchange(request("/"))
        assert ends_of(answer.body) == NAMED
        assert answer.closes


def test_what_the_question_raises_ends_this_connection_alone(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[bool] = []

    def trusted(host: str | None) -> bool:
        answers.append(True)
        if len(answers) == 1:
            raise LookupError("nobody knows")
        return True

    proxied = begin(trusted=trusted)
    with suppress(ConnectionResetError), proxied.connect() as client:
        client.send(request("/"))
        assert nothing_but_the_end(client)
    assert until(lambda: "nobody knows" in caplog.text)
    with proxied.connect() as client:
        assert ends(client, LINE) == NAMED
