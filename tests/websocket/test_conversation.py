"""Messages in and out, and how a conversation ends: rows S5 to S12, RFC 6455 sections 5 to 8."""

import ast
from typing import Any

import pytest

from kit import Serve, Server, script
from kit.script import websocket
from kit.waiting import until
from kit.websocket import BINARY, CLOSE, FIN, PING, PONG, TEXT, WebSocket, close_payload, frame

ACCEPTED = ("accepted",)
SEND = {"type": "websocket.send", "text": "a"}
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 300_000]


def disconnect(code: int, reason: str = "") -> tuple[str, dict[str, Any]]:
    return ("event", {"type": "websocket.disconnect", "code": code, "reason": reason})


# ---- messages


@pytest.mark.parametrize("size", SIZES)
def test_s5_s6_binary_and_text_of_every_size(server: Server, size: int) -> None:
    data = bytes(number * 7 % 251 for number in range(size))
    text = ("é€𝄞a" * (size // 4 + 1))[:size]
    with server.connect() as client:
        socket = WebSocket(client)
        assert socket.binary(data).message() == data
        assert socket.text(text).message() == text


def test_5_4_fragments_with_a_ping_between_them(server: Server) -> None:
    with server.connect() as client:
        socket = WebSocket(client)
        socket.send(TEXT, b"zwei").send(FIN | PING, b"there?").send(0, b"").send(FIN, b" Teile")
        assert socket.frame().first == FIN | PONG
        assert socket.message() == "zwei Teile"


def test_each_byte_a_segment(server: Server) -> None:
    with server.connect() as client:
        socket = WebSocket(client)
        for byte in frame(FIN | TEXT, "grüß".encode()) + frame(TEXT, b"a" * 130) + frame(FIN, b"b"):
            client.send(bytes([byte]))
        assert [socket.message(), socket.message()] == ["grüß", "a" * 130 + "b"]


def test_many_messages_in_one_segment(server: Server) -> None:
    with server.connect() as client:
        socket = WebSocket(client)
        client.send(b"".join(frame(FIN | TEXT, b"%d" % number) for number in range(1000)))
        assert [socket.message() for _ in range(1000)] == [str(number) for number in range(1000)]


def test_s7_pings_are_the_servers_affair(server: Server) -> None:
    run = script(server, ACCEPTED, ("receive",))
    with server.connect() as client:
        socket = WebSocket(client, run.target).send(FIN | PING, b"x" * 125).send(FIN | PONG, b"unasked").text("a")
        answer = socket.frame()
        assert (answer.first, answer.payload) == (FIN | PONG, b"x" * 125)
        assert run.journal()[0] == ("event", {"type": "websocket.receive", "text": "a"})


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({}, "ValueError"),
        ({"text": None, "bytes": None}, "ValueError"),
        ({"text": "a", "bytes": b"a"}, "ValueError"),
        ({"text": b"a"}, "TypeError"),
        ({"bytes": "a"}, "TypeError"),
        ({"text": "\ud800"}, "UnicodeEncodeError"),
    ],
)
def test_s6_what_is_no_message(server: Server, event: dict[str, Any], kind: str) -> None:
    run = script(server, ACCEPTED, ("try", {"type": "websocket.send", **event}), websocket("send", text="after"))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        assert socket.message() == "after"
        assert socket.frame().code == 1000
    assert kind in run.journal()[0][1]


def test_s6_none_beside_the_payload(server: Server) -> None:
    run = script(server, ACCEPTED, websocket("send", bytes=b"abc", text=None), websocket("send", text="d", bytes=None))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        assert [socket.message(), socket.message()] == [b"abc", "d"]


@pytest.mark.parametrize("event", [{"type": "websocket.accept"}, {"type": "http.response.start"}, {"type": "x"}, "x"])
def test_events_out_of_order(server: Server, event: Any) -> None:
    run = script(server, ACCEPTED, ("try", event))
    with server.connect() as client:
        assert WebSocket(client, run.target).frame().code == 1000
    assert run.journal()[0][0] == "refused"


def test_a_message_before_the_acceptance(server: Server) -> None:
    run = script(server, ("receive",), ("try", SEND), websocket("accept"), ("echoes",))
    with server.connect() as client:
        assert WebSocket(client, run.target).text("b").message() == "b"
    assert "RuntimeError" in run.journal()[1][1]


# ---- the client ends it


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (3000, "é"), (4999, "x" * 123)])
def test_s8_the_clients_code_and_reason(server: Server, code: int, reason: str) -> None:
    run = script(server, ACCEPTED, ("echoes",), ("receive",), ("try", {"type": "websocket.send", "text": "late"}))
    with server.connect() as client:
        assert WebSocket(client, run.target).close(code, reason).ended(code)
    notes = run.journal()
    assert notes[:2] == [disconnect(code, reason)] * 2
    assert "OSError" in notes[2][1]


def test_s8_no_code(server: Server) -> None:
    run = script(server, ACCEPTED, ("echoes",))
    with server.connect() as client:
        assert WebSocket(client, run.target).close().ended(1005)
    assert run.journal()[0] == disconnect(1005)


