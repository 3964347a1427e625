"""What is bounded: queues both ways, silent clients, compressed messages, and the stop of the server."""

import signal
import threading
import zlib
from contextlib import ExitStack

import pytest

from kit import Serve, Server, request, script
from kit.descriptors import affordable
from kit.script import websocket
from kit.waiting import PATIENCE, Stopwatch, until
from kit.websocket import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, WebSocket, frame

ACCEPTED = ("accepted",)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


# ---- the application does not read, or the client does not


def test_reading_pauses_when_the_queue_is_full(serve: Serve) -> None:
    server = serve(ws_max_queue=4)
    run = script(server, ACCEPTED, ("wait", "go"), ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        piece = frame(FIN | BINARY, b"x" * 20_000)
        before = server.resident()
        taken = client.send_until_blocked(piece, 64 << 20)
        assert taken < 64 << 20
        assert server.resident() - before < 4 << 20
        run.open("go")
        whole = taken // len(piece)
        for _ in range(whole):
            assert socket.message() == b"x" * 20_000


def test_small_messages_that_wait_are_bounded_too(serve: Serve) -> None:
    server = serve(ws_max_queue=4)
    run = script(server, ACCEPTED, ("wait", "go"), ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        client.send(frame(FIN | TEXT, b"a") * 50_000)
        run.open("go")
        for _ in range(50_000):
            assert socket.message() == "a"


@pytest.mark.plain  # it sends and receives in two threads, which must not share one of OpenSSL's connections
def test_a_flood_of_small_messages_leaves_the_others_their_turn(server: Server) -> None:
    """The messages of one segment are more than a turn takes; whoever asks meanwhile does not wait for all of them."""
    count = 100_000
    flood = frame(FIN | BINARY, b"x") * count
    with server.connect() as client, server.connect() as other:
        socket = WebSocket(client)
        sender = threading.Thread(target=client.send, args=(flood,))
        sender.start()
        echoed, asked = 0, 0
        while echoed < count:
            assert socket.message() == b"x"
            echoed += 1
            if echoed % 10_000 == 1:
                watch = Stopwatch()
                assert other.exchange(request("/")).body == b"ok"
                assert watch.charged() < 0.5
                asked += 1
        sender.join(PATIENCE)
        assert asked == 10


def test_send_waits_for_a_client_that_does_not_read(server: Server) -> None:
    run = script(server, ACCEPTED, ("flood", 16_384))
    with server.connect(receive_buffer=4096) as client:
        WebSocket(client, run.target)
        assert until(lambda: run.progress()[1])
        sent, _ = run.progress()
        before = server.resident()
        with server.connect() as other:
            socket = WebSocket(other)
            for number in range(200):
                assert socket.text(str(number)).message() == str(number)
        assert run.progress()[0] == sent
        assert server.resident() - before < 1 << 20
        client.reset()
    assert "OSError" in run.journal()[0][1]


@pytest.mark.alone(waits=True)
def test_a_client_that_stops_reading_for_good_is_disconnected(serve: Serve) -> None:
    server = serve(timeout_write=0.8)
    run = script(server, ACCEPTED, ("flood", 16_384))
    with server.connect(receive_buffer=4096) as client:
        WebSocket(client, run.target)
        assert "OSError" in run.journal()[0][1]


# ---- pings


@pytest.mark.alone(waits=True)
def test_a_client_that_does_not_answer_pings_is_closed_in_time(serve: Serve) -> None:
    server = serve(ws_ping_interval=0.3, ws_ping_timeout=0.4)
    run = script(server, ACCEPTED, ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        assert socket.frame().first == FIN | PING
        assert socket.text("alive, but silent").message() == "alive, but silent"
        received = socket.frame()
        while received.first == FIN | PING:
            received = socket.frame()
        assert (received.code, received.reason) == (1011, "keepalive ping timeout")
        assert client.closed()
    assert run.journal()[0][1]["code"] == 1011


@pytest.mark.alone(waits=True)
def test_a_client_that_answers_pings_stays(serve: Serve) -> None:
    server = serve(ws_ping_interval=0.2, ws_ping_timeout=0.3)
    with server.connect() as client:
        socket = WebSocket(client)
        payloads = set()
        for _ in range(5):
            ping = socket.frame()
            assert ping.first == FIN | PING
            payloads.add(ping.payload)
            socket.send(FIN | PONG, ping.payload)
        assert len(payloads) == 5
        assert socket.close(1000).ended(1000)


# ---- permessage-deflate (RFC 7692)


class Deflate:
    """The client's half, with context takeover both ways."""

    def __init__(self) -> None:
        self.out = zlib.compressobj(6, zlib.DEFLATED, -12)
        self.into = zlib.decompressobj(-15)

    def compress(self, data: bytes) -> bytes:
        return (self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def message(self, socket: WebSocket) -> bytes:
        """One message of the server's, of one frame or several."""
        received = socket.frame()
        assert received.first & RSV1
        data = received.payload
        while not received.first & FIN:
            received = socket.frame()
            assert not received.first & RSV1
            data += received.payload
        return self.into.decompress(data + b"\0\0\xff\xff")


def test_compressed_both_ways(serve: Serve) -> None:
    server = serve(ws_deflate_min_size=64)
    deflate = Deflate()
    with server.connect() as client:
        socket = WebSocket(client, "/echo", OFFER)
        answer = socket.answer.get(b"sec-websocket-extensions")
        assert answer == b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
        for data in (b"hello " * 30, b"hello " * 30, bytes(range(256)) * 900, b"x" * 64):
            socket.send(FIN | RSV1 | BINARY, deflate.compress(data))
            assert deflate.message(socket) == data
        assert socket.send(FIN | RSV1 | TEXT, deflate.compress("kürzer".encode())).message() == "kürzer"


def test_no_compression_where_it_is_switched_off(serve: Serve) -> None:
    server = serve(ws_per_message_deflate=False)
    with server.connect() as client:
        socket = WebSocket(client, "/echo", OFFER)
        assert socket.answer.get(b"sec-websocket-extensions") is None
        assert socket.send(FIN | RSV1 | TEXT, b"a").ended(1002)


def test_a_decompression_bomb_is_stopped_at_the_limit(serve: Serve) -> None:
    server = serve(ws_max_size=100_000)
    bomb = Deflate().compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    with server.connect() as client:
        before = server.resident()
        socket = WebSocket(client, "/echo", OFFER).send(FIN | RSV1 | BINARY, bomb)
        assert socket.ended(1009)
        assert server.resident() - before < 2 << 20


# ---- the stop


def test_a_drain_tells_the_application_and_then_the_client(start: Serve) -> None:
    server = start(ws_drain_timeout=0.5)
    told = ("say", "told")
    run = script(server, ACCEPTED, ("receive",), websocket("send", text="last words"), told, ("receive",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        server.signal(signal.SIGTERM)
        assert socket.message() == "last words"
        received = socket.frame()
        assert (received.code, received.reason) == (1012, "service restart")
        socket.close(1012)
        assert client.closed()
    assert server.wait() == 0


def test_nothing_is_received_after_the_disconnect(start: Serve) -> None:
    """What a client sends once the application is told has come too late."""
    server = start(ws_drain_timeout=2)
    run = script(server, ACCEPTED, ("say_received", "first"), ("pause", 0.3), ("say_received", "then"))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("first websocket.disconnect 1012")
        socket.text("too late")
        assert socket.frame().code == 1012
        server.stderr.wait_for("then websocket.disconnect 1012")
        socket.close(1012)
        assert client.closed()
    assert server.wait() == 0


def test_an_application_that_does_not_end_is_closed_at_the_end_of_the_time(start: Serve) -> None:
    server = start(ws_drain_timeout=0.5, timeout_graceful_shutdown=1)
    run = script(server, ACCEPTED, ("receive",), ("wait", "never"))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        server.signal(signal.SIGTERM)
        assert socket.frame().code == 1012
        socket.close(1012)
        assert client.closed()
    server.wait()


@pytest.mark.alone
def test_a_thousand_clients_are_closed_over_the_time(start: Serve) -> None:
    count, spread = affordable(1000), 2.0
    server = start("told:app", ws_drain_timeout=spread)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(count)]
        sockets = [WebSocket(client) for client in clients]
        server.signal(signal.SIGTERM)
        codes = []
        for socket in sockets:
            codes.append(socket.frame().code)
            socket.send(FIN | CLOSE, b"\x03\xf4")
        assert codes == [1012] * count
        assert all(client.closed() for client in clients)
    assert server.wait() == 0
    assert f"application: {count} were told 1012" in server.stderr.wait_for("were told")


def test_http_goes_on_beside_a_websocket(server: Server) -> None:
    with server.connect() as one, server.connect() as other:
        socket = WebSocket(one)
        assert other.exchange(request("/")).body == b"ok"
        assert socket.text("a").message() == "a"
