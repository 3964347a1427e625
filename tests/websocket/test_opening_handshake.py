"""The opening handshake: RFC 6455 section 4.2, the scope (row S1), acceptance and refusal (S2 to S4, E7)."""

import ast
from typing import Any

import pytest

from kit import Serve, Server, request, script
from kit.answer import Answer
from kit.script import Step, websocket
from kit.websocket import ACCEPT, BINARY, CLOSE, FIN, KEY, TEXT, WebSocket, close_payload, frame, handshake

ACCEPTED = websocket("accept")


def refused(server: Server, data: bytes) -> Answer:
    """The answer to a handshake that is refused; the connection goes on."""
    with server.connect() as client:
        answer = client.exchange(data)
        assert client.exchange(request("/")).body == b"ok"
    return answer


def test_4_2_2_the_answer(server: Server) -> None:
    with server.connect() as client:
        answer = WebSocket(client).answer
    assert answer.status == 101
    assert answer.get(b"sec-websocket-accept") == ACCEPT.encode()
    assert (answer.get(b"upgrade") or b"").lower() == b"websocket"
    assert (answer.get(b"connection") or b"").lower() == b"upgrade"
    assert answer.get(b"sec-websocket-extensions") is None
    assert answer.get(b"sec-websocket-protocol") is None
    assert answer.get(b"server") == b"fastserve"


def test_the_handshake_byte_by_byte(server: Server) -> None:
    with server.connect() as client:
        for byte in handshake() + frame(FIN | TEXT, b"glued"):
            client.send(bytes([byte]))
        assert client.answer().status == 101
        received = client.reader.exactly(7)
    assert received == b"\x81\x05glued"


def test_frames_glued_to_the_request_are_not_lost(server: Server) -> None:
    run = script(server, ("turn", 3), ("accepted",), ("echoes",))
    glued = frame(FIN | TEXT, b"one") + frame(FIN | BINARY, b"\x00\xff") + frame(FIN | CLOSE, close_payload(4001, "so"))
    with server.connect() as client:
        socket = WebSocket(client, run.target, glued=glued)
        assert [socket.message(), socket.message()] == ["one", b"\x00\xff"]
        assert socket.ended(4001)
    assert run.journal() == [
        ("event", {"type": "websocket.disconnect", "code": 4001, "reason": "so"}),
        ("end", None),
    ]


@pytest.mark.parametrize("key", [None, "", "short", "dGhlIHNhbXBsZSBub25jZQ=A", "dGhlIHNhbXBsZSBub25jZSEh", KEY + "="])
def test_4_2_1_a_key_that_is_none(server: Server, key: str | None) -> None:
    assert refused(server, handshake(key=key)).status == 400


@pytest.mark.parametrize("version", [None, "8", "14", "13, 8"])
def test_4_4_another_version_is_told_ours(server: Server, version: str | None) -> None:
    answer = refused(server, handshake(version=version))
    assert answer.status == 426
    assert answer.get(b"sec-websocket-version") == b"13"
    assert answer.get(b"upgrade") == b"websocket"


def test_malformed_extensions(server: Server) -> None:
    assert refused(server, handshake("/echo", "Sec-WebSocket-Extensions: a b")).status == 400


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), id="http-1.0"),
        pytest.param(handshake().replace(b"GET ", b"PUT "), id="another-method"),
        pytest.param(handshake().replace(b", Upgrade", b""), id="no-connection-upgrade"),
        pytest.param(handshake().replace(b"WebSocket\r\n", b"h2c\r\n", 1), id="another-protocol"),
        pytest.param(handshake("/echo", "Content-Length: 1") + b"x", id="with-a-body"),
    ],
)
def test_what_is_no_upgrade_is_an_ordinary_request(server: Server, data: bytes) -> None:
    with server.connect() as client:
        assert client.exchange(data).status == 200


def test_ws_none_serves_http(serve: Serve) -> None:
    with serve(ws="none").connect() as client:
        assert client.exchange(handshake("/")).body == b"ok"


def scope_of(server: Server, target: str, *lines: str) -> dict[str, Any]:
    with server.connect() as client:
        socket = WebSocket(client, target, *lines)
        message = socket.message()
        assert isinstance(message, str)
        scope: dict[str, Any] = ast.literal_eval(message)
        assert scope["client"] == ("127.0.0.1", client.port)
        assert scope["server"] == ("127.0.0.1", server.port)
    return scope


