"""Lifespan: rows L1 to L6 (L7 is about several workers)."""

import signal

import pytest

from kit import Serve
from kit.waiting import Stopwatch

TRACE = "Traceback (most"


def test_l1_l2_l6_scope_and_events(start: Serve) -> None:
    """L1, L2, L6: each event once, with a state of its own."""
    server = start("spans:good")
    assert server.get("/") == b"ok"
    server.stop()
    said = [line for line in server.stderr.text.splitlines() if line.startswith("application:")]
    assert said == [
        "application: scope ['asgi', 'state', 'type'] 3.0 2.0 {}",
        "application: {'type': 'lifespan.startup'}",
        "application: {'type': 'lifespan.shutdown'}",
        "application: done",
    ]


def test_l2_no_connection_before_startup_is_complete(start: Serve) -> None:
    """The port is announced only when requests are served."""
    server = start("spans:slow")
    assert "application: started" in server.stderr.text.partition("istening on")[0]
    assert server.get("/") == b"ok"


def test_l3_application_without_lifespan_is_served(start: Serve) -> None:
    server = start("spans:raising")
    assert server.get("/") == b"ok"
    assert "lifespan" in server.stderr.text
    assert TRACE not in server.stderr.text


def test_l3_application_that_ignores_lifespan_is_served(start: Serve) -> None:
    server = start("spans:returning")
    assert server.get("/") == b"ok"


def test_l3_application_that_answers_as_to_a_request_is_served(start: Serve) -> None:
    server = start("spans:answering")
    assert server.get("/") == b"ok"


def test_l3_off_sends_no_lifespan(start: Serve) -> None:
    server = start("spans:good", lifespan="off")
    assert server.get("/") == b"ok"
    server.stop()
    assert "application:" not in server.stderr.text


@pytest.mark.parametrize("application", ["raising", "returning"])
def test_l3_on_makes_a_missing_lifespan_fatal(start: Serve, application: str) -> None:
    server = start(f"spans:{application}", lifespan="on", listens=False)
    assert server.wait() != 0
    assert "lifespan" in server.stderr.text
    server.tracebacks_matter = False


def test_l4_startup_failed_is_logged_and_fatal(start: Serve) -> None:
    server = start("spans:failing", listens=False)
    assert server.wait() != 0
    assert "the database does not answer" in server.stderr.text
    assert "istening on" not in server.stderr.text
    assert TRACE not in server.stderr.text


@pytest.mark.parametrize("supervised", [False, True])
@pytest.mark.parametrize("lifespan", ["auto", "on"])
def test_l4_exception_after_startup_was_received_is_fatal(start: Serve, lifespan: str, supervised: bool) -> None:
    server = start("spans:raising_later", lifespan=lifespan, listens=False, supervised=supervised)
    assert server.wait() == 1
    server.expect_traceback("the application's startup failed: it raised RuntimeError: the database is gone")
    assert "istening on" not in server.stderr.text


def test_end_of_the_lifespan_is_logged_when_it_comes(start: Serve) -> None:
    server = start("spans:dying")
    assert server.get("/crash") == b"ok"
    server.expect_traceback("[ERROR] the application's lifespan raised RuntimeError: the pool has lost its last")
    assert server.get("/") == b"ok"
    server.signal(signal.SIGTERM)
    assert server.wait() == 3


def test_l5_shutdown_comes_after_the_requests(start: Serve) -> None:
    from kit import script

    server = start("ordered:app")
    run = script(
        server,
        ("body",),
        ("say", "request done"),
        *[
            ("send", {"type": "http.response.start", "status": 200}),
            ("send", {"type": "http.response.body", "body": b"x"}),
        ],
    )
    with server.connect() as client:
        client.send(run.request("Content-Length: 1", method="POST"))
        assert server.get("/") == b"ok"
        server.signal(signal.SIGTERM)
        server.refuses_connections()
        client.send(b"x")
        assert client.answer().body == b"x"
    assert server.wait() == 0
    text = server.stderr.text
    assert 0 < text.index("request done") < text.index("lifespan.shutdown")


def test_l5_shutdown_failed_is_logged(start: Serve) -> None:
    server = start("spans:failing_at_the_end")
    server.signal(signal.SIGTERM)
    server.wait()
    assert "the disk is full" in server.stderr.text


def test_l5_shutdown_that_never_ends_is_bounded(start: Serve) -> None:
    server = start("spans:never_ending", timeout_graceful_shutdown=0.5)
    watch = Stopwatch()
    server.signal(signal.SIGTERM)
    server.wait()
    assert watch.charged() < 12
    assert "application: shutdown was cancelled" in server.stderr.text


def test_wrong_lifespan_messages_raise(start: Serve) -> None:
    """A4, for lifespan."""
    server = start("spans:confused")
    assert server.get("/") == b"ok"
    assert server.stderr.text.count("application: refused:") == 3
