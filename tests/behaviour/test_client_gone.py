"""Applications whose client has left: --timeout-client-gone, and the half of the graceful time."""

import signal
import time
from collections.abc import Callable

import pytest

from kit import Serve, Server, script
from kit.deadlines import takes
from kit.http2 import HTTP2, get
from kit.script import Step, answers, body, websocket
from kit.script import start as begins
from kit.websocket import handshake

SECONDS = 0.5
STREAM: tuple[Step, ...] = (begins(), body(b"x", True), ("note", "sent"), ("wait", "never"))
SILENCE: tuple[Step, ...] = (("note", "called"), ("wait", "never"))
CANCELLED = ("end", ("CancelledError", "the client has left"))


def by_fin(server: Server, run: script) -> None:
    with server.connect() as client:
        client.send(run.request())
        run.journal(1)


def by_reset(server: Server, run: script) -> None:
    client = server.connect().send(run.request())
    run.journal(1)
    client.reset()


def by_its_half(server: Server, run: script) -> None:
    """It counts from its FIN, and is disconnected when the time is over."""
    with server.connect() as client:
        client.send(run.request())
        run.journal(1)
        with takes(SECONDS):
            client.half_close()
            assert client.gone()


def by_a_stream_reset(server: Server, run: script) -> None:
    with HTTP2(server) as connection:
        stream = connection.open(get(run.target))
        run.journal(1)
        connection.reset(stream)
        connection.ping()


def by_the_end_of_http2(server: Server, run: script) -> None:
    with HTTP2(server) as connection:
        connection.open(get(run.target))
        run.journal(1)


Leave = Callable[[Server, script], None]
LEAVES = [by_fin, by_reset, by_its_half, by_a_stream_reset, by_the_end_of_http2]


@pytest.fixture
def strict(serve: Serve) -> Server:
    return serve(timeout_client_gone=SECONDS)


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("steps", [STREAM, SILENCE], ids=["stream", "no answer yet"])
def test_an_application_left_alone_is_cancelled(strict: Server, steps: tuple[Step, ...], leave: Leave) -> None:
    run = script(strict, *steps)
    with takes(SECONDS):
        leave(strict, run)
        assert run.journal()[-1] == CANCELLED
    strict.stderr.wait_for(f"its client left 0.5 seconds ago: GET /run/{run.key}")


@pytest.mark.parametrize("leave", LEAVES)
def test_it_may_go_on_by_default(server: Server, leave: Leave) -> None:
    if leave is by_its_half:
        leave = by_fin  # nobody disconnects it
    run = script(server, *SILENCE[:1], ("wait", "go"), ("note", "went on"))
    leave(server, run)
    time.sleep(2 * SECONDS)  # it is to be shown that nothing happens
    run.open("go")
    assert run.journal()[1] == ("went on",)


def test_an_answer_that_is_complete_is_nobodys_loss(strict: Server) -> None:
    """What an application does after its answer, such as a background task, is not cut short."""
    run = script(strict, *answers(), ("pause", 3 * SECONDS), ("note", "done"))
    with strict.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    assert run.journal()[0] == ("done",)


def test_an_answer_that_is_completed_in_time_is_none_either(strict: Server) -> None:
    run = script(strict, ("note", "called"), ("pause", 0.2), *answers(), ("pause", 3 * SECONDS), ("note", "done"))
    with strict.connect() as client:
        client.send(run.request())
        run.journal(1)
        client.half_close()
        assert client.answer().body == b"ok"
    assert run.journal()[1] == ("done",)


def test_a_websocket_whose_client_has_left(strict: Server) -> None:
    """websocket.disconnect comes at once, the cancellation when the time is over."""
    run = script(strict, ("accepted",), ("receive",), ("wait", "never"))
    with takes(SECONDS):
        with strict.connect() as client:
            client.send(handshake(run.target))
            assert client.answer().status == 101
        notes = run.journal()
    assert notes[0][1]["type"] == "websocket.disconnect"
    assert notes[-1] == CANCELLED


def test_a_websocket_that_the_application_has_closed(strict: Server) -> None:
    run = script(strict, ("accepted",), websocket("close"), ("pause", 3 * SECONDS), ("note", "done"))
    with strict.connect() as client:
        client.send(handshake(run.target))
        assert client.answer().status == 101
    assert run.journal()[0] == ("done",)


# ---- half of the graceful time


def test_a_send_that_waits_raises(start: Serve) -> None:
    """The client takes nothing until then; what was queued for it is still its own."""
    server = start(timeout_graceful_shutdown=6, timeout_write=60)
    run = script(server, begins(), ("say", "begins"), ("until_refused", 65536))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        server.stderr.wait_for("begins")
        server.signal(signal.SIGTERM)
        time.sleep(3.3)  # past the half
        assert client.gone()
    assert server.wait() == 0
    assert "ancelled" not in server.stderr.text


def test_an_answer_that_begins_later_is_given(start: Serve) -> None:
    """`send` ends only streams: the server still waits for an answer that has not begun."""
    server = start(timeout_graceful_shutdown=6)
    run = script(server, ("say", "begins"), ("pause", 3.5), *answers(200, b"late"))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("begins")
        server.signal(signal.SIGTERM)
        assert client.answer().body == b"late"
    assert server.wait() == 0


def test_who_listens_may_send_what_it_has_to(start: Serve) -> None:
    server = start(timeout_graceful_shutdown=6)
    both = ("both", ("receive",), ("pause", 4.0))
    run = script(server, ("body",), begins(), body(b"a", True), ("say", "begins"), both, body(b"b"))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for("begins")
        server.signal(signal.SIGTERM)
        assert client.answer().body == b"ab"
    assert server.wait() == 0
