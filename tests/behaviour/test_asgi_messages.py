"""What the application may send, and what it is told when it sends something else: rows A4, A6, A7, H8, H10 to H16."""

from typing import Any

import pytest

from kit import BrokenAnswer, Server, request, script
from kit.script import answers, body, start

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        pytest.param({"type": "http.response.nonsense"}, ["nonsense"], id="unknown-type"),
        pytest.param({"type": "websocket.send", "text": "a"}, ["websocket.send"], id="type-of-another-protocol"),
        pytest.param({"type": "lifespan.startup.complete"}, ["lifespan"], id="type-of-lifespan"),
        pytest.param({"status": 200}, ["type"], id="no-type"),
        pytest.param({"type": 1}, ["type"], id="type-no-string"),
        pytest.param({"type": b"http.response.start", "status": 200}, ["type"], id="type-bytes"),
        pytest.param("http.response.start", ["dict"], id="no-dict"),
        pytest.param(None, ["dict"], id="none"),
        pytest.param(BODY, ["http.response.start"], id="body-first"),
        pytest.param({"type": "http.response.start"}, ["status"], id="no-status"),
        pytest.param({"type": "http.response.start", "status": "200"}, ["status"], id="status-string"),
        pytest.param({"type": "http.response.start", "status": None}, ["status"], id="status-none"),
        pytest.param({"type": "http.response.start", "status": 200.0}, ["status"], id="status-float"),
        pytest.param({"type": "http.response.start", "status": 99}, ["status"], id="status-99"),
        pytest.param({"type": "http.response.start", "status": 200, "headers": 5}, ["header"], id="headers-number"),
        pytest.param(
            {"type": "http.response.start", "status": 200, "headers": [b"ab"]}, ["header"], id="header-no-pair"
        ),
        pytest.param(
            {"type": "http.response.start", "status": 200, "headers": [(b"a",)]}, ["header"], id="header-single"
        ),
        pytest.param(
            {"type": "http.response.start", "status": 200, "headers": [("a", "b")]}, ["bytes"], id="header-str"
        ),
        pytest.param({"type": "http.response.start", "status": 200, "headers": [(b"a", 1)]}, ["bytes"], id="value-int"),
        pytest.param(
            {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\n")]}, ["value"], id="value-lf"
        ),
        pytest.param(
            {"type": "http.response.start", "status": 200, "headers": [(b"a b", b"c")]}, ["name"], id="name-space"
        ),
        pytest.param({"type": "http.response.trailers", "headers": []}, ["trailers"], id="trailers-first"),
    ],
)
def test_a4_wrong_first_message_raises_in_the_application(server: Server, message: Any, words: list[str]) -> None:
    """A4: a clear text, no bytes on the wire, and a right answer is still possible."""
    run = script(server, ("try", message), *answers(200, b"after"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (200, b"after")
        assert client.exchange(request("/")).body == b"ok"
    kind, classes, text = run.journal()[0]
    assert kind == "refused"
    assert "OSError" not in classes
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        pytest.param(START, ["http.response.start"], id="start-twice"),
        pytest.param({"type": "http.response.body", "body": "text"}, ["bytes"], id="body-str"),
        pytest.param({"type": "http.response.body", "body": None}, ["bytes"], id="body-none"),
        pytest.param({"type": "http.response.body", "body": [b"x"]}, ["bytes"], id="body-list"),
        pytest.param({"type": "http.response.nonsense"}, ["nonsense"], id="unknown-type"),
        pytest.param({"type": "http.response.trailers", "headers": []}, ["trailers"], id="trailers-not-announced"),
    ],
)
def test_a4_wrong_second_message_raises_in_the_application(server: Server, message: Any, words: list[str]) -> None:
    run = script(server, start(), ("try", message), body(b"after"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (200, b"after")
    kind, classes, text = run.journal()[0]
    assert kind == "refused"
    assert "OSError" not in classes
    for word in words:
        assert word in text


@pytest.mark.parametrize("message", [START, BODY, {"type": "http.response.body"}], ids=["start", "body", "end"])
def test_h15_messages_after_the_end_never_leak(server: Server, message: Any) -> None:
    run = script(server, *answers(200, b"first"), ("try", message), ("note", "done"))
    with server.connect() as client:
        client.send(run.request() + request("/"))
        assert client.answer().body == b"first"
        assert client.answer().body == b"ok"
    notes = run.journal()
    assert notes[0][0] in ("refused", "sent")


def test_a4_unknown_keys_are_ignored(server: Server) -> None:
    run = script(
        server,
        start(200, (b"a", b"b"), surprise=1),
        ("send", {"type": "http.response.body", "body": b"x", "surprise": 2}),
    )
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"x"


def test_h10_h13_defaults(server: Server) -> None:
    """Headers default to none, body to b"", more_body to False."""
    run = script(
        server, ("send", {"type": "http.response.start", "status": 200}), ("send", {"type": "http.response.body"})
    )
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.body, answer.framing) == (b"", "length")


def test_h10_headers_of_other_iterables_and_upper_case(server: Server) -> None:
    headers = ([b"X-Upper", b"1"], (b"x-tuple", b"2"))
    run = script(server, ("send", {"type": "http.response.start", "status": 200, "headers": headers}), body(b"x"))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert (answer.get(b"x-upper"), answer.get(b"x-tuple")) == (b"1", b"2")


def test_h16_disconnect_after_the_complete_response(server: Server) -> None:
    """A7, H16: and again and again, without hanging or raising."""
    run = script(server, ("receive",), *answers(), ("receive",), ("receive",), ("receive",))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
        assert run.journal()[1:4] == [("event", {"type": "http.disconnect"})] * 3
        assert client.exchange(request("/")).body == b"ok"


def test_a7_receive_and_send_from_two_tasks(server: Server) -> None:
    run = script(server, start(), ("both", ("body",), ("pieces", 50, 1000, False)), body(b"end"))
    data = b"x" * 500_000
    with server.connect() as client:
        answer = client.exchange(run.request(method="POST", body=data))
        assert answer.body == bytes(50_000) + b"end"
    assert run.journal()[0] == ("body", len(data), "http.request")


def test_a6_exception_before_the_start_is_500(server: Server) -> None:
    run = script(server, ("raise", "a reason of its own"))
    with server.connect() as client:
        answer = client.exchange(run.request(method="POST"))
        assert answer.status == 500
        assert b"a reason of its own" not in answer.body
    text = server.expect_traceback("RuntimeError: a reason of its own", "POST", f"/run/{run.key}")
    assert text.count("RuntimeError: a reason of its own") == 1


def test_a6_exception_after_start_without_body_is_500(server: Server) -> None:
    """H12: nothing had gone out yet."""
    run = script(server, start(200, (b"x-a", b"b")), ("raise", "between"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.status == 500
        assert answer.get(b"x-a") is None
    server.expect_traceback("RuntimeError: between", "GET", f"/run/{run.key}")


def test_a6_exception_after_the_start_is_visible_in_chunked(server: Server) -> None:
    """No last chunk, then closed."""
    run = script(server, start(), body(b"abc", True), ("turn", 3), ("raise", "in the middle"))
    with server.connect() as client:
        client.send(run.request() + request("/"))
        with pytest.raises(BrokenAnswer, match="ended") as info:
            client.answer()
        assert info.value.seen.endswith(b"3\r\nabc\r\n")
    text = server.expect_traceback("RuntimeError: in the middle", "GET", f"/run/{run.key}")
    assert text.count("RuntimeError: in the middle") == 1


def test_a6_exception_after_the_start_is_visible_with_a_length(server: Server) -> None:
    run = script(server, start(200, (b"content-length", b"10")), body(b"abc", True), ("raise", "in the middle"))
    with server.connect() as client:
        client.send(run.request())
        with pytest.raises((BrokenAnswer, ConnectionResetError)):
            client.answer()
    server.expect_traceback("RuntimeError: in the middle")


@pytest.mark.plain
def test_a6_exception_after_the_start_is_visible_in_http_1_0(server: Server) -> None:
    """A body that only the close ends is broken off by a reset: a FIN would look tidy."""
    run = script(server, start(), body(b"abc", True), ("turn", 3), ("raise", "in the middle"))
    with server.connect() as client:
        client.send(run.request(version="1.0"))
        with pytest.raises(ConnectionResetError):
            client.rest()
    server.expect_traceback("RuntimeError: in the middle")


def test_a6_exception_after_the_end_is_only_logged(server: Server) -> None:
    run = script(server, *answers(), ("raise", "afterwards"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
        assert client.exchange(request("/")).body == b"ok"
    server.expect_traceback("RuntimeError: afterwards", "GET", f"/run/{run.key}")


def test_a6_no_response_at_all_is_500(server: Server) -> None:
    run = script(server, ("note", "returns"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.status == 500
    server.stderr.wait(lambda text: run.key in text)


def test_a6_start_without_body_is_500(server: Server) -> None:
    run = script(server, start(200, (b"x-a", b"b")))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    server.stderr.wait(lambda text: run.key in text)


def test_a6_return_in_the_middle_is_visible(server: Server) -> None:
    run = script(server, start(), body(b"abc", True), ("turn", 3))
    with server.connect() as client:
        client.send(run.request())
        with pytest.raises(BrokenAnswer, match="ended"):
            client.answer()
    server.stderr.wait(lambda text: run.key in text)


def test_500_of_a_head_request_has_no_body(server: Server) -> None:
    run = script(server, ("raise", "for HEAD"))
    with server.connect() as client:
        client.send(run.request(method="HEAD"))
        assert client.answer("HEAD").status == 500
        client.half_close()
        assert client.closed()
    server.expect_traceback("RuntimeError: for HEAD")


def test_many_failing_requests_do_not_harm_the_others(server: Server) -> None:
    run = script(server, ("raise", "again"))
    for _ in range(20):
        with server.connect() as client:
            assert client.exchange(run.request()).status == 500
        assert server.get("/") == b"ok"
    server.expect_traceback("RuntimeError: again", count=20)
