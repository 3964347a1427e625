"""wsgi.input: the whole body, kept until it is there, read as any file (PEP 3333 "Input and Error Streams")."""

import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kit import Client, Serve, Server, default_command, request
from kit.descriptors import opened
from kit.waiting import until
from wsgi.steps import Gate, answers, cut_off, said, script

CHUNKED = "Transfer-Encoding: chunked"
MEBIBYTE = 1 << 20
SMALL = 1000
"""--body-buffer-size of the servers whose bodies are to land in a file."""

CALLS: list[list[Any]] = [
    [["read"], ["read"]],
    [["read", -1], ["read", -1]],
    [["read", None], ["read", 1]],
    [["read", 0], ["read", 1], ["read", 10], ["read", 10_000_000], ["read", 1]],
    [["readline"], ["readline"], ["read", 4], ["readline"], ["read"]],
    [["readline", 0], ["readline", 3], ["readline", -1], ["readline", 10_000], ["readline", None], ["readline"]],
    [["readlines"], ["readlines"], ["read"], ["readline"]],
    [["readlines", 0], ["read"]],
    [["readlines", 20], ["readlines", 1], ["readlines", -1], ["readlines", None]],
    [["iterate"], ["iterate"], ["read"]],
    [["readline"], ["iterate"], ["readline"]],
    [["read", 5], ["readlines", 7], ["iterate"]],
]


def text(size: int) -> bytes:
    """Lines of many lengths, empty ones too, and the last without an end."""
    data, number = b"", 0
    while len(data) < size:
        data += bytes([97 + number % 26]) * (number * 7 % 23) + b"\n" * (1 + (number % 5 == 0)) + b"\r"
        number += 1
    return data[:size]


def digest(value: Any) -> Any:
    """As the scripted application shortens what it notes."""
    if isinstance(value, list):
        return digest(repr(value).encode()) if len(repr(value)) > 500 else value
    return (len(value), sha256(value).hexdigest()) if len(value) > 100 else value


def as_python_reads(body: bytes, calls: list[Any]) -> list[Any]:
    stream = io.BufferedReader(io.BytesIO(body))
    seen = []
    for name, *arguments in calls:
        seen.append((name, digest([*stream] if name == "iterate" else getattr(stream, name)(*arguments))))
    return seen


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upload(run: script, body: bytes, chunked: bool, size: int = 377) -> bytes:
    if chunked:
        return run.request(CHUNKED, method="POST") + chunks(body, size)
    return run.request("Content-Length: 0", method="POST") if not body else run.request(method="POST", body=body)


@pytest.fixture
def narrow(serve: Serve) -> Server:
    return serve(body_buffer_size=SMALL)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 5 * SMALL])
def test_input_reads_like_a_file(narrow: Server, size: int, chunked: bool) -> None:
    """Every method with every kind of size, for bodies in memory and in a file."""
    body = text(size)
    with narrow.connect() as client:
        for calls in CALLS:
            run = script(narrow, ("input", calls), *answers())
            assert client.exchange(upload(run, body, chunked)).body == b"ok"
            assert run.journal()[:-1] == as_python_reads(body, calls), calls


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 8192, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 3_000_000])
def test_body_arrives_whole(server: Server, size: int, chunked: bool) -> None:
    """Around the default buffer size, and far beyond."""
    body = os.urandom(size)
    head = request("/echo", CHUNKED if chunked else f"Content-Length: {size}", method="POST")
    with server.connect() as client:
        for _ in range(2):
            assert client.exchange(head + (chunks(body, 70_000) if chunked else body)).body == body


@pytest.mark.parametrize("size", [1, 7, 333])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_that_comes_in_small_pieces(narrow: Server, size: int, chunked: bool) -> None:
    body = text(300 if size == 1 else 3 * SMALL)
    run = script(narrow, ("input", [["read"]]), *answers())
    data = upload(run, body, chunked, 13)
    with narrow.connect() as client:
        for begin in range(0, len(data), size):
            client.send(data[begin : begin + size])
        assert client.answer().body == b"ok"
    assert run.journal()[0] == ("read", digest(body))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [10, SMALL * 3])
def test_nothing_can_be_read_past_the_body(narrow: Server, size: int, chunked: bool) -> None:
    """Pipelined requests come right behind it, and stay whole."""
    body = text(size)
    run = script(narrow, ("input", [["read", size + 1], ["read", 1], ["readline"], ["iterate"]]), *answers())
    with narrow.connect() as client:
        client.send((upload(run, body, chunked) + request("/echo", method="POST", body=b"next")) * 3)
        for _ in range(3):
            assert client.answer().body == b"ok"
            assert client.answer().body == b"next"
    once = [("read", digest(body)), ("read", b""), ("readline", b""), ("iterate", []), ("end", None)]
    assert run.journal() == once * 3


