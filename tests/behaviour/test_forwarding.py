"""Forwarding fields: who is believed, what is taken from whom, and that nobody gets what another request said."""

import ast
import ipaddress
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from fastserve import _core
from kit import Client, Server, request
from kit.certificates import shared
from kit.driving import KINDS, Driving, listener
from kit.http2 import HTTP2, get
from kit.memory_tls import opened
from kit.websocket import WebSocket

PROXIES = ("127.0.0.1", "10.0.0.0/8")


class Seen(NamedTuple):
    """What an application sees of a request."""

    client: tuple[str, int] | None
    scheme: str
    hosts: list[str]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    assert not hosts or scope["headers"][0][0] == b"host"
    said = repr((scope["client"], scope["scheme"], hosts))
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": said})
        return
    # What an application does with its own is nobody else's.
    scope["headers"].clear()
    scope.update(client=("192.0.2.66", 66), scheme="gopher")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    client = (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])) if "REMOTE_PORT" in environ else None
    scheme = environ["wsgi.url_scheme"]
    assert environ.get("HTTPS") == ("on" if scheme == "https" else None)
    said = repr((client, scheme, [environ["HTTP_HOST"]] if "HTTP_HOST" in environ else []))
    environ.update(REMOTE_ADDR="192.0.2.66", REMOTE_PORT="66", HTTP_HOST="gopher", HTTPS="gopher")
    environ["wsgi.url_scheme"] = "gopher"
    start_response("200 OK", [])
    return [said.encode()]


def seen(body: bytes | str) -> Seen:
    return Seen(*ast.literal_eval(body if isinstance(body, str) else body.decode()))


def ask(client: Client, *lines: str) -> Seen:
    """What is seen of one more request of this connection."""
    return seen(client.exchange(request("/", *lines)).body)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@dataclass
class Behind:
    """A driver behind proxies."""

    driving: Driving
    address: Any

    def connect(self, context: ssl.SSLContext | None = None) -> Client:
        return Client(self.address, context=context)

    def http2(self) -> HTTP2:
        return HTTP2(cast("Server", SimpleNamespace(address=self.address, secure=False)))


Begin = Callable[..., Behind]


@pytest.fixture
def begin(kind: str) -> Iterator[Begin]:
    """begin(*peers, path=..., tls=..., option=value, ...): a driver that believes these peers."""
    running: list[tuple[Driving, socket.socket]] = []

    def new(*peers: str, path: Path | None = None, tls: Any = None, **options: Any) -> Behind:
        if path is None:
            listening = listener()
        else:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            listening.listen()
        options = {"forwarding": _core.TrustedProxies(peers or PROXIES), **options}
        driving = Driving(kind, asgi=asgi, wsgi=wsgi, **options)
        driving.driver.add_listener(listening.fileno(), **({} if tls is None else {"tls": tls}))
        running.append((driving.__enter__(), listening))
        return Behind(driving, listening.getsockname())

    yield new
    for driving, listening in running:
        listening.close()
        driving.__exit__(None, None, None)


# ---- who is believed


@pytest.mark.parametrize(
    ("peers", "host", "trusted"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["127.0.0.1"], "::1", False),
        (["127.0.0.1"], None, False),
        (["unix"], None, True),
        (["unix"], "127.0.0.1", False),
        (["*"], None, True),
        (["*"], "203.0.113.9", True),
        (["*"], "what else", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "what else", False),
        (["2001:db8::/32"], "2001:db8:1::2", True),
        (["2001:db8::/32"], "2001:db9::2", False),
        (["127.0.0.1"], "::ffff:127.0.0.1", True),
        (["::/0"], "127.0.0.1", False),
        (["fe80::1%eth0"], "fe80::1", True),
        ([], "127.0.0.1", False),
        ([], None, False),
    ],
)
def test_trusted_peers(peers: list[str], host: str | None, trusted: bool) -> None:
    assert _core.TrustedProxies(peers).trusts(host) is trusted


