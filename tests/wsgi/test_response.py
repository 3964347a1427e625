"""Responses of WSGI applications: results of every kind, early hints, files, and clients that leave."""

import ast
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import Answer, BrokenAnswer, Server, request
from kit.script import Step
from kit.waiting import until
from wsgi.steps import Gate, answers, closings, cut_off, generator, said, script, start

MEBIBYTE = 1 << 20


# ---- results


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 65_536, MEBIBYTE, 10_000_000])
def test_list_of_one_has_a_content_length(server: Server, size: int) -> None:
    with server.connect() as client:
        answer = client.exchange(request("/echo", method="POST", body=bytes(size)))
        assert (answer.get(b"content-length"), answer.body) == (b"%d" % size, bytes(size))
        assert client.exchange(request("/")).body == b"ok"


def test_list_of_one_leaves_in_one_send(server: Server) -> None:
    """One recv brings the whole response, each time."""
    with server.connect() as client:
        for _ in range(200):
            assert client.send(request("/")).receive_once().endswith(b"\r\n\r\nok")


def test_list_of_many(server: Server) -> None:
    run = script(server, start(), ("return", [b"a" * number for number in range(100)]))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"a" * 4950
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("length", [None, "0"])
def test_empty_iterable_has_length_0_or_no_chunks(server: Server, length: str | None) -> None:
    run = script(server, start("200 OK", *([("Content-Length", length)] if length else [])), ("return", []))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing in ("length", "chunked"), answer.body) == (True, b"")
        assert client.exchange(request("/")).body == b"ok"


def test_generator_of_many_pieces(server: Server) -> None:
    run = script(server, start(), generator(("pieces", 3000, 1000)))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("chunked", bytes(3_000_000))
        assert client.exchange(request("/")).body == b"ok"
    assert closings(run.journal()) == 1


def test_generators_of_many_clients(server: Server) -> None:
    """Their pieces come out of one another's way."""
    run = script(server, start(), generator(("pieces", 2000, 100)))
    clients = [server.connect() for _ in range(16)]
    try:
        for client in clients:
            client.send(run.request())
        for client in clients:
            assert len(client.answer().body) == 200_000
    finally:
        for client in clients:
            client.close()