@pytest.mark.parametrize("size", [10, 3 * SMALL, 300_000])
def test_body_that_is_not_read_does_not_stay_in_the_way(narrow: Server, size: int) -> None:
    run = script(narrow, *answers())
    with narrow.connect() as client:
        for _ in range(3):
            assert client.exchange(run.request(method="POST", body=bytes(size))).body == b"ok"


def test_application_is_not_called_before_the_body_is_there(server: Server) -> None:
    """So a slow client never holds a thread, not even the only one."""
    runs = [script(server, *answers()) for _ in range(20)]
    clients = [server.connect().send(run.request("Content-Length: 4", method="POST") + b"abc") for run in runs]
    try:
        for _ in range(20):
            assert server.get("/") == b"ok"
        assert not any(run.noted() for run in runs)
        for client in clients:
            assert client.exchange(b"d").body == b"ok"
    finally:
        for client in clients:
            client.close()


def test_continue_is_sent_at_once(server: Server) -> None:
    """Before the application is called, which would read nothing (RFC 9110 section 10.1.1)."""
    run = script(server, *answers())
    with server.connect() as client:
        client.send(run.request(CHUNKED, "Expect: 100-continue", method="POST"))
        assert client.answer().status == 100
        assert not run.noted()
        assert client.exchange(b"3\r\nabc\r\n0\r\n\r\n").body == b"ok"


# ---- the file


def files_in(server: Server, folder: Path) -> list[str]:
    """What the server has open there."""
    return [name for name in descriptors(server) if name.startswith(str(folder))]


