"""RFC 9113 sections 8.2 and 8.3, the finer points: what a field or a pseudo-header may hold, and what becomes of it."""

import ast

import pytest

from http2.conftest import Dial
from kit import Serve, Server
from kit.http2 import END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, get

pytestmark = pytest.mark.one_python

METHOD, SCHEME, PATH, AUTHORITY = (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")

WRONG = {
    "8.2.1 a name beyond ASCII": get("/", ("x\xe9", "1")),
    "8.2.1 a name that is no token": get("/", ("x(one)", "1")),
    "8.2.1 a name with DEL": get("/", ("x\x7f", "1")),
    "8.2.1 one capital within": get("/", ("x-oNe", "1")),
    "8.2.1 a pseudo-header in capitals": [METHOD, SCHEME, AUTHORITY, (":Path", "/")],
    "8.2.1 a value of white space": get("/", ("x-one", " ")),
    "8.2.1 a tab before a value": get("/", ("x-one", "\ta")),
    "8.2.1 a space after a value": get("/", ("x-one", "a ")),
    "9110-5.5 a value with a control character": get("/", ("x-one", "a\x01b")),
    "9110-5.5 a value with DEL": get("/", ("x-one", "a\x7fb")),
    "8.2.2 te with more than trailers": get("/", ("te", "trailers, gzip")),
    "8.2.2 te that is empty": get("/", ("te", "")),
    "8.3 a colon and nothing else": get("/", (":", "1")),
    "8.3.1 an empty method": [(":method", ""), SCHEME, PATH, AUTHORITY],
    "8.3.1 a method that is no token": [(":method", "G ET"), SCHEME, PATH, AUTHORITY],
    "8.3.1 an empty scheme": [METHOD, (":scheme", ""), PATH, AUTHORITY],
    "8.3.1 an invalid scheme": [METHOD, (":scheme", "h ttp"), PATH, AUTHORITY],
    "8.3.1 a path without its slash": get("a"),
    "8.3.1 a path with a space": get("/a b"),
    "8.3.1 a path with a control character": get("/a\x01"),
    "8.3.1 a path with DEL": get("/a\x7f"),
    "8.3.1 a star and more": get("*?a", method="OPTIONS"),
    "8.3.1 a star for PRI": get("*", method="PRI"),
    "8.3.1 a path beyond ASCII": get("/\xe9"),
    "8.3.1 an authority with a user": [METHOD, SCHEME, PATH, (":authority", "user@test")],
    "8.3.1 an authority whose port is none": [METHOD, SCHEME, PATH, (":authority", "test:99999")],
    "8.3.1 an authority with a path": [METHOD, SCHEME, PATH, (":authority", "test/a")],
    "8.3.1 host has another port": get("/", ("host", "test:81")),
    "8.3.1 host alone, and empty": [METHOD, SCHEME, PATH, ("host", "")],
    "8.3.1 host alone, and malformed": [METHOD, SCHEME, PATH, ("host", "a b")],
    "8.3.1 host alone, twice": [METHOD, SCHEME, PATH, ("host", "test"), ("host", "test")],
    "9110-8.6 a length with a sign": get("/", ("content-length", "+0")),
    "9110-8.6 an empty length": get("/", ("content-length", "")),
    "9110-8.6 a list of lengths": get("/", ("content-length", "0, 0")),
    "9110-8.6 a length above 64 bits": get("/", ("content-length", "9" * 30)),
    "9110-8.6 a length in hexadecimal": get("/", ("content-length", "0x0")),
    "9110-8.6 two lengths that differ": get("/", ("content-length", "0"), ("content-length", "1")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_reaches_no_application(dial: Dial, name: str) -> None:
    """RFC 9113 section 8.1.1: a stream error, or an answer that says 400 before it."""
    connection = dial()
    connection.expect_malformed(connection.open(WRONG[name]))


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_before_its_body(dial: Dial, name: str) -> None:
    """Whether a body follows makes no difference; what comes of it is thrown away."""
    connection = dial()
    stream = connection.open(WRONG[name], end=False)
    connection.wait(lambda: connection.streams[stream].over)
    found = connection.streams[stream]
    assert found.reset == PROTOCOL_ERROR or found.status == 400
    connection.ping()
    assert connection.alive()


def scope_of(connection: Dial, *fields: tuple[str, str]) -> dict[str, object]:
    scope: dict[str, object] = ast.literal_eval(connection().request(list(fields)).body.decode())
    return scope


SCOPED = (":path", "/scope")


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("", b""),
        ("a\tb", b"a\tb"),
        ("a  b", b"a  b"),
        ('"a:b"', b'"a:b"'),
        ("\xe9", "\xe9".encode()),
        ("a" * 8000, b"a" * 8000),
        (",", b","),
    ],
    ids=["empty", "tab", "spaces", "quoted", "utf-8", "long", "comma"],
)
def test_values_that_may_be(dial: Dial, value: str, seen: bytes) -> None:
    scope = scope_of(dial, METHOD, SCHEME, SCOPED, AUTHORITY, ("x-one", value))
    assert scope["headers"] == [(b"host", b"test"), (b"x-one", seen)]


def test_fields_of_one_name_stay_apart_and_in_order(dial: Dial) -> None:
    fields = [("x-one", "1"), ("x-two", "2"), ("x-one", "3"), ("x-one", "")]
    scope = scope_of(dial, METHOD, SCHEME, SCOPED, AUTHORITY, *fields)
    assert scope["headers"] == [(b"host", b"test"), *((name.encode(), value.encode()) for name, value in fields)]


@pytest.mark.parametrize("name", ["x-underscore_d", "x.dot", "x!#$%&'*+-.^_`|~", "123"])
def test_names_that_may_be(dial: Dial, serve: Serve, name: str) -> None:
    fields = [METHOD, SCHEME, SCOPED, AUTHORITY, (name, "1")]
    assert scope_of(dial, *fields)["headers"] == [(b"host", b"test"), *([] if "_" in name else [(name.encode(), b"1")])]
    allowing = dial(to=serve(header_underscores="allow")).request(fields)
    assert repr((name.encode(), b"1")).encode() in allowing.body


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/scope", "/scope", b"/scope", b""),
        ("/scope?", "/scope", b"/scope", b""),
        ("/scope/a%2Fb?a=%20&b=?", "/scope/a/b", b"/scope/a%2Fb", b"a=%20&b=?"),
        ("/scope/gr%C3%BC%C3%9Fe", "/scope/grüße", b"/scope/gr%C3%BC%C3%9Fe", b""),
        ("/scope//a/../b", "/scope//a/../b", b"/scope//a/../b", b""),
    ],
)
def test_targets(dial: Dial, target: str, path: str, raw_path: bytes, query: bytes) -> None:
    scope = scope_of(dial, METHOD, SCHEME, (":path", target), AUTHORITY)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


