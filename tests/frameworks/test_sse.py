"""sse-starlette finds the server behind the handler of SIGTERM, and ends its streams when a worker begins to drain."""

import signal

import pytest

from kit import Client, Serve, Server, request

pytestmark = pytest.mark.http1


def listening(server: Server) -> Client:
    """A client in the middle of a stream."""
    client = server.connect()
    client.send(request("/events"))
    received = b""
    while b"data: " not in received:
        received += client.receive_once()
    return client


def ends(client: Client) -> bool:
    """Waits for the end of the stream, which sse-starlette leaves without its last chunk: the browser comes back."""
    with client:
        return not client.rest().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("supervised", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(start: Serve, supervised: bool, number: signal.Signals) -> None:
    server = start("with_sse:app", supervised=supervised)
    client = listening(server)
    server.signal(number)
    assert ends(client)
    assert server.wait() == 0


def test_reload(start: Serve) -> None:
    server = start("with_sse:app", supervised=True)
    client = listening(server)
    server.process.send_signal(signal.SIGHUP)
    assert ends(client)
    server.stop()


def test_recycling(start: Serve) -> None:
    server = start("with_sse:app", supervised=True, max_requests=3)
    client = listening(server)
    for _ in range(3):
        server.get("/")
    assert ends(client)
    server.stop()
