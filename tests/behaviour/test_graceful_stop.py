"""The graceful stop: nothing that was accepted is lost, nothing lasts for ever."""

import signal
import socket

import pytest

from kit import Client, Serve, request, script
from kit.answer import BrokenAnswer
from kit.load import Load
from kit.script import answers, body
from kit.script import start as begin
from kit.waiting import PATIENCE, Stopwatch
from kit.websocket import handshake

STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", STOPS)
def test_idle_server_stops_with_status_0(start: Serve, number: signal.Signals) -> None:
    server = start()
    watch = Stopwatch()
    server.signal(number)
    assert server.wait() == 0
    assert watch.charged() < 3


def test_request_in_flight_is_answered_with_connection_close(start: Serve) -> None:
    server = start()
    run = script(server, ("body",), *answers(200, b"in time"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 1", "Expect: 100-continue", method="POST"))
        assert client.answer().status == 100
        server.signal(signal.SIGTERM)
        server.refuses_connections()
        answer = client.exchange(b"x")
        assert answer.body == b"in time"
        assert answer.closes
        assert client.closed()
    assert server.wait() == 0


def test_stream_in_flight_comes_to_its_end(start: Serve) -> None:
    server = start()
    run = script(server, begin(), body(b"a", True), ("body",), body(b"b"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 1", method="POST"))
        assert client.receive_once().endswith(b"1\r\na\r\n")
        server.signal(signal.SIGTERM)
        server.refuses_connections()
        client.send(b"x")
        assert client.rest() == b"1\r\nb\r\n0\r\n\r\n"
    assert server.wait() == 0


def test_idle_connection_may_bring_one_more_request(start: Serve) -> None:
    server = start()
    with server.connect() as client, server.connect() as fresh:
        assert not client.exchange(request("/")).closes
        server.signal(signal.SIGTERM)
        server.refuses_connections()
        for each in (client, fresh):
            answer = each.exchange(request("/"))
            assert answer.body == b"ok"
            assert answer.closes
            assert each.closed()
    assert server.wait() == 0


def test_idle_connection_is_closed_after_the_grace(start: Serve) -> None:
    server = start()
    with server.connect() as client:
        client.exchange(request("/"))
        server.signal(signal.SIGTERM)
        assert client.closed()
    assert server.wait() == 0


@pytest.mark.plain
def test_a_request_after_the_grace_is_the_clients_loss(start: Serve) -> None:
    """And before it the server's: that loads tell the two from each other (Client.ask) is tried here."""
    late, killed = start(), start()
    with late.connect() as client:
        assert client.ask(request("/")) is not None
        late.signal(signal.SIGTERM)
        assert client.readable(PATIENCE)  # the end
        assert client.ask(request("/")) is None
    assert late.wait() == 0
    with killed.connect() as client:
        assert client.ask(request("/")) is not None
        killed.signal(signal.SIGKILL)
        assert client.readable(PATIENCE)
        with pytest.raises(BrokenAnswer):
            client.ask(request("/"))
    assert killed.wait() == -signal.SIGKILL


def test_pipelined_requests_are_all_answered(start: Serve) -> None:
    """What had been received when the stop came was accepted."""
    server = start()
    run = script(server, ("block", 0.3), *answers())
    with server.connect() as client:
        client.send(run.request() + request("/") * 3)
        server.signal(signal.SIGTERM)
        assert [client.answer().body for _ in range(4)] == [b"ok"] * 4
        assert client.gone()
    assert server.wait() == 0


def test_connections_that_wait_in_the_backlog_are_served(start: Serve) -> None:
    """The worker is busy, twenty clients connect and send, then comes SIGTERM: all twenty are answered."""
    server = start()
    run = script(server, ("say", "blocks"), ("block", 0.5), *answers())
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("blocks")
        waiting = [server.connect().send(request("/")) for _ in range(20)]
        try:
            server.signal(signal.SIGTERM)
            for each in waiting:
                assert each.answer().body == b"ok"
        finally:
            for each in waiting:
                each.close()
        assert client.answer().body == b"ok"
    assert server.wait() == 0


def test_streams_are_told_then_cancelled(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=1)
    run = script(server, ("body",), ("hold", "request"))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("request waits")
        watch = Stopwatch()
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("request was told http.disconnect")
        server.stderr.wait_for("request was cancelled")
        assert watch.elapsed() > 0.9
        assert watch.charged() < 4
        answer = client.answer()
        assert (answer.status, answer.get(b"retry-after"), answer.get(b"connection")) == (503, b"1", b"close")
        assert client.gone()
    assert server.wait() == 0
    server.stderr.wait(lambda text: run.key in text)
    assert f"/run/{run.key}" in server.stdout.text
    assert " 503 " in server.stdout.text
    assert " 500 " not in server.stdout.text


def test_a_request_that_gives_up_when_it_is_told_is_503(start: Serve) -> None:
    """It returns without an answer, which at any other time is 500 and a fault of the application."""
    server = start(timeout_graceful_shutdown=2)
    run = script(server, ("body",), ("say", "request waits"), ("receive",))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("request waits")
        server.signal(signal.SIGTERM)
        assert client.answer().status == 503
    assert server.wait() == 0
    assert "ERROR" not in server.stderr.text


def test_a_request_that_raises_when_it_is_told_is_500(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=2)
    run = script(server, ("body",), ("say", "request waits"), ("receive",), ("raise", "a fault of its own"))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("request waits")
        server.signal(signal.SIGTERM)
        assert client.answer().status == 500
    assert server.wait() == 0
    server.expect_traceback("a fault of its own")


@pytest.mark.plain
def test_a_websocket_that_is_not_accepted_is_503(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=0.5)
    run = script(server, ("receive",), ("hold", "handshake"))
    with server.connect() as client:
        client.send(handshake(run.target))
        server.stderr.wait_for("handshake waits")
        server.signal(signal.SIGTERM)
        assert client.answer().status == 503
    assert server.wait() == 0


def test_told_stream_that_ends_by_itself_is_not_cancelled(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=2)
    run = script(server, begin(), body(b"event", True), ("body",), ("receive",), body(b"bye"))
    with server.connect() as client:
        client.send(run.request())
        assert client.receive_once().endswith(b"event\r\n")
        server.signal(signal.SIGTERM)
        assert client.rest() == b"3\r\nbye\r\n0\r\n\r\n"
    assert server.wait() == 0
    assert "cancelled" not in server.stderr.text


def test_second_sigint_forces(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=60)
    run = script(server, ("hold", "request"))
    with server.connect() as client:
        client.send(run.request("Content-Length: 1", method="POST"))
        server.stderr.wait_for("request waits")
        server.signal(signal.SIGINT)
        server.refuses_connections()
        assert server.process.poll() is None
        watch = Stopwatch()
        server.signal(signal.SIGINT)
        server.wait()
        assert watch.charged() < 5
        assert client.gone()


def test_signal_before_the_start_is_complete(start: Serve) -> None:
    server = start("spans:slow", listens=False)
    server.stderr.wait_for("application: starting")
    server.signal(signal.SIGTERM)
    server.wait()
    assert "Traceback" not in server.stderr.text


@pytest.mark.plain
@pytest.mark.parametrize("connections", [1, 16])
def test_sigterm_under_load_loses_nothing(start: Serve, connections: int) -> None:
    server = start()
    load = Load(server.address, connections)
    load.start()
    load.wait_for_answers(500)
    server.signal(signal.SIGTERM)
    tally = load.join()
    assert not tally.lost
    assert tally.said_close == connections - tally.late
    assert server.wait() == 0


@pytest.mark.plain
def test_sigterm_under_load_of_suspending_requests_loses_nothing(start: Serve) -> None:
    server = start()
    run = script(server, ("body",), ("pause", 0.01), begin(), ("pieces", 10, 5000))
    load = Load(server.address, 16, run.request(method="POST", body=bytes(10_000)))
    load.start()
    load.wait_for_answers(200)
    server.signal(signal.SIGTERM)
    tally = load.join()
    assert not tally.lost
    assert tally.said_close == 16 - tally.late
    assert server.wait() == 0


def test_unix_socket_is_removed(start: Serve, tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "s"
    server = start(uds=str(path))
    with server.connect() as client:
        client.exchange(request("/"))
    assert path.exists()
    server.stop()
    assert not path.exists()


def test_inherited_descriptor_is_served(start: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = start(fd=listener.fileno(), descriptors=(listener.fileno(),))
        with Client(listener.getsockname()) as client:
            assert client.exchange(request("/")).body == b"ok"
        server.stop()
