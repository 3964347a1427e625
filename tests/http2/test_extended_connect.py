"""WebSocket over HTTP/2 (RFC 8441): a stream becomes a tunnel, beside others of the same connection."""

import ast
import zlib

import pytest

from http2.conftest import Dial
from kit import Serve, Server, script
from kit.http2 import CANCEL, HTTP2, PROTOCOL_ERROR, Stream
from kit.script import websocket
from kit.websocket import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, close_payload, frame

ACCEPTED = ("accepted",)


def connect(target: str = "/echo", *fields: tuple[str, str], version: str = "13") -> list[tuple[str, str]]:
    own = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", target)]
    return [*own, (":authority", "test"), ("sec-websocket-version", version), *fields]


class Tunnel:
    """A WebSocket in a stream that has been accepted."""

    def __init__(self, connection: HTTP2, target: str = "/echo", *fields: tuple[str, str]) -> None:
        self.connection = connection
        self.stream = connection.open(connect(target, *fields), end=False)
        connection.wait(lambda: bool(self.found.heads) or self.found.over)
        assert self.found.status == 200, self.found

    @property
    def found(self) -> Stream:
        return self.connection.streams[self.stream]

    def send(self, data: bytes) -> "Tunnel":
        self.connection.data(self.stream, data)
        return self

    def frame(self) -> tuple[int, bytes]:
        """The next one of the server's: opcode and flags, payload."""
        self.connection.wait(lambda: len(self.found.body) >= 2)
        body = self.found.body
        head = {126: 4, 127: 10}.get(body[1], 2)
        self.connection.wait(lambda: len(self.found.body) >= head)
        size = int.from_bytes(self.found.body[2:head], "big") if head > 2 else body[1]
        self.connection.wait(lambda: len(self.found.body) >= head + size)
        body = self.found.body
        self.found.body = body[head + size :]
        return body[0], body[head : head + size]


def test_messages_both_ways(dial: Dial) -> None:
    tunnel = Tunnel(dial())
    for size in (0, 125, 126, 65535, 65536, 300_000):
        data = bytes(number * 7 % 251 for number in range(size))
        whole = frame(FIN | BINARY, data)
        for at in range(0, len(whole), 16384):
            tunnel.send(whole[at : at + 16384])
        assert tunnel.frame() == (FIN | BINARY, data)
    tunnel.send(frame(FIN | TEXT, "grüß".encode()))
    assert tunnel.frame() == (FIN | TEXT, "grüß".encode())


def test_the_answer_has_no_key_and_the_scope_says_2(dial: Dial, h2_server: Server) -> None:
    tunnel = Tunnel(dial(), "/scope?a=b")
    names = {name for name, _ in tunnel.found.heads[0]}
    assert "sec-websocket-accept" not in names
    assert not names & {"connection", "upgrade"}
    scope = tunnel.frame()[1].decode()
    assert "'http_version': '2'" in scope
    assert f"'scheme': '{'wss' if h2_server.secure else 'ws'}'" in scope
    assert "'method'" not in scope


def test_the_scope_says_upgrade_as_a_handshake_of_http_1_does(dial: Dial) -> None:
    """Applications that ask for the field need not know of RFC 8441."""
    scope = ast.literal_eval(Tunnel(dial(), "/scope", ("x_user", "root"), ("x-user", "me")).frame()[1].decode())
    assert scope["headers"] == [
        (b"host", b"test"),
        (b"sec-websocket-version", b"13"),
        (b"x-user", b"me"),
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
    ]


