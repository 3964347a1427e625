"""Bodies in the smallest pieces take the memory that their limits say, and 64 KiB for each connection."""

from collections.abc import Iterable

import pytest

from fastserve import _core
from kit import Serve, Server, request, script
from kit.http2 import DATA, HTTP2, frame, get
from kit.script import answers
from kit.waiting import until

pytestmark = pytest.mark.alone

KIB = 1 << 10
CONNECTION = 64 * KIB
WINDOW = 256 * KIB
STREAMS = 20
BUFFER = 512 * KIB
CLIENTS = 8
PIECE = b"ab"


def growth(server: Server, before: int) -> int:
    """By how much the server has grown, once it stands still."""
    seen = [server.resident()]

    def still() -> bool:
        seen.append(server.resident())
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    assert until(still)
    return seen[-1] - before


@pytest.mark.skipif(not _core.HAVE_NGHTTP2, reason="a build without nghttp2")
def test_streams_of_http2(start: Serve) -> None:
    """27 MB on the wire: twenty windows full of DATA frames of two bytes, which no application takes.

    Of two such connections the second is looked at: the first brings what a worker needs once, as its receive buffer.
    """
    server = start(access_log=False, h2_stream_window=WINDOW)
    with HTTP2(server) as first, HTTP2(server) as second:
        opened = [(client, open_streams(server, client)) for client in (first, second)]
        fill_windows(*opened[0])
        before = server.resident()
        fill_windows(*opened[1])
        grown = growth(server, before)
        for client, streams in opened:
            for stream, run in streams.items():
                run.open("gate")
                client.data(stream, end=True)
                assert client.response(stream).body == b"ok"
                assert run.journal()[0] == ("body", WINDOW, "http.request")
    assert grown < STREAMS * WINDOW + CONNECTION, f"{grown / KIB:.0f} KiB"


def open_streams(server: Server, client: HTTP2) -> dict[int, script]:
    """Each with an application that waits before it takes its body."""
    runs = [script(server, ("wait", "gate"), ("body",), *answers()) for _ in range(STREAMS)]
    streams = {client.open(get(run.target, method="POST"), end=False): run for run in runs}
    client.ping()
    return streams


def fill_windows(client: HTTP2, streams: Iterable[int]) -> None:
    frames = [frame(DATA, 0, stream, PIECE) * 4096 for stream in streams]
    for number in range(WINDOW // len(PIECE) // 4096):
        for each in frames:
            client.send(each)
        client.ping(b"%08d" % number)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_bodies_for_wsgi(start: Serve, chunked: bool) -> None:
    """Chunks of two bytes, of which each body has as many as may be held in memory."""
    server = start("wsgi_scripted:app", access_log=False, body_buffer_size=BUFFER)
    head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BUFFER}"
    server.get("/")
    before = server.resident()
    data = (b"2\r\nab\r\n" if chunked else PIECE) * (BUFFER // len(PIECE) - 1)
    clients = [server.connect().send(request("/echo", head, method="POST") + data) for _ in range(CLIENTS)]
    grown = growth(server, before)
    assert grown < CLIENTS * (BUFFER + CONNECTION), f"{grown / KIB:.0f} KiB"
    for client in clients:
        with client:
            assert client.exchange(b"2\r\nab\r\n0\r\n\r\n" if chunked else PIECE).body == PIECE * (BUFFER // len(PIECE))