@pytest.mark.parametrize("host", ["test", "TEST", "test:80", "test:", "127.0.0.1:8000", "[::1]:443", "a.b-c.example"])
def test_authorities_that_may_be(dial: Dial, host: str) -> None:
    assert scope_of(dial, METHOD, SCHEME, SCOPED, (":authority", host))["headers"] == [(b"host", host.encode())]
    assert scope_of(dial, METHOD, SCHEME, SCOPED, ("host", host))["headers"] == [(b"host", host.encode())]


HTTPS = (":scheme", "https")


@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (SCHEME, "test", "TEST"),
        (SCHEME, "test", "test:80"),
        (SCHEME, "test:80", "test"),
        (SCHEME, "test:", "test:0080"),
        (HTTPS, "test", "test:443"),
        (HTTPS, "test:443", "Test"),
        (HTTPS, "test:8443", "test:8443"),
        (HTTPS, "[::1]", "[::1]:443"),
        (HTTPS, "[2001:DB8::1]:443", "[2001:db8::1]"),
        ((":scheme", "HTTPS"), "test", "test:443"),
        (SCHEME, "a%2Db%3a", "A-b%3A"),
        ((":scheme", "ftp"), "test", "test:"),
    ],
)
def test_the_same_authority_in_host(dial: Dial, scheme: tuple[str, str], authority: str, host: str) -> None:
    """Section 8.3.1: they are normalized to be compared (RFC 3986 section 6.2)."""
    headers = scope_of(dial, METHOD, scheme, SCOPED, (":authority", authority), ("host", host))["headers"]
    assert headers == [(b"host", authority.encode())]