@pytest.mark.parametrize("peer", ["", "localhost", "10.0.0.0/33", "10.0.0.1:80", "[::1]", "10.0.0.1/255.0.0.0", "\xe9"])
def test_what_is_no_peer_is_refused(peer: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a network, unix or"):
        _core.TrustedProxies(["127.0.0.1", peer])


SPOOFED = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: forged.example"]


@pytest.mark.parametrize("peers", [("10.0.0.1",), ("unix",), ("::1",), ("127.0.0.0/31", "127.0.0.2/31", "128.0.0.0/1")])
def test_of_nobody_else(begin: Begin, peers: tuple[str, ...]) -> None:
    trusted = "127.0.0.0/31" in peers
    with begin(*peers).connect() as client:
        for _ in range(2):
            expected = Seen(("203.0.113.9", 0), "https", ["forged.example"])
            assert ask(client, *SPOOFED) == (expected if trusted else (("127.0.0.1", client.port), "http", ["test"]))


def test_of_nobody_at_all(begin: Begin) -> None:
    with begin(forwarding=None).connect() as client:
        assert ask(client, *SPOOFED) == (("127.0.0.1", client.port), "http", ["test"])


def test_the_peer_of_a_unix_socket(begin: Begin, tmp_path: Path) -> None:
    with begin("unix", path=tmp_path / "believed").connect() as client:
        assert ask(client, *SPOOFED) == (("203.0.113.9", 0), "https", ["forged.example"])
        assert ask(client) == (None, "http", ["test"])
        assert ask(client, "X-Forwarded-For: unknown") == (None, "http", ["test"])
    with begin("127.0.0.1", path=tmp_path / "other").connect() as client:
        assert ask(client, *SPOOFED) == (None, "http", ["test"])


def test_the_peer_that_the_proxy_protocol_names(begin: Begin) -> None:
    header = b"PROXY TCP6 2001:db8::7 2001:db8::2 56324 443\r\n"
    for peers, client_seen in ((("2001:db8::/64",), ("203.0.113.9", 0)), (("127.0.0.1",), ("2001:db8::7", 56324))):
        with begin(*peers, proxy_protocol=lambda _: True).connect() as client:
            client.send(header)
            for _ in range(2):
                assert ask(client, "X-Forwarded-For: 203.0.113.9").client == client_seen


# ---- what is taken


CLIENTS = [
    (b"203.0.113.9", ("203.0.113.9", 0)),
    (b"203.0.113.9:4711", ("203.0.113.9", 4711)),
    (b"2001:db8::1", ("2001:db8::1", 0)),
    (b"[2001:db8::1]", ("2001:db8::1", 0)),
    (b"[2001:db8::1]:4711", ("2001:db8::1", 4711)),
    (b"2001:DB8:0::1", ("2001:db8::1", 0)),
    (b"::192.0.2.1", ("::c000:201", 0)),
    (b"::ffff:203.0.113.9", ("203.0.113.9", 0)),
    # the rightmost hop that is not trusted; what a client wrote itself stands left of it
    (b"1.1.1.1, 203.0.113.9", ("203.0.113.9", 0)),
    (b"1.1.1.1, 203.0.113.9, 10.0.0.7", ("203.0.113.9", 0)),
    (b"1.1.1.1,203.0.113.9:80,10.0.0.7:81,127.0.0.1", ("203.0.113.9", 80)),
    # nobody but proxies: the outermost
    (b"10.0.0.9, 10.0.0.7", ("10.0.0.9", 0)),
    # empty elements do not count
    (b" , 203.0.113.9 ,, 10.0.0.7 ,", ("203.0.113.9", 0)),
    # what cannot be read hides what stands left of it
    (b"1.1.1.1, unknown, 10.0.0.7", ("10.0.0.7", 0)),
    (b"1.1.1.1, unknown", None),
    (b"", None),
    (b"example.org", None),
    (b"_hidden", None),
    (b"203.0.113.9:", None),
    (b"203.0.113.9:65536", None),
    (b"203.0.113.9:-1", None),
    (b"203.0.113.256", None),
    (b"0203.0.113.9", None),
    (b"[203.0.113.9", None),
    (b"fe80::1%eth0", None),
    (b"203.0.113.9\xff", None),
    (b"\xb2.1.1.1", None),
]


def test_client(begin: Begin) -> None:
    """All on one connection, so that each comes after another one's."""
    with begin().connect() as client:
        for value, expected in CLIENTS * 2:
            answer = client.exchange(b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: " + value + b"\r\n\r\n")
            assert seen(answer.body) == (expected or ("127.0.0.1", client.port), "http", ["test"]), value


def test_client_over_several_lines(begin: Begin) -> None:
    lines = [f"X-Forwarded-For: {each}" for each in ("1.1.1.1", "203.0.113.9, 10.0.0.8", "10.0.0.7")]
    with begin().connect() as client:
        assert ask(client, *lines).client == ("203.0.113.9", 0)
        assert ask(client, lines[0], "X-A: b", *lines[1:], "X-Forwarded-For:").client == ("203.0.113.9", 0)
        assert ask(client, *lines, "X-Forwarded-For: garbage").client == ("127.0.0.1", client.port)


def test_star_believes_every_hop(begin: Begin) -> None:
    with begin("*").connect() as client:
        assert ask(client, "X-Forwarded-For: 1.1.1.1, 2.2.2.2").client == ("1.1.1.1", 0)


SCHEMES = [
    ("https", "https"),
    ("HTTPS", "https"),
    (" https ", "https"),
    ("http", "http"),
    ("wss", "https"),
    ("WSS", "https"),
    ("ws", "http"),
    ("ws, wss", "https"),
    ("gopher", "http"),
    ("", "http"),
    ("https;", "http"),
    ("http, https", "https"),
    ("https, gopher", "http"),
]


def test_scheme(begin: Begin) -> None:
    with begin().connect() as client:
        for value, scheme in SCHEMES * 2:
            found = ask(client, f"X-Forwarded-Proto: {value}")
            assert found == (("127.0.0.1", client.port), scheme, ["test"]), value


def test_scheme_over_tls(begin: Begin) -> None:
    """Of the last hop to the server, unless the proxy says another one of its own client's."""
    with begin(tls=opened(shared().standing())).connect(shared().context()) as client:
        for value, scheme in (("http", "http"), ("gopher", "https"), ("https", "https"), ("", "https"), ("ws", "http")):
            assert ask(client, f"X-Forwarded-Proto: {value}").scheme == scheme
            assert ask(client).scheme == "https"


def test_scheme_and_host_are_those_of_the_clients_hop(begin: Begin) -> None:
    lines = [
        "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.7",
        "X-Forwarded-Proto: gopher, https, http",
        "X-Forwarded-Host: forged.example, example.org, inner",
    ]
    with begin().connect() as client:
        for _ in range(2):
            assert ask(client, *lines) == (("203.0.113.9", 0), "https", ["example.org"])
            assert ask(client, *reversed(lines)) == (("203.0.113.9", 0), "https", ["example.org"])
            assert ask(client, lines[0], "X-Forwarded-Proto: https") == (("203.0.113.9", 0), "https", ["test"])


HOSTS = ["example.org", "example.org:8443", "192.0.2.1", "[2001:db8::1]:80", "a_b-c.d"]
NO_HOSTS = ["", "a b", "a/b", "user@a", "a:", "a:x", "a:123456", "[::1", "\xe9.org"]


def test_host(begin: Begin) -> None:
    with begin().connect() as client:
        for value in (*HOSTS, *NO_HOSTS, *HOSTS):
            data = request("/", f"X-Forwarded-Host: {value}")
            assert seen(client.exchange(data).body).hosts == [value if value in HOSTS else "test"], value


def test_a_host_longer_than_the_caches_keep(begin: Begin) -> None:
    with begin().connect() as client:
        for letter in "ab":
            assert ask(client, f"X-Forwarded-Host: {letter * 2000}").hosts == [letter * 2000]
        assert ask(client).hosts == ["test"]


def test_a_host_where_the_request_has_it_last_or_not_at_all(begin: Begin) -> None:
    said = b"X-Forwarded-Host: example.org\r\n"
    with begin().connect() as client:
        answer = client.exchange(b"GET / HTTP/1.1\r\nX-A: b\r\n" + said + b"Host: test\r\n\r\n")
        assert seen(answer.body).hosts == ["example.org"]
        answer = client.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + said + b"\r\n")
        assert seen(answer.body).hosts == ["example.org"]
        answer = client.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert seen(answer.body).hosts == []


def test_other_fields_say_nothing(begin: Begin) -> None:
    with begin().connect() as client:
        lines = ["Forwarded: for=1.1.1.1;proto=https;host=a", "X-Forwarded-Port: 81", "X_Forwarded_For: 1.1.1.1"]
        assert ask(client, *lines) == (("127.0.0.1", client.port), "http", ["test"])


def test_a_list_as_long_as_a_head_may_be(begin: Begin) -> None:
    with begin().connect() as client:
        hops = ",".join(["203.0.113.9", *(f"10.0.0.{n % 256}" for n in range(3000))])
        assert ask(client, f"X-Forwarded-For: {hops}").client == ("203.0.113.9", 0)
        assert ask(client, "X-Forwarded-For: " + "," * 30000).client == ("127.0.0.1", client.port)
        assert ask(client, *["X-Forwarded-For: 10.0.0.7,"] * 90, "X-Forwarded-Proto:" + " ,http" * 4000) == (
            ("10.0.0.7", 0),
            "http",
            ["test"],
        )


# ---- everybody gets their own


def told(seed: random.Random) -> tuple[list[str], Seen]:
    """Fields as proxies send them, of more clients than a cache has places; and what is to be seen of them."""
    lines, client, scheme, host, joined = [], None, "http", "test", True
    if seed.random() < 0.9:
        number = seed.randrange(2000)
        address = ipaddress.ip_address(number + (0xCB007100 if number % 3 else 0x20010DB8 << 96))
        port = seed.choice([0, 0, 80, 4711])
        bracketed = f"[{address}]" if address.version == 6 else str(address)
        hops = [f"198.51.100.{n}" for n in range(seed.randrange(3))]
        hops += [f"{bracketed}:{port}" if port else str(address), *("10.0.0.7" for _ in range(seed.randrange(3)))]
        joined = seed.random() < 0.8
        lines += [f"X-Forwarded-For: {', '.join(hops)}"] if joined else [f"X-Forwarded-For: {each}" for each in hops]
        client = (str(address), port)
    if seed.random() < 0.6:
        scheme = seed.choice(["http", "https"])
        lines.append(f"X-Forwarded-Proto: {scheme}")
    if seed.random() < 0.4:
        host = f"host-{seed.randrange(1500)}.example"
        lines.append(f"X-Forwarded-Host: {host}")
    if joined:  # the order of lines of one name is the list's
        seed.shuffle(lines)
    return lines, Seen(client, scheme, [host])


def own(expected: Seen, port: int) -> Seen:
    return expected if expected.client else expected._replace(client=("127.0.0.1", port))


def test_requests_of_many_clients_on_a_few_connections(begin: Begin) -> None:
    seed = random.Random(16)
    behind = begin()
    with behind.connect() as one, behind.connect() as two, behind.connect() as three:
        for _ in range(700):
            client = seed.choice([one, two, three])
            lines, expected = told(seed)
            assert ask(client, *lines) == own(expected, client.port)


def test_requests_that_are_pipelined(begin: Begin) -> None:
    seed = random.Random(17)
    behind = begin()
    with behind.connect() as one, behind.connect() as two:
        for _ in range(20):
            asked = {client: [told(seed) for _ in range(12)] for client in (one, two)}
            for client, requests in asked.items():
                client.send(b"".join(request("/", *lines) for lines, _ in requests))
            for client, requests in asked.items():
                for _, expected in requests:
                    assert seen(client.answer().body) == own(expected, client.port)


def test_streams_of_one_connection(begin: Begin) -> None:
    seed = random.Random(18)
    with begin().http2() as connection:
        for _ in range(6):
            expected, data = {}, b""
            for _ in range(60):
                lines, said = told(seed)
                fields = [tuple(line.split(": ", 1)) for line in lines]
                number, head = connection.head(get("/", *((name.lower(), value) for name, value in fields)))
                expected[number], data = own(said, connection.client.port), data + head
            connection.send(data)
            for number, said in expected.items():
                assert seen(connection.response(number).body) == said


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"], indirect=True)
def test_websockets(begin: Begin) -> None:
    seed = random.Random(19)
    behind = begin()
    for _ in range(20):
        lines, expected = told(seed)
        with behind.connect() as client:
            said = seen(WebSocket(client, "/", *lines).message())
            scheme = {"http": "ws", "https": "wss"}[expected.scheme]
            hosts = expected.hosts if expected.hosts != ["test"] else ["localhost"]
            assert said == own(expected, client.port)._replace(scheme=scheme, hosts=hosts)


def test_the_access_log(begin: Begin, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        behind = begin(access_log_fd=log.fileno())
        with behind.connect() as client:
            for host in ("203.0.113.9", "2001:db8::1", None, "203.0.113.9"):
                ask(client, *([f"X-Forwarded-For: {host}, 10.0.0.7"] if host else []))
        with behind.http2() as connection:
            connection.request(get("/", ("x-forwarded-for", "203.0.113.10")))
        behind.driving.do(behind.driving.driver.flush_access_log)
    names = [line.split(" ")[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert names == ["203.0.113.9", "2001:db8::1", "127.0.0.1", "203.0.113.9", "203.0.113.10"]
