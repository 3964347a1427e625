"""The standard library's validator (wsgiref.validate) between the server and an application finds nothing."""

import pytest

from kit import Serve, Server, request
from kit.waiting import until

MIB = 1 << 20


@pytest.fixture
def validated(serve: Serve) -> Server:
    return serve("wsgi_validated:app")


def check(server: Server, path: str) -> None:
    """The validator was there, and an iterable that nobody closed has not told of it."""
    assert until(lambda: f"validated {path}\n" in server.stderr_of_this_test())
    log = server.stderr_of_this_test()
    assert "AssertionError" not in log
    assert "garbage collected without being closed" not in log


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/list", b"list"), ("/generator", b"onetwo"), ("/write", b"written yielded"), ("/file", bytes(100_000))],
)
def test_get(validated: Server, path: str, body: bytes, version: str) -> None:
    with validated.connect() as client:
        answer = client.exchange(request(path + "?a=b", "Cookie: a=b", version=version))
        assert (answer.status, answer.body) == (200, body)
    check(validated, path)


@pytest.mark.parametrize("path", ["/list", "/generator", "/write", "/file"])
def test_head(validated: Server, path: str) -> None:
    with validated.connect() as client:
        answer = client.exchange(request(path, method="HEAD"), "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert client.exchange(request("/list")).body == b"list"
    check(validated, path)


@pytest.mark.parametrize("size", [1, 1000, MIB - 100_000])
def test_post_with_a_length(validated: Server, size: int) -> None:
    """In memory and in a file."""
    with validated.connect() as client:
        answer = client.exchange(request("/echo", "Content-Type: a/b", method="POST", body=b"x" * size))
        assert (answer.status, answer.body) == (200, b"x" * size)
    check(validated, "/echo")


@pytest.mark.parametrize("chunks", [1, 30])
def test_post_chunked(validated: Server, chunks: int) -> None:
    data = (b"7530\r\n" + b"x" * 30_000 + b"\r\n") * chunks + b"0\r\n\r\n"
    with validated.connect() as client:
        answer = client.exchange(request("/echo", "Transfer-Encoding: chunked", method="POST") + data)
        assert (answer.status, answer.body) == (200, b"x" * 30_000 * chunks)
    check(validated, "/echo")


def test_lines(validated: Server) -> None:
    with validated.connect() as client:
        answer = client.exchange(request("/lines", method="POST", body=b"one\ntwo\nthree"))
        assert (answer.status, answer.body) == (200, b"threetwo\none\n")
    check(validated, "/lines")


@pytest.mark.parametrize("root_path", ["/mounted", ""])
def test_mounted(serve: Serve, root_path: str) -> None:
    """The validator wants SCRIPT_NAME and PATH_INFO to fit together."""
    server = serve("wsgi_validated:app", **({"root_path": root_path} if root_path else {}))
    for path in ("/list", "/", ""):
        with server.connect() as client:
            assert client.exchange(request((root_path + path) or "/")).body == b"list"
    check(server, "/list")


def test_validator_would_be_seen(serve: Serve) -> None:
    """What these tests rely on: an AssertionError is a 500 with a traceback."""
    server = serve("wsgi_validated:app")
    with server.connect() as client:
        assert client.exchange(request("/list", method="GET")).status == 200
        assert client.exchange(request("/wrong")).status == 500
    server.expect_traceback("AssertionError")
