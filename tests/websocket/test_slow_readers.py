"""--timeout-write: a client that acknowledges nothing within it is gone, one that reads slowly stays."""

import pytest

from kit import Serve, script
from kit.deadlines import takes
from kit.waiting import Stopwatch, until
from kit.websocket import WebSocket

pytestmark = pytest.mark.alone(waits=True)

TIMEOUT = 1.5
PIECE = 16_384
ACCEPTED = ("accepted",)


@pytest.mark.parametrize("pings", [0.3, 0], ids=["pings", "no pings"])
def test_a_client_that_never_reads_is_gone(serve: Serve, pings: float) -> None:
    """Also when a ping waits behind the data, and though the kernel took some of it at first."""
    server = serve(timeout_write=TIMEOUT, ws_ping_interval=pings)
    run = script(server, ACCEPTED, ("flood", PIECE))
    with server.connect(receive_buffer=4096) as client:
        WebSocket(client, run.target)
        assert until(lambda: run.progress()[1] or run.progress()[0] > 0)
        with takes(TIMEOUT * 0.6):
            assert "OSError" in run.journal()[0][1]


def test_a_slow_reader_stays(serve: Serve) -> None:
    """It takes less in the time than the kernel's buffer has to lose before send() takes anything."""
    server = serve(timeout_write=TIMEOUT)
    run = script(server, ACCEPTED, ("flood", PIECE))
    with server.connect(receive_buffer=4096) as client:
        WebSocket(client, run.target)
        watch = Stopwatch()
        while watch.elapsed() < 4 * TIMEOUT:
            assert client.socket.recv(3000)
            client.reader.buffer = b""
            assert not until(lambda: bool(run.noted()), 0.15)
    run.journal()