def test_large_piece_of_a_generator(server: Server) -> None:
    run = script(server, start(), generator(("pieces", 2, 5_000_000), ("yield", b"end")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == bytes(10_000_000) + b"end"


def test_slow_reader_gets_everything(server: Server) -> None:
    """Room is made again and again."""
    run = script(server, start(), generator(("pieces", 300, 10_000), ("yield", b"end")))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        run.stands_still()
        assert client.answer().body == bytes(3_000_000) + b"end"
        assert client.exchange(request("/")).body == b"ok"
    assert closings(run.journal()) == 1


def test_pipelined_responses_keep_their_order(server: Server) -> None:
    runs = [
        script(server, start(), generator(("pieces", 50, 1000), ("yield", b"g"))),
        script(server, *answers(data=b"list")),
        script(server, start(), ("write", b"w"), ("return", [b"r"])),
    ]
    with server.connect() as client:
        client.send(b"".join(run.request() for run in runs) * 5)
        for _ in range(5):
            assert client.answer().body[-1:] == b"g"
            assert client.answer().body == b"list"
            assert client.answer().body == b"wr"


@pytest.mark.parametrize("result", [None, 5, b"abc", "abc"], ids=repr)
def test_result_that_is_no_iterable_of_bytes(server: Server, result: Any) -> None:
    """A bytes object gives numbers when it is iterated, and a str gives str."""
    run = script(server, start(), ("return", result))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    said(server, "TypeError", "GET /run/" + run.key)


@pytest.mark.parametrize("piece", ["text", None, 5, [b"a"]], ids=repr)
@pytest.mark.parametrize("kind", ["list", "generator"])
def test_first_piece_that_is_no_bytes_is_500(server: Server, piece: Any, kind: str) -> None:
    run = script(server, start(), ("return", [piece]) if kind == "list" else generator(("yield", piece)))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    said(server, "TypeError", "GET /run/" + run.key)
    if kind == "generator":
        assert closings(run.journal()) == 1


@pytest.mark.parametrize("piece", ["text", None, 5], ids=repr)
def test_later_piece_that_is_no_bytes_breaks_the_answer(server: Server, piece: Any) -> None:
    run = script(server, start(), generator(("yield", b"one", piece, b"two")))
    with server.connect() as client:
        client.send(run.request())
        data = cut_off(client)
    assert b"one" in data
    assert b"two" not in data
    assert not data.endswith(b"0\r\n\r\n")
    said(server, "TypeError", "GET /run/" + run.key)
    assert closings(run.journal()) == 1


@pytest.mark.parametrize("length", ["abc", "-1", "1, 2", "", "+3", "99999999999999999999999"], ids=repr)
def test_bad_content_length_is_refused(server: Server, length: str) -> None:
    """Whether start_response says so or the answer fails: it is not on the wire."""
    run = script(server, *answers(headers=[("Content-Length", length)]))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    said(server, "GET /run/" + run.key)


@pytest.mark.parametrize("keep_alive", [False, True])
def test_http_1_0(server: Server, keep_alive: bool) -> None:
    """Never chunked; kept alive only where a length ends the answer."""
    fields = ["Connection: keep-alive"] * keep_alive
    run = script(server, start(), generator(("yield", b"one", b"two")))
    with server.connect() as client:
        answer = client.exchange(request("/", *fields, version="1.0"))
        assert (answer.framing, answer.body) == ("length", b"ok")
        if not keep_alive:
            assert client.closed()
            client = server.connect()
        answer = client.exchange(run.request(*fields, version="1.0"))
        assert (answer.framing, answer.body) == ("close", b"onetwo")
        client.close()


@pytest.mark.parametrize(
    "result", [("return", [b"abc"]), ("file", "memory", b"abc"), ("return", [b"a", b"bc"])], ids=repr
)
def test_head_has_the_head_of_get(server: Server, result: Any) -> None:
    """RFC 9110 section 9.3.2; how the body would be framed need not be said."""
    run = script(server, start("200 OK", ("X-A", "b")), result)
    with server.connect() as client:
        get = client.exchange(run.request())
        head = client.exchange(run.request(method="HEAD"), "HEAD")
        assert {*of_application(get)} >= {(b"x-a", b"b")}
        assert of_application(head) == of_application(get)
        assert client.exchange(request("/")).body == b"ok"


def of_application(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [field for field in answer.fields if field[0].lower() not in (b"date", b"transfer-encoding")]


def test_endless_generator_is_not_pulled_for_head(server: Server) -> None:
    run = script(server, start(), generator(("endless", 10)))
    with server.connect() as client:
        assert client.exchange(run.request(method="HEAD"), "HEAD").status == 200
        assert client.exchange(request("/")).body == b"ok"
    assert closings(run.journal()) == 1
    assert run.produced() < 100_000


def test_write_and_no_iterable(server: Server) -> None:
    run = script(server, start("200 OK", ("Content-Length", "6")), ("write", b"abc", b"def"), ("return", []))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("length", b"abcdef")
        assert client.exchange(request("/")).body == b"ok"


def test_write_of_more_than_the_queue_holds(server: Server) -> None:
    """write() waits for a client that reads slowly, and nothing is lost."""
    run = script(server, start(), ("write_pieces", 50, 100_000), ("write", b"end"))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        assert client.answer().body == bytes(5_000_000) + b"end"
        assert client.exchange(request("/")).body == b"ok"


def test_calls_after_the_request_is_over(server: Server) -> None:
    """RuntimeError, and no request that came later gets anything of it."""
    kept = script(server, start(), ("keep",), ("return", [b"kept"]))
    with server.connect() as client:
        assert client.exchange(kept.request()).body == b"kept"
        for _ in range(5):
            said = kept.late()
            assert [entry[0] for entry in said] == ["refused", "refused"]
            assert [entry[1][0] for entry in said] == ["RuntimeError", "RuntimeError"]
            answer = client.exchange(request("/"))
            assert (answer.body, answer.get(b"x-late")) == (b"ok", None)


def test_close_that_raises_is_logged_and_spoils_nothing(server: Server) -> None:
    """The answer is already complete."""
    run = script(server, start(), generator(("yield", b"a"), closing=[("raise", "in close")]))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"a"
        assert client.exchange(request("/")).body == b"ok"
    server.expect_traceback("RuntimeError: in close", run.key)


def test_close_that_raises_after_an_error(server: Server) -> None:
    run = script(server, start(), generator(("raise", "in iteration"), closing=[("raise", "in close")]))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
        assert server.get("/") == b"ok"
    server.expect_traceback("RuntimeError: in close", "RuntimeError: in iteration", count=2)


# ---- clients that leave


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_client_leaves_an_endless_generator(server: Server, leave: str) -> None:
    """close() is called at once, with no traceback in the log."""
    run = script(server, start(), generator(("endless", 1000)))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        run.stands_still()
        getattr(client, leave)()
        assert closings(run.journal()) == 1
    assert server.get("/") == b"ok"


def test_client_that_reads_leaves_an_endless_generator(server: Server) -> None:
    run = script(server, start(), generator(("endless", 1000)))
    with server.connect() as client:
        client.send(run.request())
        got = 0
        while got < 5_000_000:
            got += len(client.socket.recv(65_536))
        assert server.get("/") == b"ok"
        client.reset()
    assert closings(run.journal()) == 1


def test_client_leaves_between_two_pieces(server: Server, gate: Gate) -> None:
    """The iterable is closed after the piece that is being made; never before, since it runs."""
    run = script(server, start(), generator(("yield", b"one"), gate.wait, ("yield", b"two"), ("endless", 10_000)))
    client = server.connect()
    assert client.send(run.request()).receive_once().endswith(b"one\r\n")
    client.reset()
    gate.open()
    assert closings(run.journal()) == 1
    assert run.produced() < 20 * MEBIBYTE


def test_client_leaves_while_the_application_is_called(server: Server, gate: Gate) -> None:
    run = script(server, ("say", "called and waits"), gate.wait, start(), generator(("endless", 10_000)))
    client = server.connect()
    mark = len(server.stderr.text)
    client.send(run.request())
    server.stderr.wait_for("called and waits", start=mark)
    client.reset()
    gate.open()
    assert closings(run.journal()) == 1
    assert server.get("/") == b"ok"


def test_write_to_a_client_that_has_left(server: Server) -> None:
    """ClientDisconnected, which is a ConnectionResetError; not logged as an error of the application."""
    run = script(server, start(), ("write_until_refused", 10_000))
    client = server.connect(receive_buffer=4096)
    client.send(run.request())
    assert b"200" in client.receive_once()
    client.reset()
    _, kinds, _ = run.journal(1)[0]
    assert kinds[0] == "ClientDisconnected"
    assert "ConnectionResetError" in kinds


@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("body", [b"", b"a body"])
def test_application_asks_whether_its_client_has_left(server: Server, leave: str, body: bytes) -> None:
    run = script(server, ("await_departure",), *answers())
    client = server.connect()
    mark = len(server.stderr.text)
    client.send(run.request(method="POST" if body else "GET", body=body))
    server.stderr.wait_for("asks", start=mark)
    getattr(client, leave)()
    assert run.journal()[:2] == [("gone", False), ("gone", True)]
    assert server.get("/") == b"ok"


def test_generator_asks_whether_its_client_has_left(server: Server) -> None:
    """Also where requests wait behind its own, in the way of the end."""
    run = script(server, start(), generator(("yield", b"a"), ("await_departure",), ("yield", b"b")))
    client = server.connect()
    mark = len(server.stderr.text)
    client.send(run.request() + request("/") * 3)
    server.stderr.wait_for("asks", start=mark)
    client.close()
    notes = run.journal()
    assert notes[:2] == [("gone", False), ("gone", True)]
    assert closings(notes) == 1


def test_question_that_was_kept_is_of_its_own_request(server: Server) -> None:
    """Whatever becomes of the next ones."""
    kept = script(server, ("keep_asking",), *answers())
    with server.connect() as client:
        assert client.exchange(kept.request()).body == b"ok"
        assert kept.asked() is False
        run = script(server, ("await_departure",), *answers())
        mark = len(server.stderr.text)
        client.send(run.request())
        server.stderr.wait_for("asks", start=mark)
        client.reset()
    assert run.journal()[:2] == [("gone", False), ("gone", True)]
    assert kept.asked() is False


def test_half_closed_client_gets_its_answer(server: Server) -> None:
    run = script(server, start(), generator(("pieces", 100, 1000)))
    with server.connect() as client:
        client.send(run.request()).half_close()
        assert len(client.answer().body) == 100_000


# ---- early hints


LINKS = [("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload")]


def test_early_hints_leave_at_once(server: Server, gate: Gate) -> None:
    """RFC 8297: while the application still works."""
    run = script(server, ("hint", LINKS), gate.wait, ("hint", LINKS[:1]), *answers())
    with server.connect() as client:
        client.send(run.request())
        first = client.answer()
        assert (first.status, first.reason) == (103, b"Early Hints")
        assert first.all(b"link") == [value.encode() for _, value in LINKS]
        gate.open()
        assert client.answer().all(b"link") == [LINKS[0][1].encode()]
        answer = client.answer()
        assert (answer.body, answer.get(b"link")) == (b"ok", None)
        assert client.exchange(request("/")).body == b"ok"


def test_early_hints_are_dropped_for_http_1_0(server: Server) -> None:
    run = script(server, ("hint", LINKS), *answers())
    with server.connect() as client:
        assert client.exchange(run.request(version="1.0")).status == 200


@pytest.mark.parametrize(
    "headers", [5, ["Link"], [("Link", 5)], [(b"Link", b"a")], [("Link", "a\r\nX: y")], [("X Y", "a")]], ids=repr
)
def test_bad_early_hints_raise(server: Server, headers: Any) -> None:
    run = script(server, ("try", ("hint", headers)), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).status == 200
    assert run.journal()[0][1][0] in ("TypeError", "ValueError")


# ---- files


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


KERNEL = ["buffered", "raw"]
"""Those that it sends; of all others it cannot know what is in them."""

KINDS = [*KERNEL, "counted", "memory", "blocks", "pipe"]


def file_step(path: Path, kind: str, *more: Any) -> Step:
    """A pipe holds 64 KiB, and a literal in a request is short: those have contents of their own."""
    source = CONTENT if kind in ("memory", "blocks", "pipe") else str(path)
    return ("file", kind, source, *more)


CONTENT = bytes(range(32, 127)) * 10


def content(path: Path, kind: str) -> bytes:
    return CONTENT if kind in ("memory", "blocks", "pipe") else path.read_bytes()


def check_closed(run: script, kind: str) -> None:
    assert until(lambda: run.files()[0][0] is (None if kind == "blocks" else True)), run.files()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("kind", KINDS)
def test_file_of_every_kind(server: Server, path: Path, kind: str, version: str) -> None:
    """A regular file brings its Content-Length along; each is closed in the end."""
    run = script(server, start(), file_step(path, kind))
    with server.connect() as client:
        answer = client.exchange(run.request(version=version))
        assert answer.body == content(path, kind)
        if kind in KERNEL:
            assert answer.get(b"content-length") == b"256000"
        if version == "1.1":
            assert client.exchange(request("/")).body == b"ok"
    check_closed(run, kind)


@pytest.mark.parametrize("before", [1, 100, 9000])
@pytest.mark.parametrize("kind", ["buffered", "raw", "counted", "memory", "blocks"])
def test_file_from_its_current_position(server: Server, path: Path, kind: str, before: int) -> None:
    """Not that of the descriptor, which is ahead by what is buffered."""
    run = script(server, start(), file_step(path, kind, before))
    with server.connect() as client:
        assert client.exchange(run.request()).body == content(path, kind)[before:]
    check_closed(run, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_file_with_a_content_length_below_its_size(server: Server, path: Path, kind: str) -> None:
    """So many bytes of it, and a file that is sent by the kernel needs no more than that."""
    server.tracebacks_matter = False
    run = script(server, start("200 OK", ("Content-Length", "500")), file_step(path, kind, *[7] * (kind != "pipe")))
    with server.connect() as client:
        begin = 7 * (kind != "pipe")
        assert client.exchange(run.request()).body == content(path, kind)[begin : begin + 500]
        if kind in KERNEL:
            assert client.exchange(request("/")).body == b"ok"
    check_closed(run, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_file_with_a_content_length_above_its_size(server: Server, path: Path, kind: str) -> None:
    run = script(server, start("200 OK", ("Content-Length", "300000")), file_step(path, kind))
    with server.connect() as client:
        with pytest.raises(BrokenAnswer):
            client.exchange(run.request())
        assert client.gone()
    said(server, "shorter than its Content-Length", run.key)
    check_closed(run, kind)


@pytest.mark.parametrize("kind", ["buffered", "counted", "memory"])
def test_file_with_its_own_content_length(server: Server, path: Path, kind: str) -> None:
    body = content(path, kind)
    run = script(server, start("200 OK", ("Content-Length", str(len(body)))), file_step(path, kind))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.get(b"content-length"), answer.body) == (b"%d" % len(body), body)
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("kind", ["buffered", "memory"])
def test_file_at_its_end(server: Server, path: Path, kind: str) -> None:
    run = script(server, start(), file_step(path, kind, len(content(path, kind))))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b""
        assert client.exchange(request("/")).body == b"ok"
    check_closed(run, kind)


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No Content"), ("GET", "205 Reset")],
)
@pytest.mark.parametrize("kind", ["buffered", "memory"])
def test_file_where_http_has_no_body(server: Server, path: Path, kind: str, method: str, status: str) -> None:
    run = script(server, start(status), file_step(path, kind))
    with server.connect() as client:
        assert client.exchange(run.request(method=method), method).body == b""
        assert client.exchange(request("/")).body == b"ok"
    check_closed(run, kind)


def test_real_file_is_sent_by_the_kernel(server: Server, path: Path) -> None:
    """Nobody reads it."""
    run = script(server, start(), ("file", "watched", str(path)))
    with server.connect() as client:
        assert client.exchange(run.request()).body == path.read_bytes()
    assert until(lambda: run.files() == [(True, 0)]), run.files()


@pytest.mark.parametrize("kind", ["counted", "patched"])
def test_file_that_reads_itself_is_read(server: Server, tmp_path: Path, kind: str) -> None:
    """A class of one's own, or a method of one's own: what its read() withholds is not sent."""
    path = tmp_path / "file"
    path.write_bytes(b"Upper and Lower" * 1000)
    run = script(server, start(), ("file", kind, str(path)))
    with server.connect() as client:
        body = client.exchange(run.request()).body
    assert body == (path.read_bytes() if kind == "counted" else path.read_bytes().swapcase())
    check_closed(run, kind)
    assert kind != "counted" or run.files()[0][1] > 0


def test_file_that_says_it_is_empty_is_read(server: Server) -> None:
    """Those of /proc do."""
    run = script(server, start(), ("file", "buffered", "/proc/version"))
    with server.connect() as client:
        assert client.exchange(run.request()).body == Path("/proc/version").read_bytes()
        assert client.exchange(request("/")).body == b"ok"


def test_empty_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    run = script(server, start(), ("file", "buffered", str(path)))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.body, answer.get(b"content-length")) == (b"", b"0")
        assert client.exchange(request("/")).body == b"ok"


def test_wrapper_seeks(server: Server, path: Path) -> None:
    """As the file does; the kernel sends it from there on."""
    steps = [("on_wrapper", "seekable"), ("on_wrapper", "seek", 1000), ("on_wrapper", "tell")]
    run = script(server, start(), ("file", "watched", str(path)), *steps)
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.body, answer.get(b"content-length")) == (path.read_bytes()[1000:], b"255000")
    assert run.journal()[:3] == [("seekable", True), ("seek", 1000), ("tell", 1000)]
    assert until(lambda: run.files() == [(True, 1000)]), run.files()


def test_wrapper_of_what_cannot_seek(server: Server) -> None:
    """It has no such methods: that is how one is told."""
    steps = [("on_wrapper", "seekable"), ("on_wrapper", "seek", 1000), ("on_wrapper", "fileno")]
    run = script(server, start(), ("file", "blocks", CONTENT), *steps)
    with server.connect() as client:
        assert client.exchange(run.request()).body == CONTENT
    assert run.journal()[:3] == [("seekable", None), ("seek", None), ("fileno", None)]


def test_file_with_a_descriptor_of_something_else_is_read(server: Server, tmp_path: Path) -> None:
    """fileno() of a gzip file is that of the compressed bytes, which nobody asked for."""
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"plain" * 1000))
    run = script(server, start(), ("file", "gzip", str(path)))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"plain" * 1000