def test_compression_and_subprotocol(dial: Dial, h2_server: Server) -> None:
    steps = (("receive",), websocket("accept", subprotocol="chat"), ("echoes",))
    fields = (("sec-websocket-extensions", "permessage-deflate"), ("sec-websocket-protocol", "chat, other"))
    tunnel = Tunnel(dial(), script(h2_server, *steps).target, *fields)
    assert tunnel.found.value("sec-websocket-protocol") == "chat"
    assert str(tunnel.found.value("sec-websocket-extensions")).startswith("permessage-deflate")
    packer = zlib.compressobj(wbits=-15)
    packed = (packer.compress(b"again " * 100) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    tunnel.send(frame(FIN | RSV1 | TEXT, packed))
    first, payload = tunnel.frame()
    assert first == FIN | RSV1 | TEXT
    assert zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff") == b"again " * 100


def test_byte_by_byte(dial: Dial) -> None:
    tunnel = Tunnel(dial())
    for byte in frame(FIN | TEXT, b"slowly"):
        tunnel.send(bytes([byte]))
    assert tunnel.frame() == (FIN | TEXT, b"slowly")


def test_pings_and_the_close(dial: Dial, h2_server: Server) -> None:
    connection, run = dial(), script(h2_server, ACCEPTED, ("echoes",))
    tunnel = Tunnel(connection, run.target)
    tunnel.send(frame(FIN | PING, b"there?"))
    assert tunnel.frame() == (FIN | PONG, b"there?")
    tunnel.send(frame(FIN | CLOSE, close_payload(1001, "away")))
    assert tunnel.frame() == (FIN | CLOSE, close_payload(1001))
    assert connection.response(tunnel.stream).ended
    assert run.journal()[0] == ("event", {"type": "websocket.disconnect", "code": 1001, "reason": "away"})
    assert connection.alive()


def test_the_application_closes(dial: Dial, h2_server: Server) -> None:
    run = script(h2_server, ACCEPTED, websocket("close", code=4000, reason="enough"))
    tunnel = Tunnel(dial(), run.target)
    assert tunnel.frame() == (FIN | CLOSE, close_payload(4000, "enough"))
    tunnel.send(frame(FIN | CLOSE, close_payload(4000)))
    assert tunnel.connection.response(tunnel.stream).ended


@pytest.mark.parametrize("way", ["reset", "end"])
def test_the_client_leaves(dial: Dial, h2_server: Server, way: str) -> None:
    connection, run = dial(), script(h2_server, ACCEPTED, ("echoes",))
    tunnel = Tunnel(connection, run.target)
    if way == "reset":
        connection.reset(tunnel.stream, CANCEL)
    else:
        connection.data(tunnel.stream, end=True)
    assert run.journal()[0] == ("event", {"type": "websocket.disconnect", "code": 1006, "reason": ""})
    assert connection.alive()


def test_the_application_refuses(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    refused = script(h2_server, ("receive",), websocket("close"))
    assert connection.response(connection.open(connect(refused.target), end=False)).status == 403
    denied = script(
        h2_server,
        ("receive",),
        websocket("http.response.start", status=401, headers=[(b"x-one", b"1")]),
        websocket("http.response.body", body=b"who?"),
    )
    found = connection.response(connection.open(connect(denied.target), end=False))
    assert (found.status, found.body, found.value("x-one")) == (401, b"who?", "1")
    assert connection.alive()


def test_a_wrong_version(dial: Dial) -> None:
    connection = dial()
    found = connection.response(connection.open(connect(version="8"), end=False))
    assert (found.status, found.value("sec-websocket-version")) == (426, "13")


def test_bytes_before_the_acceptance(dial: Dial, h2_server: Server) -> None:
    """RFC 6455 section 4.1: the client waits for the answer."""
    connection, run = dial(), script(h2_server, ("receive",), ("wait", "go"), ("try", websocket("accept")[1]))
    stream = connection.open(connect(run.target), end=False)
    run.journal(1)
    connection.data(stream, frame(FIN | TEXT, b"early"))
    connection.expect_stream_error(stream, PROTOCOL_ERROR)
    run.open("go")
    assert run.journal()[1][0] == "refused"


def test_a_queue_that_is_full_closes_only_its_own_window(dial: Dial, h2_server: Server) -> None:
    connection = dial()
    run = script(h2_server, ACCEPTED, ("wait", "go"), ("echoes",))
    tunnel = Tunnel(connection, run.target)
    message = frame(FIN | BINARY, bytes(16000))
    for _ in range(16):
        tunnel.send(message)
    for _ in range(20):
        assert connection.alive()
    run.open("go")
    for _ in range(16):
        assert tunnel.frame() == (FIN | BINARY, bytes(16000))
    for _ in range(16):
        tunnel.send(message)
        assert tunnel.frame() == (FIN | BINARY, bytes(16000))


def test_many_at_once(dial: Dial) -> None:
    connection = dial()
    tunnels = [Tunnel(connection) for _ in range(50)]
    for number, tunnel in enumerate(tunnels):
        tunnel.send(frame(FIN | TEXT, b"%d" % number))
    assert connection.alive()
    assert [tunnel.frame()[1] for tunnel in tunnels] == [b"%d" % number for number in range(50)]


def test_it_is_not_offered_without_websocket(serve: Serve, dial: Dial) -> None:
    connection = dial(to=serve(ws="none"))
    assert 8 not in connection.settings
    stream = connection.open(connect(), end=False)
    connection.expect_stream_error(stream, PROTOCOL_ERROR)
    assert dial(to=serve(ws="none")).alive()