@pytest.mark.plain
def test_s1_scope(server: Server) -> None:
    scope = scope_of(
        server, "/scope/%C3%A9?a=b", "Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Protocol: x"
    )
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert scope["scheme"] == "ws"
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/scope/é", b"/scope/%C3%A9", b"a=b")
    assert scope["subprotocols"] == ["chat", "superchat", "x"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert (b"sec-websocket-key", KEY.encode()) in scope["headers"]
    assert scope["root_path"] == ""
    assert "method" not in scope


@pytest.mark.parametrize("said", ["https", "wss"])
def test_s1_scheme_behind_a_proxy_with_tls(server: Server, said: str) -> None:
    assert scope_of(server, "/scope", f"X-Forwarded-Proto: {said}")["scheme"] == "wss"


def test_s1_names_with_an_underscore_are_dropped(serve: Serve) -> None:
    fields = ("X_User: root", "X-User: me")
    for option, dropped in (("drop", True), ("allow", False)):
        headers = scope_of(serve(header_underscores=option), "/scope", *fields)["headers"]
        assert ((b"x_user", b"root") in headers) is not dropped
        assert (b"x-user", b"me") in headers


def test_s4_subprotocol_and_headers(server: Server) -> None:
    accept = websocket("accept", subprotocol="chat", headers=[(b"X-One", b"1"), (b"set-cookie", b"a=b")])
    run = script(server, accept, ("echoes",))
    with server.connect() as client:
        answer = WebSocket(client, run.target, "Sec-WebSocket-Protocol: chat").answer
    assert answer.get(b"sec-websocket-protocol") == b"chat"
    assert answer.get(b"x-one") == b"1"
    assert answer.get(b"set-cookie") == b"a=b"


@pytest.mark.parametrize(
    "event",
    [
        {"headers": [(b"Sec-WebSocket-Protocol", b"chat")]},
        {"headers": [(b"sec-websocket-accept", b"x")]},
        {"headers": [(b"a b", b"x")]},
        {"headers": [(b"a", b"x\r\ny: z")]},
        {"headers": [("a", "b")]},
        {"subprotocol": b"chat"},
        {"subprotocol": "a\r\nb: c"},
    ],
)
def test_s4_an_acceptance_that_is_refused_sends_nothing(server: Server, event: dict[str, Any]) -> None:
    run = script(server, ("try", {"type": "websocket.accept", **event}), ACCEPTED, ("echoes",))
    with server.connect() as client:
        answer = WebSocket(client, run.target).answer
    assert answer.status == 101
    assert run.journal()[0][0] == "refused"


def test_s2_connect_comes_first(server: Server) -> None:
    run = script(server, ("receive",), ACCEPTED, ("receive",))
    with server.connect() as client:
        WebSocket(client, run.target).text("hello")
        assert run.journal() == [
            ("event", {"type": "websocket.connect"}),
            ("event", {"type": "websocket.receive", "text": "hello"}),
            ("end", None),
        ]


def test_s3_a_close_before_the_acceptance_is_403(server: Server) -> None:
    run = script(server, ("receive",), websocket("close", code=4000), ("receive",), ("try", ACCEPTED[1]))
    assert refused(server, handshake(run.target)).status == 403
    notes = run.journal()
    assert notes[1] == ("event", {"type": "websocket.disconnect", "code": 1006, "reason": ""})
    assert notes[2][0] == "refused"
    assert "RuntimeError" in notes[2][1]


def denial(*pieces: bytes, status: int = 401) -> list[Step]:
    start = websocket("http.response.start", status=status, headers=[(b"www-authenticate", b"Basic")])
    last = len(pieces) - 1
    return [start] + [
        websocket("http.response.body", body=piece, more_body=number < last) for number, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("pieces", [[b"no"], [b"not", b" ", b"you"], [b""]])
def test_e7_denial_response(server: Server, pieces: list[bytes]) -> None:
    run = script(server, ("receive",), *denial(*pieces), ("receive",))
    answer = refused(server, handshake(run.target))
    assert (answer.status, answer.body) == (401, b"".join(pieces))
    assert answer.get(b"www-authenticate") == b"Basic"
    assert run.journal()[1] == ("event", {"type": "websocket.disconnect", "code": 1006, "reason": ""})


def test_e7_no_acceptance_after_a_denial_has_begun(server: Server) -> None:
    run = script(server, denial(b"x")[0], ("try", ACCEPTED[1]), denial(b"x")[1])
    assert refused(server, handshake(run.target)).status == 401
    assert "RuntimeError" in run.journal()[0][1]


def test_an_error_before_the_acceptance_is_500(server: Server) -> None:
    run = script(server, ("receive",), ("raise", "not today"))
    assert refused(server, handshake(run.target)).status == 500
    server.expect_traceback("not today")


def test_a_return_before_the_acceptance_is_500_and_logged(server: Server) -> None:
    run = script(server, ("receive",))
    assert refused(server, handshake(run.target)).status == 500
    assert "without accepting or refusing" in server.stderr.wait_for("without accepting or refusing")


def test_a_client_that_leaves_before_the_acceptance(server: Server) -> None:
    run = script(server, ("receive",), ("wait", "gone"), ("receive",), ("try", ACCEPTED[1]))
    with server.connect() as client:
        client.send(handshake(run.target))
        run.journal(1)
        client.half_close()
        run.open("gone")
        notes = run.journal()
    assert notes[1] == ("event", {"type": "websocket.disconnect", "code": 1006, "reason": ""})
    assert "OSError" in notes[2][1]


@pytest.mark.alone(waits=True)
def test_an_application_that_never_decides_is_answered_for(serve: Serve) -> None:
    server = serve(ws_handshake_timeout=0.4)
    run = script(server, ("receive",), ("wait", "never"))
    assert refused(server, handshake(run.target)).status == 504
    assert "neither accepted nor refused" in server.stderr.wait_for("neither accepted nor refused")
    assert run.journal()[-1][1][0] == "CancelledError"
