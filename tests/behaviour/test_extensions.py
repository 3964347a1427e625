"""The extensions of the HTTP scope: rows E3 to E6."""

import ast
from pathlib import Path
from typing import Any

import pytest

from kit import BrokenAnswer, Serve, Server, request, script
from kit.script import answers, body, start
from kit.waiting import until

TE = ("TE: trailers", "Connection: TE")


def trailers(*fields: tuple[bytes, bytes], more: bool = False) -> tuple[Any, ...]:
    return ("send", {"type": "http.response.trailers", "headers": list(fields), "more_trailers": more})


def extensions(server: Server, *fields: str, version: str = "1.1") -> set[str]:
    with server.connect() as client:
        scope = ast.literal_eval(client.exchange(request("/scope", *fields, version=version)).body.decode())
        return set(scope["extensions"])


@pytest.fixture
def server(serve: Serve) -> Server:
    """All of them are offered."""
    return serve(asgi_extensions="early_hint,pathsend,trailers,zerocopysend")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


def test_e6_trailers_are_advertised_only_with_te(server: Server) -> None:
    assert "http.response.trailers" in extensions(server, *TE)
    assert "http.response.trailers" not in extensions(server)
    assert "http.response.trailers" not in extensions(server, *TE, version="1.0")


def test_e6_trailers_follow_the_last_chunk(server: Server) -> None:
    run = script(server, start(200, trailers=True), body(b"abc"), trailers((b"x-sum", b"1"), (b"x-b", b"2")))
    with server.connect() as client:
        answer = client.exchange(run.request(*TE))
        assert (answer.framing, answer.body) == ("chunked", b"abc")
        assert answer.trailers == [(b"x-sum", b"1"), (b"x-b", b"2")]
        assert client.exchange(request("/")).body == b"ok"


def test_e6_trailers_in_two_messages(server: Server) -> None:
    run = script(
        server,
        start(200, trailers=True),
        body(b"a", True),
        body(b"b"),
        trailers((b"x-a", b"1"), more=True),
        trailers((b"x-b", b"2")),
    )
    with server.connect() as client:
        answer = client.exchange(run.request(*TE))
        assert answer.body == b"ab"
        assert answer.trailers == [(b"x-a", b"1"), (b"x-b", b"2")]


def test_e6_trailers_without_te_are_swallowed(server: Server) -> None:
    """RFC 9110 section 6.5.1."""
    run = script(server, start(200, trailers=True), body(b"abc"), trailers((b"x-sum", b"1")))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.body == b"abc"
        assert answer.trailers == []
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("field", [(b"x-a", b"b\r\nc: d"), (b"x a", b"b"), (b"content-length", b"3")], ids=repr)
def test_e6_bad_trailers_do_not_reach_the_wire(server: Server, field: tuple[bytes, bytes]) -> None:
    run = script(server, start(200, trailers=True), body(b"abc"), ("try", trailers(field)[1]), trailers())
    with server.connect() as client:
        answer = client.exchange(run.request(*TE))
        assert answer.body == b"abc"
        assert answer.trailers == []
    if field[0] != b"content-length":  # a forbidden one may be refused or dropped
        assert run.journal()[0][0] == "refused"