def descriptors(server: Server) -> list[str]:
    names = opened(server.pid).values()
    return sorted(name for name in names if not name.startswith("socket:"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bodies"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_body_is_in_a_file_without_a_name(start_server: Serve, folder: Path, gate: Gate, chunked: bool) -> None:
    """In TMPDIR, as long as the request lasts; nothing of it is left, neither a name nor a descriptor."""
    server = start_server(environment={"TMPDIR": str(folder)}, body_buffer_size=SMALL)
    body = text(SMALL + 1)
    server.get("/")
    before = descriptors(server)
    run = script(server, ("say", "has it"), gate.wait, ("input", [["read"]]), *answers())
    with server.connect() as client:
        client.send(upload(run, body, chunked))
        server.stderr.wait_for("has it")
        assert len(files_in(server, folder)) == 1
        assert not list(folder.iterdir())
        gate.open()
        assert client.answer().body == b"ok"
        assert run.journal()[0] == ("read", digest(body))
        assert until(lambda: descriptors(server) == before), (descriptors(server), before)
    assert not list(folder.iterdir())


def test_small_body_is_in_memory(start_server: Serve, folder: Path, gate: Gate) -> None:
    server = start_server(environment={"TMPDIR": str(folder)}, body_buffer_size=SMALL)
    run = script(server, ("say", "has it"), gate.wait, *answers())
    with server.connect() as client:
        client.send(upload(run, text(SMALL), chunked=False))
        server.stderr.wait_for("has it")
        assert not files_in(server, folder)
        gate.open()
        assert client.answer().body == b"ok"


def test_file_of_a_body_that_never_comes_is_closed(start_server: Serve, folder: Path) -> None:
    """The client leaves in the middle, by FIN and by RST."""
    server = start_server(environment={"TMPDIR": str(folder)}, body_buffer_size=SMALL)
    server.get("/")
    before = descriptors(server)
    clients = [server.connect().send(request("/echo", "Content-Length: 5000", method="POST")) for _ in range(10)]
    for client in clients:
        client.send(bytes(3000))
    assert until(lambda: len(files_in(server, folder)) == 10)
    for client in clients[:5]:
        client.reset()
    for client in clients[5:]:
        client.close()
    assert until(lambda: descriptors(server) == before), (descriptors(server), before)


@pytest.mark.alone
def test_upload_does_not_grow_memory(start_server: Serve, folder: Path) -> None:
    server = start_server(environment={"TMPDIR": str(folder)}, access_log=False)
    run = script(server, *answers())
    piece = bytes(MEBIBYTE)
    with server.connect() as client:
        client.exchange(run.request(method="POST", body=piece))
        before = server.resident()
        client.send(run.request(f"Content-Length: {32 * MEBIBYTE}", method="POST"))
        for _ in range(31):
            client.send(piece)
        assert server.resident() - before < 4 * MEBIBYTE
        assert client.exchange(piece).body == b"ok"
        assert server.resident() - before < 4 * MEBIBYTE


# ---- a full disk


class LimitedServer(Server):
    """A server whose files cannot become larger than 64 KiB, as on a full disk."""

    @staticmethod
    def command(application: str, options: list[str]) -> list[str]:
        return ["sh", "-c", 'ulimit -f 128; exec "$@"', "sh", *default_command(application, options)]


@pytest.fixture
def full_disk(folder: Path, threads: int) -> Iterator[Server]:
    """TMPDIR has room for 64 KiB: a file system of its own where that may be mounted, else a limit of the process."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    kind = Server if mounted else LimitedServer
    options: dict[str, Any] = {"threads": threads, "body_buffer_size": SMALL, "limit_body_files": 0}
    try:
        with kind("wsgi_scripted:app", environment={"TMPDIR": str(folder)}, **options) as server:
            yield server
            server.stop()
            server.check_tracebacks()
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def refused(client: Client, data: bytes) -> int:
    """The status of an upload that is answered before it is whole."""
    with suppress(ConnectionError):
        client.send(data)
    answer = client.answer()
    assert answer.closes
    return answer.status


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_full_disk_is_507_and_nothing_else_breaks(full_disk: Server, chunked: bool) -> None:
    """RFC 4918 section 11.5; the application is not called, others are served, and room that is free again is used."""
    server = full_disk
    server.get("/")
    before = descriptors(server)
    run = script(server, *answers())
    with server.connect() as other:
        for _ in range(3):
            with server.connect() as client:
                assert refused(client, upload(run, bytes(150_000), chunked, 10_000)) == 507
            assert other.exchange(request("/")).body == b"ok"
            assert other.exchange(request("/echo", method="POST", body=bytes(20_000))).body == bytes(20_000)
    assert until(lambda: server.stderr_of_this_test().count("cannot be stored") >= 3)
    assert said(server, run.key).count("cannot be stored") == 3
    assert not run.noted()
    assert until(lambda: descriptors(server) == before), (descriptors(server), before)


# ---- bodies that never reach the application


CUT: list[tuple[str, Callable[[script], bytes]]] = [
    ("length", lambda run: run.request("Content-Length: 10", method="POST") + b"12345"),
    ("long", lambda run: run.request("Content-Length: 5000", method="POST") + bytes(3000)),
    ("chunk", lambda run: run.request(CHUNKED, method="POST") + b"5\r\nab"),
    ("last chunk", lambda run: run.request(CHUNKED, method="POST") + b"2\r\nab\r\n"),
    ("trailers", lambda run: run.request(CHUNKED, method="POST") + b"2\r\nab\r\n0\r\nX: y\r\n"),
]


@pytest.mark.parametrize("ending", ["half_close", "reset", "close"])
@pytest.mark.parametrize("data", [data for _, data in CUT], ids=[name for name, _ in CUT])
def test_cut_body_never_reaches_the_application(narrow: Server, data: Callable[[script], bytes], ending: str) -> None:
    """The log has a client that has left; one that still reads hears what was wrong."""
    run = script(narrow, *answers())
    with narrow.connect() as client:
        client.send(data(run)).taken()
        getattr(client, ending)()
        if ending == "half_close":
            assert cut_off(client).startswith(b"HTTP/1.1 400 ")
    logged = re.compile(re.escape(run.key) + r"\S* HTTP/1\.1\" 499 ")
    narrow.stdout.wait(lambda text: logged.search(text) is not None)
    for _ in range(3):
        assert narrow.get("/") == b"ok"
    assert not run.noted()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_too_large_body_never_reaches_the_application(serve: Serve, chunked: bool) -> None:
    server = serve(limit_request_body=5 * SMALL, body_buffer_size=SMALL)
    run = script(server, *answers())
    with server.connect() as client:
        assert client.exchange(upload(run, bytes(5 * SMALL), chunked)).status == 200
    run.journal(1)
    with server.connect() as client:
        assert refused(client, upload(run, bytes(5 * SMALL + 1), chunked)) == 413
    server.get("/")
    assert len(run.noted()) == 1


@pytest.mark.parametrize("data", [data for _, data in CUT], ids=[name for name, _ in CUT])
def test_late_body_never_reaches_the_application(serve: Serve, data: Callable[[script], bytes]) -> None:
    """408 by the deadline for bodies, others are served meanwhile."""
    server = serve(timeout_request_body=0.3, body_buffer_size=SMALL)
    run = script(server, *answers())
    with server.connect() as client:
        client.send(data(run))
        for _ in range(5):
            assert server.get("/") == b"ok"
        answer = client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert client.gone()
    assert not run.noted()


@pytest.mark.parametrize("chunk", [b"g\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"-1\r\n\r\n"], ids=repr)
def test_bad_chunk_never_reaches_the_application(server: Server, chunk: bytes) -> None:
    run = script(server, *answers())
    with server.connect() as client:
        answer = client.exchange(run.request(CHUNKED, method="POST") + chunk)
        assert (answer.status, answer.closes) == (400, True)
    server.get("/")
    assert not run.noted()
