"""FEATURES' HTTP/1.1 table, the rows about request heads: RFC 9112 sections 2, 3, 5 and 6."""

import ast
from typing import Any

import pytest

from kit import Answer, Serve, Server, request

HOST = b"Host: test\r\n"


def refused(server: Server, data: bytes) -> Answer:
    """The error response; the connection must end after it and the server must go on."""
    with server.connect() as client:
        answer = client.exchange(data)
        assert answer.closes, answer
        client.half_close()
        assert client.closed()
    assert server.get("/") == b"ok"
    return answer


def scope_of(server: Server, data: bytes) -> dict[str, Any]:
    with server.connect() as client:
        answer = client.exchange(data)
        assert answer.status == 200, answer
        scope: dict[str, Any] = ast.literal_eval(answer.body.decode())
        return scope


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


GET = b"GET / HTTP/1.1"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([GET], id="none"),
        pytest.param([GET, b"Host: a", b"Host: a"], id="two"),
        pytest.param([GET, b"Host: a", b"Host: b"], id="two-different"),
        pytest.param([GET, b"Host: a b"], id="space"),
        pytest.param([GET, b"Host: a/b"], id="slash"),
        pytest.param([GET, b"Host: user@a"], id="userinfo"),
        pytest.param([GET, b"Host: a:80b"], id="port"),
        pytest.param([GET, b"Host: [::1"], id="bracket"),
        pytest.param([GET, b"Host: a?b"], id="query"),
    ],
)
def test_bad_host_is_400(server: Server, lines: list[bytes]) -> None:
    assert refused(server, head(*lines)).status == 400


@pytest.mark.parametrize(
    "value", [b"a", b"a:80", b"a:", b"[::1]:80", b"127.0.0.1", b"a_b-c.example.", b"a,b", b""]
)  # a comma: RFC 3986 3.2.2
def test_good_host_is_served(server: Server, value: bytes) -> None:
    assert (b"host", value) in scope_of(server, head(b"GET /scope HTTP/1.1", b"Host: " + value))["headers"]


