"""--header, --server-header, --date-header."""

from kit import Serve, request, script
from kit.http2 import HTTP2, get
from kit.script import answers


def test_extra_headers_are_added_to_each_response(serve: Serve) -> None:
    server = serve(header=["X-One: 1", "X-Two: a: b"])
    with server.connect() as client:
        for _ in range(2):
            answer = client.exchange(request("/"))
            assert (answer.get(b"x-one") or answer.get(b"X-One")) == b"1"
            assert answer.all(b"x-two") == [b"a: b"]
        assert client.exchange(b"GET / HTTP/1.1\r\n\r\n").all(b"x-one") == [b"1"]


def test_no_server_header(serve: Serve) -> None:
    server = serve(server_header=False)
    with server.connect() as client:
        assert client.exchange(request("/")).get(b"server") is None


def test_no_date_header(serve: Serve) -> None:
    server = serve(date_header=False)
    with server.connect() as client:
        answer = client.exchange(request("/"))
        assert answer.get(b"date") is None
        assert answer.get(b"server") == b"fastserve"


def test_own_server_header_by_option(serve: Serve) -> None:
    server = serve(server_header=False, header=["Server: mine"])
    with server.connect() as client:
        assert client.exchange(request("/")).all(b"server") == [b"mine"]


def test_a_header_of_the_server_by_option_takes_its_place(serve: Serve) -> None:
    """Neither comes twice; an application's own stands before both."""
    fields = ["X-One: 1", "SERVER: first", "Date: then", "Server: mine", "X-Two: 2"]
    server = serve(header=fields)
    own = script(server, *answers(headers=[(b"server", b"theirs"), (b"date", b"now")]))
    with HTTP2(server) as connection:
        found = connection.request(get("/")).heads[0]
        expected = [("server", "mine"), ("date", "then"), ("x-one", "1"), ("x-two", "2")]
        assert sorted(pair for pair in found if not pair[0].startswith((":", "content"))) == sorted(expected)
        found = connection.request(get(own.target)).heads[0]
        expected = [("server", "theirs"), ("date", "now"), ("x-one", "1"), ("x-two", "2")]
        assert sorted(pair for pair in found if not pair[0].startswith((":", "content"))) == sorted(expected)
    with server.connect() as client:
        for _ in range(2):
            answer = client.exchange(request("/"))
            assert (answer.all(b"server"), answer.all(b"date")) == ([b"mine"], [b"then"])
            assert (answer.all(b"x-one"), answer.all(b"x-two")) == ([b"1"], [b"2"])
            answer = client.exchange(own.request())
            assert (answer.all(b"server"), answer.all(b"date")) == ([b"theirs"], [b"now"])
            assert answer.all(b"x-two") == [b"2"]
        refusal = client.exchange(b"GET / HTTP/1.1\r\n\r\n")
        assert (refusal.status, refusal.all(b"server"), refusal.all(b"date")) == (400, [b"mine"], [b"then"])


def test_extra_header_beside_the_applications_own(serve: Serve) -> None:
    server = serve(header=["X-One: 1", "X-Two: a: b"])
    run = script(server, *answers(headers=[(b"x-one", b"mine")]))
    with server.connect() as client:
        assert b"mine" in client.exchange(run.request()).all(b"x-one")
