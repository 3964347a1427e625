"""Bodies in the smallest pieces take the memory that their limits say, and 64 KiB for each connection."""

import pytest

from fastserve import _core
from serving import Serve, Server, request, script
from serving.http2 import DATA, HTTP2, frame, get
from serving.script import answers
from serving.waiting import until

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
    """27 MB on the wire: twenty windows full of DATA frames of two bytes, which no application takes."""
    server = start(access_log=False, h2_stream_window=WINDOW)
    with HTTP2(server) as client:
        runs = [script(server, ("wait", "gate"), ("body",), *answers()) for _ in range(STREAMS)]
        streams = [client.open(get(run.target, method="POST"), end=False) for run in runs]
        client.ping()
        before = server.resident()
        frames = {stream: frame(DATA, 0, stream, PIECE) * 4096 for stream in streams}
        for number in range(WINDOW // len(PIECE) // 4096):
            for stream in streams:
                client.send(frames[stream])
            client.ping(b"%08d" % number)
        grown = growth(server, before)
        print(f"{STREAMS} streams of HTTP/2: {grown / KIB:.0f} KiB")
        assert grown < STREAMS * WINDOW + CONNECTION
        for run, stream in zip(runs, streams, strict=True):
            run.open("gate")
            client.data(stream, end=True)
            assert client.response(stream).body == b"ok"
            assert run.journal()[0] == ("body", WINDOW, "http.request")


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
    print(f"{CLIENTS} bodies for WSGI: {grown / KIB:.0f} KiB")
    assert grown < CLIENTS * (BUFFER + CONNECTION)
    for client in clients:
        with client:
            assert client.exchange(b"2\r\nab\r\n0\r\n\r\n" if chunked else PIECE).body == PIECE * (BUFFER // len(PIECE))