def test_e5_early_hints(server: Server) -> None:
    hint = ("send", {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
    run = script(server, hint, ("wait", "go"), hint, *answers())
    with server.connect() as client:
        client.send(run.request())
        first = client.answer()
        assert (first.status, first.reason) == (103, b"Early Hints")
        assert first.all(b"link") == [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
        run.open("go")
        assert client.answer().status == 103
        assert client.answer().body == b"ok"
        assert client.exchange(request("/")).body == b"ok"


def test_e5_early_hints_are_dropped_for_http_1_0(server: Server) -> None:
    run = script(server, ("send", {"type": "http.response.early_hint", "links": [b"</a>"]}), *answers())
    with server.connect() as client:
        assert client.exchange(run.request(version="1.0")).status == 200


def test_e5_bad_early_hints_raise(server: Server) -> None:
    for links in ([b"</a>\r\nx: y"], ["</a>"], 5):
        run = script(server, ("try", {"type": "http.response.early_hint", "links": links}), *answers())
        with server.connect() as client:
            assert client.exchange(run.request()).status == 200
        assert run.journal()[0][0] == "refused"


def test_what_is_refused_holds_up_nobody(server: Server) -> None:
    """Room was made for it in the out-queue: whoever sends finds nothing there, and goes on."""
    refused = ("try", {"type": "http.response.early_hint", "links": [b"</a>\r\nx: y"]})
    run = script(server, refused, ("wait", "go"), *answers())
    with server.connect() as client:
        client.send(run.request())
        run.journal(1)
        assert server.get("/") == b"ok"
        run.open("go")
        assert client.answer().body == b"ok"


def pathsend(path: object) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def test_e4_pathsend(server: Server, file: Path) -> None:
    run = script(server, start(), ("send", pathsend(file)))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.framing == "length"
        assert answer.body == file.read_bytes()
        assert client.exchange(request("/")).body == b"ok"


def test_e4_pathsend_with_own_length(server: Server, file: Path) -> None:
    length = str(file.stat().st_size).encode()
    run = script(server, start(200, (b"content-length", length)), ("send", pathsend(file)))
    with server.connect() as client:
        assert client.exchange(run.request()).body == file.read_bytes()


def test_e4_pathsend_of_an_empty_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    run = script(server, start(), ("send", pathsend(tmp_path / "empty")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b""
        assert client.exchange(request("/")).body == b"ok"


def test_e4_pathsend_for_head(server: Server, file: Path) -> None:
    run = script(server, start(), ("send", pathsend(file)))
    with server.connect() as client:
        client.send(run.request(method="HEAD") + request("/"))
        assert client.answer("HEAD").get(b"content-length") == str(file.stat().st_size).encode()
        assert client.answer().body == b"ok"


def test_e4_pathsend_to_a_slow_reader_arrives_whole(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abcdef" * 1_000_000)
    run = script(server, start(), ("send", pathsend(path)))
    with server.connect(receive_buffer=8192) as client:
        client.send(run.request())
        assert client.answer().body == path.read_bytes()


def test_e4_pathsend_of_a_missing_file_raises_and_leaves_the_choice(server: Server, tmp_path: Path) -> None:
    run = script(server, start(), ("try", pathsend(tmp_path / "missing")), ("raise", "nothing to send"))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    kind, classes, text = run.journal()[0]
    assert kind == "refused"
    assert "FileNotFoundError" in classes
    assert "missing" in text
    server.expect_traceback("nothing to send")


def test_e4_pathsend_of_a_directory_raises(server: Server, tmp_path: Path) -> None:
    run = script(server, start(), ("try", pathsend(tmp_path)), body(b"instead"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"instead"
    assert run.journal()[0][0] == "refused"


def test_e4_pathsend_is_not_mixed_with_body(server: Server, file: Path) -> None:
    run = script(server, start(), body(b"abc", True), ("try", pathsend(file)), body(b"def"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"abcdef"
    assert run.journal()[0][0] == "refused"


@pytest.mark.parametrize("path", ["relative", b"/bytes", None, 5], ids=repr)
def test_e4_pathsend_of_what_is_no_absolute_path_raises(server: Server, path: object) -> None:
    run = script(server, start(), ("try", {"type": "http.response.pathsend", "path": path}), body(b"instead"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"instead"
    assert run.journal()[0][0] == "refused"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({}, slice(None)),
        ({"as_number": True}, slice(None)),
        ({"offset": 1000}, slice(1000, None)),
        ({"offset": 1000, "count": 500_000}, slice(1000, 501_000)),
        ({"count": 10}, slice(0, 10)),
        ({"offset": 0, "count": 0}, slice(0, 0)),
        ({"seek": 777}, slice(777, None)),
        ({"seek": 777, "offset": 5, "count": 5}, slice(5, 10)),
    ],
    ids=repr,
)
def test_e3_zerocopysend(server: Server, file: Path, arguments: dict[str, Any], part: slice) -> None:
    """The application keeps the file: it is still open afterwards; without `offset` the current position counts."""
    run = script(server, start(), ("file", str(file), arguments))
    with server.connect() as client:
        assert client.exchange(run.request()).body == file.read_bytes()[part]
        assert client.exchange(request("/")).body == b"ok"
    assert run.journal()[0] == ("still open", file.stat().st_size)


def test_e3_zerocopysend_mixed_with_body(server: Server, file: Path) -> None:
    run = script(
        server,
        start(),
        body(b"before", True),
        ("file", str(file), {"offset": 10, "count": 20, "more_body": True}),
        body(b"after"),
    )
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.framing == "chunked"
        assert answer.body == b"before" + file.read_bytes()[10:30] + b"after"


def test_e3_zerocopysend_past_the_end_does_not_invent_bytes(server: Server, file: Path) -> None:
    """Either refused, or visibly short."""
    size = file.stat().st_size
    run = script(server, start(), ("file", str(file), {"offset": size - 10, "count": 100}))
    with server.connect() as client:
        client.send(run.request())
        try:
            answer = client.answer()
            assert answer.status == 500 or answer.body == file.read_bytes()[-10:]
        except (BrokenAnswer, ConnectionResetError):
            pass
    run.journal()
    server.tracebacks_matter = False


def test_e3_zerocopysend_of_no_file_raises(server: Server) -> None:
    for file in (-1, "name", None, 99999):
        run = script(server, start(), ("try", {"type": "http.response.zerocopysend", "file": file}), body(b"instead"))
        with server.connect() as client:
            assert client.exchange(run.request()).body == b"instead"
        assert run.journal()[0][0] == "refused"


def test_e4_file_descriptors_do_not_leak(server: Server, file: Path) -> None:
    run = script(server, start(), ("send", pathsend(file)))
    with server.connect() as client:
        client.exchange(run.request())
        before = server.descriptors()
        for _ in range(20):
            client.exchange(run.request())
        # The last byte may be here before the file is closed there.
        assert until(lambda: server.descriptors() <= before)
    for _ in range(20):
        with server.connect(receive_buffer=4096) as client:
            client.send(run.request())
            client.receive_once()
            client.reset()
    assert server.get("/") == b"ok"
    assert until(lambda: server.descriptors() <= before)


ALL = {"early_hint", "pathsend", "zerocopysend"}


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        (None, {"early_hint"}),
        ("", set()),
        ("pathsend", {"pathsend"}),
        ("http.response.zerocopysend,early_hint", {"early_hint", "zerocopysend"}),
        ("early_hint,pathsend,zerocopysend", ALL),
    ],
)
def test_what_is_offered_is_said(serve: Serve, given: str | None, offered: set[str]) -> None:
    """`pathsend` and `zerocopysend` only where they are asked for, `trailers` to who asks for them."""
    server = serve() if given is None else serve(asgi_extensions=given)
    assert extensions(server) - {"tls"} == {f"http.response.{name}" for name in offered}
    assert ("http.response.trailers" in extensions(server, *TE)) == (given is None)


def test_what_is_not_offered_is_not_taken(serve: Serve, file: Path) -> None:
    server = serve(asgi_extensions="")
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    run = script(server, ("try", hint), start(), ("try", pathsend(file)), body(b"instead"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"instead"
    notes = run.journal()
    assert [note[0] for note in notes[:2]] == ["refused", "refused"]
    assert "--asgi-extensions" in notes[1][2]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((), "a response: GET {} (it has sent no http.response.start)"),
        ((start(),), "a response: GET {} (it has sent http.response.start and nothing after it)"),
        ((start(), body(b"abc", True)), "completing its response: GET {} (it has sent 3 bytes of its body, and none"),
    ],
)
def test_an_answer_that_is_missing_is_told_by_what_has_come(server: Server, steps: Any, said: str) -> None:
    """Middleware that does not know a message may have swallowed it."""
    run = script(server, *steps)
    with server.connect() as client:
        client.send(run.request())
        client.gone() if len(steps) > 1 else client.answer()
    server.stderr.wait_for("ASGI application returned without " + said.format(run.target.partition("?")[0]))
