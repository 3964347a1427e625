"""Backpressure both ways: what one side does not take, the other does not produce (row H9, H13)."""

import pytest

from kit import Server, request, script
from kit.script import answers, start
from kit.waiting import until

MEBIBYTE = 1 << 20
KERNEL = 16 * MEBIBYTE
"""More than the socket buffers of both ends can hold together."""


def stands_still(run: script) -> int:
    """Waits until the application hangs in `send` while other requests are served; the bytes sent by then."""
    assert until(lambda: run.progress()[1])
    last = run.progress()
    same = 0
    while same < 30:
        now = run.progress()
        same = same + 1 if now == last else 0
        last = now
    return last[0]


@pytest.mark.alone
@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
def test_endless_stream_to_a_client_that_does_not_read(server: Server, size: int) -> None:
    """`send` waits, others are served, and memory does not grow; then the client reads and it goes on."""
    for _ in range(3):
        with server.connect(receive_buffer=4096) as client:
            warm_up = script(server, start(), ("endless", size))
            client.send(warm_up.request())
            stands_still(warm_up)
        warm_up.journal()
    before = server.resident()
    run = script(server, start(), ("endless", size))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        sent = stands_still(run)
        assert sent < KERNEL
        assert server.resident() - before < MEBIBYTE + size
        got = 0
        while got < sent + 2 * MEBIBYTE:
            got += len(client.socket.recv(65536))
        assert run.progress()[0] > sent
    run.journal()


@pytest.mark.alone
def test_many_stalled_readers(server: Server) -> None:
    """Bounded for each one: the queue holds the high-water mark and one piece."""
    runs = [script(server, start(), ("endless", 16384)) for _ in range(20)]
    before = server.resident()
    clients = [server.connect(receive_buffer=4096) for _ in runs]
    try:
        for client, run in zip(clients, runs, strict=True):
            client.send(run.request())
        for run in runs:
            assert stands_still(run) < KERNEL
        assert server.resident() - before < 20 * MEBIBYTE // 4
        assert server.get("/") == b"ok"
    finally:
        for client in clients:
            client.close()
    for run in runs:
        run.journal()


@pytest.mark.alone
def test_upload_to_an_application_that_does_not_receive(server: Server) -> None:
    """H9: the client's send blocks, the server's memory does not grow."""
    run = script(server, ("wait", "go"), ("body",), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 100000000", method="POST"))
        server.get("/")
        before = server.resident()
        sent = client.send_until_blocked(bytes(65536), 100_000_000)
        assert sent < KERNEL
        assert server.resident() - before < MEBIBYTE
        run.open("go")
        left = 100_000_000 - sent
        while left:
            piece = min(left, MEBIBYTE)
            client.send(bytes(piece))
            left -= piece
        assert client.answer().body == b"ok"
    assert run.journal()[0] == ("body", 100_000_000, "http.request")


@pytest.mark.alone
def test_chunked_upload_to_an_application_that_does_not_receive(server: Server) -> None:
    run = script(server, ("wait", "go"), ("body",), *answers())
    with server.connect() as client:
        client.send(run.request("Transfer-Encoding: chunked", method="POST"))
        server.get("/")
        before = server.resident()
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        sent = client.send_until_blocked(chunk, 100_000_000)
        assert sent < KERNEL
        assert server.resident() - before < MEBIBYTE
        run.open("go")
        missing = -sent % len(chunk)
        client.send(chunk[len(chunk) - missing :] if missing else b"")
        client.send(b"0\r\n\r\n")
        assert client.answer().body == b"ok"
    assert run.journal()[0][2] == "http.request"


@pytest.mark.alone
def test_pipelining_client_that_does_not_read(server: Server) -> None:
    """Requests are not read on while their answers pile up."""
    run = script(server, start(), ("pieces", 1, 100_000))
    before = server.resident()
    with server.connect(receive_buffer=4096) as client:
        data = run.request() * 50
        sent = client.send_until_blocked(data, 200 * MEBIBYTE)
        assert sent < KERNEL
        assert server.resident() - before < 4 * MEBIBYTE
        assert server.get("/") == b"ok"


def test_disconnect_is_seen_behind_an_unread_body(server: Server) -> None:
    """Reading has stopped, and still a reset is seen."""
    run = script(server, start(), ("until_refused", 1000))
    client = server.connect()
    client.send(run.request("Content-Length: 10000000", method="POST"))
    client.send_until_blocked(bytes(65536), 5_000_000, quiet=0.2)
    client.reset()
    assert "OSError" in run.journal()[-2][1]


def test_waiting_send_is_ended_by_a_reset(server: Server) -> None:
    """H17."""
    run = script(server, start(), ("until_refused", 65536))
    client = server.connect(receive_buffer=4096)
    client.send(run.request())
    stands_still(run)
    client.reset()
    assert "OSError" in run.journal()[-2][1]


def test_fast_client_is_served_beside_a_stalled_one(server: Server) -> None:
    run = script(server, start(), ("endless", 65536))
    with server.connect(receive_buffer=4096) as stalled, server.connect() as client:
        stalled.send(run.request())
        stands_still(run)
        for _ in range(300):
            assert client.exchange(request("/")).body == b"ok"
    run.journal()