@pytest.mark.parametrize("how", ["half_close", "reset"])
def test_s8_a_client_that_is_lost(server: Server, how: str) -> None:
    run = script(server, ACCEPTED, ("receive",), ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target).text("a")
        run.journal(1)
        getattr(socket.client, how)()
        assert run.journal()[1] == disconnect(1006)


def test_messages_before_the_end_are_delivered(server: Server) -> None:
    run = script(server, ACCEPTED, ("wait", "closed"), ("receive",), ("receive",), ("receive",))
    with server.connect() as client:
        assert WebSocket(client, run.target).text("one").text("two").close(1000).ended(1000)
        run.open("closed")
        events = [note[1] for note in run.journal()[:3]]
    assert [event.get("text", event["type"]) for event in events] == ["one", "two", "websocket.disconnect"]


# ---- the application ends it


@pytest.mark.parametrize(("event", "code", "reason"), [({}, 1000, ""), ({"code": 4002, "reason": "é"}, 4002, "é")])
def test_s9_close(server: Server, event: dict[str, Any], code: int, reason: str) -> None:
    late = {"type": "websocket.send", "text": "late"}
    run = script(server, ACCEPTED, websocket("close", **event), ("receive",), ("receive",), ("try", late))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        received = socket.frame()
        assert (received.code, received.reason) == (code, reason)
        socket.text("not read").close(code)
        assert client.closed()
    notes = run.journal()
    assert notes[:2] == [disconnect(code, reason)] * 2
    assert "RuntimeError" in notes[2][1]


@pytest.mark.parametrize("event", [{"code": 1005}, {"code": 99}, {"code": "1000"}, {"code": 1000, "reason": "é" * 62}])
def test_s9_a_code_or_reason_that_may_not_be_sent(server: Server, event: dict[str, Any]) -> None:
    run = script(server, ACCEPTED, ("try", {"type": "websocket.close", **event}))
    with server.connect() as client:
        assert WebSocket(client, run.target).frame().code == 1000
    assert run.journal()[0][0] == "refused"


def test_an_error_is_1011_and_logged_once(server: Server) -> None:
    run = script(server, ACCEPTED, ("receive",), ("raise", "in the midst"))
    with server.connect() as client:
        socket = WebSocket(client, run.target).text("go")
        assert socket.frame().code == 1011
        socket.close(1011)
        assert client.closed()
    server.expect_traceback("in the midst")


def test_a_return_is_1000(server: Server) -> None:
    run = script(server, ACCEPTED)
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        assert socket.frame().code == 1000
        socket.close(1000)
        assert client.closed()
    assert run.journal() == [("end", None)]


@pytest.mark.alone(waits=True)
def test_s11_a_client_that_does_not_answer_the_close_frame(serve: Serve) -> None:
    server = serve(ws_close_timeout=0.4, timeout_first_byte=30)
    run = script(server, ACCEPTED)
    with server.connect() as client:
        assert WebSocket(client, run.target).ended(1000)


# ---- the protocol is broken


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(FIN | TEXT, b"a", None), 1002, id="not-masked"),
        pytest.param(frame(FIN | 0x40 | TEXT, b"a"), 1002, id="reserved-bit"),
        pytest.param(frame(FIN | 3, b"a"), 1002, id="unknown-opcode"),
        pytest.param(frame(FIN, b"a"), 1002, id="nothing-to-continue"),
        pytest.param(frame(FIN | PING, b"a" * 126), 1002, id="long-ping"),
        pytest.param(frame(FIN | CLOSE, close_payload(1005)), 1002, id="code-not-for-the-wire"),
        pytest.param(frame(FIN | TEXT, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(frame(FIN | CLOSE, b"\x03\xe8\xff"), 1007, id="reason-not-utf8"),
    ],
)
def test_s12_protocol_errors(server: Server, data: bytes, code: int) -> None:
    run = script(server, ACCEPTED, ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target).text("before")
        client.send(data + frame(FIN | TEXT, b"after"))
        assert socket.message() == "before"
        assert socket.ended(code)
    assert run.journal()[0][1]["code"] == code


def test_s12_too_big(serve: Serve) -> None:
    server = serve(ws_max_size=1000)
    with server.connect() as client:
        socket = WebSocket(client)
        assert socket.binary(b"x" * 1000).message() == b"x" * 1000
        client.send(frame(FIN | BINARY, b"x" * 1001)[:8])
        assert socket.ended(1009)


def test_the_access_log_has_one_line_at_the_end(server: Server) -> None:
    run = script(server, ACCEPTED, websocket("send", text="12345"), ("echoes",))
    with server.connect() as client:
        socket = WebSocket(client, run.target)
        assert socket.message() == "12345"
        assert run.key not in server.stdout.text
        assert socket.close(1000).ended(1000)
    line = next(line for line in server.stdout.wait_for(run.key).splitlines() if run.key in line)
    assert '" 101 5 ' in line


def test_nothing_is_left(server: Server) -> None:
    for _ in range(20):
        with server.connect() as client:
            assert WebSocket(client).binary(b"x" * 70_000).message()
    left = {"connections": 1, "exchanges": 1, "buffered": 0, "body_files": 0}
    if server.get("/ledger") != b"{}":
        assert until(lambda: ast.literal_eval(server.get("/ledger").decode()) == left), server.get("/ledger")
