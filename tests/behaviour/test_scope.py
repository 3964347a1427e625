"""The scope of an HTTP request: rows A1 to A8 and H1 to H7."""

import ast
from pathlib import Path
from typing import Any

import pytest

from kit import Serve, Server, request, script
from kit.script import answers

JSON_TYPES = (bytes, str, int, float, list, tuple, dict, bool, type(None))


def scope_of(server: Server, data: bytes) -> dict[str, Any]:
    with server.connect() as client:
        scope: dict[str, Any] = ast.literal_eval(client.exchange(data).body.decode())
        return scope


def only_plain_types(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and only_plain_types(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(only_plain_types(item) for item in value)
    return type(value) in JSON_TYPES


@pytest.mark.plain
def test_a1_h1_h2_scope_is_complete(server: Server) -> None:
    """A1, A2, A3, H1 to H6."""
    with server.connect() as client:
        data = request("/scope/a%20b%2Fc?d=e%20f&g", "X-A: B", "Cookie: c=1", "cookie: d=2", method="GET")
        scope = ast.literal_eval(client.exchange(data).body.decode())
        port = client.port
    assert scope.pop("kind") == "dict"
    assert scope.pop("extensions").keys() == {"http.response.early_hint"}  # trailers need TE: trailers
    assert scope.pop("state", {}) == {}
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/scope/a b/c",
        "raw_path": b"/scope/a%20b%2Fc",
        "query_string": b"d=e%20f&g",
        "root_path": "",
        "headers": [(b"host", b"test"), (b"x-a", b"B"), (b"cookie", b"c=1"), (b"cookie", b"d=2")],
        "client": ("127.0.0.1", port),
        "server": ("127.0.0.1", server.port),
    }


def test_a3_only_plain_types(server: Server) -> None:
    scope = scope_of(server, request("/scope"))
    assert only_plain_types(scope)
    assert type(scope["client"][1]) is int
    assert type(scope["server"][1]) is int


def test_h1_http_1_0(server: Server) -> None:
    scope = scope_of(server, b"GET /scope HTTP/1.0\r\n\r\n")
    assert scope["http_version"] == "1.0"
    assert scope["headers"] == []


@pytest.mark.parametrize(
    ("target", "path", "raw"),
    [
        ("/scope/%C3%A9", "/scope/é", b"/scope/%C3%A9"),
        ("/scope/%e2%82%ac", "/scope/€", b"/scope/%e2%82%ac"),
        ("/scope/%2525", "/scope/%25", b"/scope/%2525"),
        ("/scope/%", "/scope/%", b"/scope/%"),
        ("/scope/%zz", "/scope/%zz", b"/scope/%zz"),
        ("/scope/%4", "/scope/%4", b"/scope/%4"),
        ("/scope/a+b", "/scope/a+b", b"/scope/a+b"),
        ("/scope//x/../y", "/scope//x/../y", b"/scope//x/../y"),
        ("/scope/;a=b", "/scope/;a=b", b"/scope/;a=b"),
        ("/scope/%00", "/scope/\x00", b"/scope/%00"),
    ],
)
def test_h3_path_is_decoded_and_raw_path_is_not(server: Server, target: str, path: str, raw: bytes) -> None:
    scope = scope_of(server, request(target))
    assert (scope["path"], scope["raw_path"]) == (path, raw)


def test_h3_path_that_is_no_utf8_does_not_break_the_server(server: Server) -> None:
    with server.connect() as client:
        answer = client.exchange(request("/scope/%ff%fe"))
        assert answer.status in (200, 400)
        if answer.status == 200:
            assert type(ast.literal_eval(answer.body.decode())["path"]) is str


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/scope", b""),
        ("/scope?", b""),
        ("/scope?a?b", b"a?b"),
        ("/scope?%ff%00+", b"%ff%00+"),
        ("/scope??", b"?"),
    ],
)
def test_h3_query_string_is_the_raw_bytes(server: Server, target: str, query: bytes) -> None:
    assert scope_of(server, request(target))["query_string"] == query