@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (SCHEME, "test", "test:443"),
        (HTTPS, "test", "test:80"),
        (HTTPS, "test", "test:8443"),
        (HTTPS, "test:443", "tests:443"),
        (HTTPS, "test", "tes"),
        (HTTPS, "[::1]:443", "[::2]"),
        (SCHEME, "a%3ab", "a:b"),
        (SCHEME, "a%3ab", "a%3bb"),
        (SCHEME, "test", "te st"),
        (SCHEME, "test", ""),
        ((":scheme", "ftp"), "test", "test:80"),
    ],
)
def test_another_authority_in_host(dial: Dial, scheme: tuple[str, str], authority: str, host: str) -> None:
    connection = dial()
    stream = connection.open([METHOD, scheme, SCOPED, (":authority", authority), ("host", host)])
    connection.expect_stream_error(stream, PROTOCOL_ERROR)


METHODS = [
    "GET",
    "DELETE",
    "PATCH",
    "PROPFIND",
    "X-OWN",
    "get",
    "BLARGH",
    "DESCRIBE",
    "connect",
    "!#$%&'*+-.^_`|~",
    "A" * 32,
]


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_may_be(dial: Dial, h2_server: Server, method: str) -> None:
    """What an application makes of them is its own matter (RFC 9110 section 9.1), over HTTP/1.1 as well."""
    assert scope_of(dial, (":method", method), SCHEME, SCOPED, AUTHORITY)["method"] == method
    with h2_server.connect() as client:
        answer = client.exchange(f"{method} /scope HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert ast.literal_eval(answer.body.decode())["method"] == method


@pytest.mark.parametrize("method", ["PRI", "A" * 33])
def test_methods_that_are_not_implemented(dial: Dial, h2_server: Server, method: str) -> None:
    connection = dial()
    assert connection.request([(":method", method), SCHEME, PATH, AUTHORITY]).status == 501
    assert connection.alive()
    with h2_server.connect() as client:
        assert client.exchange(f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n".encode()).status == 501


def test_registered_methods_alone(dial: Dial, serve: Serve) -> None:
    server = serve(limit_methods="standard")
    connection = dial(to=server)
    statuses = {"GET": 200, "PATCH": 200, "MKCALENDAR": 200, "VERSION-CONTROL": 200, "PURGE": 501, "get": 501, "X": 501}
    for method, status in statuses.items():
        assert connection.request([(":method", method), SCHEME, PATH, AUTHORITY]).status == status
        with server.connect() as client:
            assert client.exchange(f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n".encode()).status == status


def test_head_in_lower_case_has_a_body(dial: Dial) -> None:
    assert dial().request([(":method", "head"), SCHEME, PATH, AUTHORITY]).body == b"ok"


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS", "ftp", "a+b-c.1"])
def test_the_scheme_is_that_of_the_connection(dial: Dial, h2_server: Server, scheme: str) -> None:
    """Section 8.3.1: a proxy may have another one; who may say so is a matter of --forwarded-allow-ips."""
    found = scope_of(dial, METHOD, (":scheme", scheme), SCOPED, AUTHORITY)["scheme"]
    assert found == ("https" if h2_server.secure else "http")


def test_pseudo_headers_in_any_order(dial: Dial) -> None:
    for fields in (
        [SCOPED, METHOD, AUTHORITY, SCHEME],
        [AUTHORITY, SCHEME, SCOPED, METHOD],
        [SCHEME, SCOPED, METHOD, ("x-one", "1"), ("host", "test")],
    ):
        scope = scope_of(dial, *fields)
        headers = scope["headers"]
        assert isinstance(headers, list)
        assert (scope["method"], headers[0]) == ("GET", (b"host", b"test"))
        assert not any(name.startswith(b":") for name, _ in headers)


def test_trailers_of_a_request_are_no_headers(dial: Dial) -> None:
    connection = dial()
    stream = connection.open(get("/scope", ("x-one", "1"), method="POST"), end=False)
    connection.data(stream, b"body")
    connection.frame(
        HEADERS, END_HEADERS | END_STREAM, stream, connection.block([("x-late", "1"), ("x-checksum", "abc")])
    )
    body = connection.response(stream).body
    assert b"x-one" in body
    assert b"x-late" not in body


@pytest.mark.parametrize("name", ["X-Late", "x late", "", ":path", "te", "transfer-encoding", "x\x00"])
def test_trailers_that_are_wrong(dial: Dial, name: str) -> None:
    connection = dial()
    stream = connection.open(get("/echo", method="POST"), end=False)
    connection.data(stream, b"body")
    connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, connection.block([("x-one", "1"), (name, "gzip")]))
    connection.expect_stream_error(stream, PROTOCOL_ERROR)