def test_http_1_0_needs_no_host(server: Server) -> None:
    with server.connect() as client:
        assert client.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 200


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 0"],
    ],
    ids=["length-first", "coding-first", "zero"],
)
def test_content_length_with_transfer_encoding_is_400(server: Server, lines: list[bytes]) -> None:
    assert refused(server, head(b"POST / HTTP/1.1", b"Host: a", *lines) + b"0\r\n\r\n").status == 400


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Content-Length: 1", b"Content-Length: 2"], id="differing"),
        pytest.param([b"Content-Length: 1, 2"], id="joined-differing"),
        pytest.param([b"Content-Length: 1, 1"], id="joined"),
        pytest.param([b"Content-Length: +1"], id="plus"),
        pytest.param([b"Content-Length: -1"], id="minus"),
        pytest.param([b"Content-Length: 18446744073709551616"], id="two-to-the-64"),
        pytest.param([b"Content-Length: 18446744073709551617"], id="wraps-to-one"),
        pytest.param([b"Content-Length: 9223372036854775808"], id="two-to-the-63"),
        pytest.param([b"Content-Length: 0x1"], id="hex"),
        pytest.param([b"Content-Length: 1 1"], id="space"),
        pytest.param([b"Content-Length: 1_0"], id="underscore"),
        pytest.param([b"Content-Length: "], id="empty"),
        pytest.param([b"Content-Length: 1.0"], id="fraction"),
    ],
)
def test_bad_content_length_is_refused(server: Server, lines: list[bytes]) -> None:
    answer = refused(server, head(b"POST / HTTP/1.1", b"Host: a", *lines) + b"x")
    if lines == [b"Content-Length: 9223372036854775808"]:  # a number, only too large a one
        assert answer.status in (400, 413)
    else:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"gzip", 501),
        (b"gzip, chunked", 501),
        (b"identity", 501),
        (b"x-chunked", 501),
        (b"chunked; a=b", 501),
        (b"", 400),
        (b"chunked,", 400),
        (b"chunked, chunked", 400),
        (b"\x0bchunked", 400),
    ],
    ids=repr,
)
def test_transfer_encoding_other_than_chunked(server: Server, value: bytes, status: int) -> None:
    data = head(b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: " + value) + b"0\r\n\r\n"
    got = refused(server, data).status
    if value in (
        b"chunked,",
        b"chunked, chunked",
        b"",
        b"chunked; a=b",
    ):  # RFC 9112 section 6.1: either answer is right
        assert got in (400, 501)
    else:
        assert got == status


def test_transfer_encoding_twice_is_refused(server: Server) -> None:
    lines = [b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"]
    assert refused(server, head(*lines) + b"0\r\n\r\n").status in (400, 501)


def test_transfer_encoding_in_http_1_0_is_400(server: Server) -> None:
    data = head(b"POST / HTTP/1.0", b"Host: a", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    assert refused(server, data).status == 400


def test_chunked_is_not_case_sensitive(server: Server) -> None:
    data = head(b"POST /echo HTTP/1.1", b"Host: a", b"Transfer-Encoding: Chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    with server.connect() as client:
        assert client.exchange(data).body == b"abc"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", id="bare-lf-everywhere"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\r\n\r\n", id="bare-lf-request-line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", id="bare-lf-field"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\n", id="bare-lf-end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", id="obs-fold"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n", id="obs-fold-tab"),
        pytest.param(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", id="space-before-first-field"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", id="space-before-colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB\t: c\r\n\r\n", id="tab-before-colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\x00d\r\n\r\n", id="nul-in-value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\rd\r\n\r\n", id="cr-in-value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\x7fd\r\n\r\n", id="del-in-value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\x01d\r\n\r\n", id="control-in-value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n", id="empty-name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB c\r\n\r\n", id="no-colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB(: c\r\n\r\n", id="delimiter-in-name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB\xe9: c\r\n\r\n", id="obs-text-in-name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nB\x00: c\r\n\r\n", id="nul-in-name"),
    ],
)
def test_bad_field_syntax_is_400(server: Server, data: bytes) -> None:
    assert refused(server, data).status == 400


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", id="two-spaces"),
        pytest.param(b"GET / \r\nHost: a\r\n\r\n", id="no-version"),
        pytest.param(b"GET /\r\nHost: a\r\n\r\n", id="http-0.9"),
        pytest.param(b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", id="no-slash"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", id="space-in-target"),
        pytest.param(b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", id="nul-in-target"),
        pytest.param(b"GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n", id="del-in-target"),
        pytest.param(b"GET / http/1.1\r\nHost: a\r\n\r\n", id="lower-case-version"),
        pytest.param(b"GET / HTTP/1\r\nHost: a\r\n\r\n", id="short-version"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", id="space-at-the-end"),
        pytest.param(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", id="asterisk-without-options"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls-hello"),
    ],
)
def test_bad_request_line_is_400(server: Server, data: bytes) -> None:
    assert refused(server, data).status == 400


def test_empty_lines_before_the_request_line_are_ignored(server: Server) -> None:
    """RFC 9112 section 2.2."""
    with server.connect() as client:
        assert client.exchange(b"\r\n" + request("/")).status == 200
        assert client.exchange(b"\r\n" + request("/")).status == 200


@pytest.mark.parametrize("method", ["FOO", "GETT", "GE", "brew", "get", "DESCRIBE"])
def test_any_method_reaches_the_application(serve: Serve, server: Server, method: str) -> None:
    """RFC 9110 section 9.1: an application decides. By option, what is not registered is not implemented."""
    assert scope_of(server, request("/scope", method=method))["method"] == method
    assert refused(serve(limit_methods="standard"), request("/", method=method)).status == 501


@pytest.mark.parametrize("method", ["GE(T", "G@T", "G\x00T", '"GET"', "GÉT"])
def test_invalid_method_is_400(server: Server, method: str) -> None:
    assert refused(server, request("/", method=method)).status == 400


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_known_methods_are_served(server: Server, method: str) -> None:
    assert scope_of(server, request("/scope", method=method))["method"] == method


@pytest.mark.parametrize("version", ["1.2", "1.9"])
def test_a_later_minor_version_is_served_as_1_1(server: Server, version: str) -> None:
    """RFC 9110 section 2.5."""
    scope = scope_of(server, request("/scope", version=version))
    assert scope["http_version"] == "1.1"


@pytest.mark.parametrize("version", ["2.0", "3.7", "0.9", "9.9"])
def test_other_versions_are_505(server: Server, version: str) -> None:
    assert refused(server, request("/", version=version)).status == 505


def test_connect_is_refused_and_opens_no_tunnel(server: Server) -> None:
    answer = refused(server, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
    assert answer.status in (400, 405, 501)


def test_absolute_target_replaces_host(server: Server) -> None:
    """RFC 9112 section 3.2.2."""
    scope = scope_of(server, b"GET http://example.org:81/scope?b=c HTTP/1.1\r\nA: b\r\nHost: other\r\n\r\n")
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"example.org:81"]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/scope", b"/scope", b"b=c")


def test_absolute_target_without_a_path_is_the_root(server: Server) -> None:
    with server.connect() as client:
        assert client.exchange(b"GET http://example.org HTTP/1.1\r\nHost: a\r\n\r\n").body == b"ok"
        assert client.exchange(b"GET http://example.org?a HTTP/1.1\r\nHost: a\r\n\r\n").body == b"ok"


def test_options_asterisk(server: Server) -> None:
    with server.connect() as client:
        assert client.exchange(request("*", method="OPTIONS")).status == 200


@pytest.mark.parametrize("value", [b"\t a \t", b"a", b"\xe9\xff", b"a  b", b"a\tb", b""], ids=repr)
def test_field_values_arrive_without_outer_blanks(server: Server, value: bytes) -> None:
    scope = scope_of(server, b"GET /scope HTTP/1.1\r\nHost: a\r\nX-A:" + value + b"\r\n\r\n")
    assert (b"x-a", value.strip(b" \t")) in scope["headers"]


def test_header_too_big_is_refused_while_it_comes(server: Server) -> None:
    """A client that never ends its head does not fill the memory."""
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000)
        answer = client.answer()
        assert answer.status == 431
        assert answer.closes


def test_endless_target_is_refused_while_it_comes(server: Server) -> None:
    with server.connect() as client:
        client.send(b"GET /" + b"x" * 10_000)
        assert client.answer().status == 414


def test_error_after_good_requests_answers_those_first(server: Server) -> None:
    """Pipelining: an error in the middle answers what came before."""
    with server.connect() as client:
        client.send(
            request("/echo", method="POST", body=b"one") + request("/") + b"GET / HTTP/1.1\r\n\r\n" + request("/")
        )
        assert client.answer().body == b"one"
        assert client.answer().body == b"ok"
        answer = client.answer()
        assert answer.status == 400
        assert answer.closes
        client.half_close()
        assert client.closed()