def test_h3_target_with_bytes_above_ascii_is_refused_or_kept_as_it_is(server: Server) -> None:
    """RFC 3986 has no such bytes in a URI; RFC 9112 section 3 asks for 400 and bears with them."""
    with server.connect() as client:
        answer = client.exchange(b"GET /scope?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status in (200, 400)
        if answer.status == 200:
            assert ast.literal_eval(answer.body.decode())["query_string"] == b"\xc3\xa9"


def test_h4_root_path_is_in_front_of_the_path(serve: Serve) -> None:
    scope = scope_of(serve(root_path="/mounted"), request("/scope/a%20b"))
    assert scope["root_path"] == "/mounted"
    assert scope["path"] == "/mounted/scope/a b"


def test_h5_names_are_lower_case_in_order_with_duplicates(server: Server) -> None:
    fields = [f"X-{name}: {number}" for number, name in enumerate(["A", "B", "a", "CC-Dd", "a", "HOST-X"])]
    scope = scope_of(server, request("/scope", *fields))
    assert scope["headers"][1:] == [
        (b"x-a", b"0"),
        (b"x-b", b"1"),
        (b"x-a", b"2"),
        (b"x-cc-dd", b"3"),
        (b"x-a", b"4"),
        (b"x-host-x", b"5"),
    ]


def test_h5_header_tuples_of_keep_alive_requests_are_right(server: Server) -> None:
    """Fields that are used again from the request before must not be mixed up."""
    with server.connect() as client:
        for number in range(50):
            fields = [f"X-{index}: {number if index % 3 == 0 else 'same'}" for index in range(number % 7)]
            scope = ast.literal_eval(client.exchange(request("/scope", *fields)).body.decode())
            assert scope["headers"] == [(b"host", b"test")] + [
                (f"x-{index}".encode(), b"%d" % number if index % 3 == 0 else b"same") for index in range(number % 7)
            ]


def test_h6_unix_socket(start: Serve, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = start(uds=path)
    scope = scope_of(server, request("/scope"))
    assert scope["server"] == (path, None)
    assert scope["client"] is None


def test_a5_scopes_are_not_shared(serve: Serve) -> None:
    server = serve("spoiling:app")
    with server.connect() as client:
        first = client.exchange(request("/", "X-A: b")).body
        for _ in range(3):
            assert client.exchange(request("/", "X-A: b")).body == first


def test_h7_state_is_a_shallow_copy_for_each_request(serve: Serve) -> None:
    server = serve("stateful:app")
    with server.connect() as client:
        assert client.exchange(request("/")).body == b"['mutable', 'name'] 1"
        assert client.exchange(request("/")).body == b"['mutable', 'name'] 2"


def test_a2_asgi2_application_is_found_by_itself(serve: Serve) -> None:
    server = serve("double:app")
    with server.connect() as client:
        for _ in range(2):
            assert client.exchange(request("/x")).body == b"double /x"


def test_a2_asgi2_application_by_option(serve: Serve) -> None:
    server = serve("double:app", interface="asgi2")
    with server.connect() as client:
        assert client.exchange(request("/x")).body == b"double /x"


def test_a8_e8_debug_is_not_advertised(server: Server) -> None:
    """A8, E8."""
    assert "http.response.debug" not in scope_of(server, request("/scope"))["extensions"]
    run = script(server, ("try", {"type": "http.response.debug", "info": {}}), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    assert run.journal()[0][0] == "refused"


def test_forwarded_fields_of_a_trusted_proxy(server: Server) -> None:
    """The default trusts the loopback address: rightmost untrusted hop, scheme, host."""
    fields = ["X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example"]
    scope = scope_of(server, request("/scope", *fields))
    assert scope["client"][0] == "1.2.3.4"
    assert scope["scheme"] == "https"
    assert (b"host", b"a.example") in scope["headers"]


@pytest.mark.plain
@pytest.mark.parametrize(("said", "scheme"), [("wss", "https"), ("WS", "http"), ("ftp", "http")])
def test_a_forwarded_scheme_of_a_websocket_is_that_of_its_request(server: Server, said: str, scheme: str) -> None:
    assert scope_of(server, request("/scope", f"X-Forwarded-Proto: {said}"))["scheme"] == scheme


UNDERSCORES = ["Content_Length: 5", "Transfer_Encoding: chunked", "X_User: root", "_: a", "X-User: me", "X-A_B: c"]


def test_names_with_an_underscore_are_dropped(server: Server) -> None:
    """What is made for WSGI, behind an adapter, could not tell X_User from X-User."""
    headers = scope_of(server, request("/scope", *UNDERSCORES))["headers"]
    assert [pair for pair in headers if pair[0] != b"host"] == [(b"x-user", b"me")]


def test_names_with_an_underscore_are_allowed_by_option(serve: Serve) -> None:
    headers = scope_of(serve(header_underscores="allow"), request("/scope", *UNDERSCORES))["headers"]
    expected = [line.encode().split(b": ") for line in UNDERSCORES]
    assert [list(pair) for pair in headers if pair[0] != b"host"] == [[name.lower(), value] for name, value in expected]


def test_forwarded_host_comes_first_and_once(server: Server) -> None:
    scope = scope_of(server, request("/scope", "X-Forwarded-Host: shop.example", "Accept: a/b"))
    hosts = [index for index, (name, _) in enumerate(scope["headers"]) if name == b"host"]
    assert hosts == [0]
    assert scope["headers"][0] == (b"host", b"shop.example")


@pytest.mark.plain
def test_forwarded_fields_are_ignored_without_proxy_headers(serve: Serve) -> None:
    server = serve(proxy_headers=False)
    scope = scope_of(server, request("/scope", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"))
    assert scope["client"][0] == "127.0.0.1"
    assert scope["scheme"] == "http"