def test_file_after_write(server: Server, path: Path) -> None:
    """The head has gone without a length."""
    run = script(server, start(), ("write", b"first "), file_step(path, "buffered"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("chunked", b"first " + path.read_bytes())
        assert client.exchange(request("/")).body == b"ok"


def test_block_size_is_what_is_asked_of_the_file(server: Server, path: Path) -> None:
    """8192 where nothing is said."""
    for more, size in (((), 8192), ((0, 5000), 5000)):
        run = script(server, ("file", "raw", str(path), *more), ("blocks",), *answers())
        with server.connect() as client:
            assert client.exchange(run.request()).body == b"ok"
        (_, blocks), _ = run.journal()
        assert set(blocks[:-1]) == {size}
        assert sum(blocks) == 256_000


def test_client_leaves_in_the_middle_of_a_file(server: Server, tmp_path: Path) -> None:
    """The file is closed, and so is every descriptor of it."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 * MEBIBYTE)
    run = script(server, start(), ("file", "buffered", str(large)))
    server.get("/")
    before = server.descriptors()
    for leave in ("reset", "close"):
        client = server.connect(receive_buffer=4096)
        assert b"200" in client.send(run.request()).receive_once()
        getattr(client, leave)()
    assert until(lambda: server.descriptors() <= before)
    assert until(lambda: [closed for closed, _ in run.files()] == [True, True])
    assert server.get("/") == b"ok"


def test_client_leaves_in_the_middle_of_what_is_read(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(bytes(30 * MEBIBYTE), 1))
    run = script(server, start(), ("file", "gzip", str(path)))
    with server.connect(receive_buffer=4096) as client:
        assert b"200" in client.send(run.request()).receive_once()
        assert run.files()[0][0] is False
        client.reset()
    check_closed(run, "gzip")


def test_many_files_at_once(server: Server, path: Path) -> None:
    """Each descriptor is its own, and none is left."""
    run = script(server, start(), file_step(path, "buffered"))
    server.get("/")
    before = server.descriptors()
    clients = [server.connect() for _ in range(20)]
    try:
        for client in clients:
            client.send(run.request() * 3)
        for client in clients:
            assert [len(client.answer().body) for _ in range(3)] == [256_000] * 3
    finally:
        for client in clients:
            client.close()
    assert until(lambda: server.descriptors() <= before)


def test_answers_leave_nothing_in_the_core(server: Server, path: Path) -> None:
    """Live objects of the compiled core; they are counted only in a build for it (FASTSERVE_DEBUG=1)."""

    def ledger() -> dict[str, int]:
        counts: dict[str, int] = ast.literal_eval(server.get("/ledger").decode())
        return counts

    def ask(steps: Callable[[], list[Step]]) -> None:
        run = script(server, *steps())
        with server.connect() as client:
            client.send(run.request("Connection: close"))
            cut_off(client)

    kinds: list[Callable[[], list[Step]]] = [
        answers,
        lambda: [start(), generator(("pieces", 10, 100))],
        lambda: [start(), file_step(path, "buffered")],
        lambda: [start(), ("write", b"a"), ("return", [b"b"])],
    ]
    for kind in kinds:
        ask(kind)
    before = ledger()
    for kind in kinds * 10:
        ask(kind)
    assert until(lambda: ledger() == before), (ledger(), before)
