"""environ, value by value: PEP 3333 "environ Variables", RFC 3875 section 4.1."""

import ast
import http.client
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import Serve, request
from kit.waiting import PATIENCE

Environ = Callable[..., dict[str, Any]]


def parsed(body: bytes) -> dict[str, Any]:
    environ: dict[str, Any] = ast.literal_eval(body.decode())[1]
    return environ


@pytest.mark.plain
def test_whole_environ(serve: Serve, threads: int) -> None:
    """Every key, every value, every type; nothing else."""
    from fastserve import __version__

    server = serve("wsgi_environ:app")
    with server.connect() as client:
        data = request("/a%20b%2Fc?d=e%20f&g", "X-A: B", "Content-Type: text/x", method="POST", body=b"abc")
        kind, environ, types = ast.literal_eval(client.exchange(data).body.decode())
        port = str(client.port)
    assert kind == "dict"
    assert {key: types[key] for key in types.keys() - environ.keys()}.keys() == {
        "wsgi.input",
        "wsgi.errors",
        "wsgi.file_wrapper",
        "wsgi.early_hints",
        "fastserve.client_disconnected",
        "waitress.client_disconnected",
    }
    assert types["wsgi.file_wrapper"] == "type"
    assert types["wsgi.input"] == "BytesIO"
    assert environ == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "d=e%20f&g",
        "REQUEST_URI": "/a%20b%2Fc?d=e%20f&g",
        "RAW_URI": "/a%20b%2Fc?d=e%20f&g",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": f"fastserve/{__version__}",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": port,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "test",
        "HTTP_X_A": "B",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {key: types[key] for key in environ if types[key] != "str"} == {
        "wsgi.version": "tuple",
        "wsgi.multithread": "bool",
        "wsgi.multiprocess": "bool",
        "wsgi.run_once": "bool",
        "wsgi.input_terminated": "bool",
    }


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/%C3%A9", "/\xc3\xa9"),
        ("/%e2%82%ac", "/\xe2\x82\xac"),
        ("/%ff%FE%80", "/\xff\xfe\x80"),
        ("/%00%0d%0a", "/\x00\r\n"),
        ("/%2525", "/%25"),
        ("/%", "/%"),
        ("/%zz", "/%zz"),
        ("/%4", "/%4"),
        ("/a+b", "/a+b"),
        ("/a%2Fb", "/a/b"),
        ("/a%3Fb", "/a?b"),
        ("//x/../y/.", "//x/../y/."),
        ("/;a=b", "/;a=b"),
    ],
)
def test_path_is_decoded_to_bytes_and_seen_through_latin_1(environ_of: Environ, target: str, path: str) -> None:
    environ = environ_of(request(target))
    assert environ["PATH_INFO"] == path
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == target


def test_every_byte_of_a_path(environ_of: Environ) -> None:
    target = "/" + "".join(f"%{byte:02X}" for byte in range(256))
    assert environ_of(request(target))["PATH_INFO"].encode("latin-1") == b"/" + bytes(range(256))


@pytest.mark.parametrize(
    ("target", "query"),
    [("/", ""), ("/?", ""), ("/?a?b", "a?b"), ("/?%ff%00+", "%ff%00+"), ("/??", "?"), ("/?a=/b/&c=%20", "a=/b/&c=%20")],
)
def test_query_is_not_decoded(environ_of: Environ, target: str, query: str) -> None:
    environ = environ_of(request(target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/", query)
    assert environ["REQUEST_URI"] == target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/mounted", ""),
        ("/mounted/", "/"),
        ("/mounted/a%20b", "/a b"),
        ("/mounted?a=b", ""),
        ("/mount%65d/a", "/a"),
        ("/mountedx", "/mountedx"),
        ("/mounted%2Fa", "/a"),
        ("/other", "/other"),
        ("/", "/"),
        ("/a/mounted/b", "/a/mounted/b"),
    ],
)
def test_root_path_is_taken_off_at_the_border_of_a_segment(environ_of: Environ, target: str, path: str) -> None:
    """Whether the proxy has left it in the path or not; REQUEST_URI stays what was sent."""
    environ = environ_of(request(target), root_path="/mounted")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mounted", path)
    assert environ["REQUEST_URI"] == target


def test_root_path_that_is_not_ascii_is_bytes_seen_through_latin_1(environ_of: Environ) -> None:
    environ = environ_of(request("/caf%C3%A9/a"), root_path="/caf\xe9")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/caf\xc3\xa9", "/a")


def test_absolute_target(environ_of: Environ) -> None:
    """Its authority replaces Host (RFC 9112 section 3.2.2), and its path is the path."""
    environ = environ_of(b"GET http://example.org:81/a%20b?c=d HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "c=d")
    assert environ["HTTP_HOST"] == "example.org:81"
    assert environ["REQUEST_URI"].endswith("/a%20b?c=d")


@pytest.mark.parametrize(("target", "query"), [("http://example.org", ""), ("http://example.org?a", "a")])
def test_absolute_target_without_a_path(environ_of: Environ, target: str, query: str) -> None:
    environ = environ_of(request(target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_HOST"]) == ("/", query, "example.org")


def test_asterisk_target(environ_of: Environ) -> None:
    """It is no path, so it begins with no slash (RFC 9112 section 3.2.4)."""
    environ = environ_of(request("*", method="OPTIONS"))
    assert (environ["REQUEST_METHOD"], environ["REQUEST_URI"]) == ("OPTIONS", "*")
    assert environ["PATH_INFO"] in ("", "*")


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT", "BLARGH", "get"]
)
def test_methods(environ_of: Environ, method: str) -> None:
    assert environ_of(request("/", method=method))["REQUEST_METHOD"] == method


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_protocol(environ_of: Environ, version: str) -> None:
    assert environ_of(request("/", version=version))["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_no_host_is_no_host(environ_of: Environ) -> None:
    assert "HTTP_HOST" not in environ_of(b"GET / HTTP/1.0\r\n\r\n")


def test_duplicates_are_joined_with_commas(environ_of: Environ) -> None:
    """In their order, whatever case their names have, other fields between them (RFC 9110 section 5.3)."""
    fields = ["X-A: 1", "X-B: x", "x-a: 2,3", "Accept: a", "X-A:", "ACCEPT: b"]
    environ = environ_of(request("/", *fields))
    assert environ["HTTP_X_A"] == "1,2,3,"
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert environ["HTTP_X_B"] == "x"


def test_cookies_are_joined_with_semicolons(environ_of: Environ) -> None:
    """A comma is a character of a cookie (RFC 6265 section 5.4, RFC 9113 section 8.2.3)."""
    environ = environ_of(request("/", "Cookie: a=1", "X-A: b", "cookie: b=2; c=3", "Cookie: d=4"))
    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3; d=4"


def test_values_are_trimmed_and_not_changed_otherwise(environ_of: Environ) -> None:
    environ = environ_of(request("/", "X-A: \t a  b \t", "X-B:", "X-C:c", "X-D: \xff\xe9", 'X-E: "q, \\" "'))
    values = [environ[f"HTTP_X_{name}"] for name in "ABCDE"]
    assert values == ["a  b", "", "c", "\xff\xe9", '"q, \\" "']


def test_names_with_an_underscore_are_dropped(environ_of: Environ) -> None:
    """CGI cannot tell X_Forwarded_For from X-Forwarded-For."""
    environ = environ_of(
        request("/", "X_A: evil", "X-A: good", "Content_Length: 5", "X_B: c", "_: d", "Content_Type: e")
    )
    assert environ["HTTP_X_A"] == "good"
    assert "HTTP_X_B" not in environ
    assert "CONTENT_TYPE" not in environ
    assert "evil" not in repr(environ)
    assert not [key for key in environ if "CONTENT" in key]


def test_names_with_an_underscore_are_allowed_by_option(environ_of: Environ) -> None:
    environ = environ_of(request("/", "X_A: one", "X-A: two", "X_B: c"), header_underscores="allow")
    assert environ["HTTP_X_A"] == "one,two"
    assert environ["HTTP_X_B"] == "c"


@pytest.mark.plain
def test_fields_cannot_name_variables_of_the_server(environ_of: Environ) -> None:
    """HTTP_ stands in front of whatever a client invents."""
    environ = environ_of(
        request("/", "Remote-Addr: 6.6.6.6", "Request-Method: EVIL", "Script-Name: /evil", "Https: on")
    )
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert "HTTPS" not in environ
    assert environ["HTTP_REMOTE_ADDR"] == "6.6.6.6"


def test_empty_content_type_is_kept_or_absent(environ_of: Environ) -> None:
    assert environ_of(request("/", "Content-Type:")).get("CONTENT_TYPE", "") == ""


def test_transfer_encoding_is_not_passed_on(environ_of: Environ) -> None:
    data = request("/", "Transfer-Encoding: chunked", "Trailer: X", method="POST") + b"1\r\na\r\n0\r\nX: y\r\n\r\n"
    environ = environ_of(data)
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert "HTTP_X" not in environ


def test_requests_of_a_connection_are_not_mixed_up(serve: Serve) -> None:
    """Whatever the server keeps from one request for the next: other values, other names, another order, none."""
    with serve("wsgi_environ:app").connect() as client:
        for number in range(60):
            fields = [f"X-{index}: {number if index % 3 == 0 else 'same'}" for index in range(number % 7)]
            fields += ["Cookie: " + "c" * (number % 3)] * (number % 2) + ["Authorization: x"] * (number % 5 == 0)
            if number % 4 == 0:
                fields.reverse()
            body = b"b" * (number % 3)
            method = "POST" if body else "GET"
            data = request(f"/{number % 11}?{number % 4}", *fields, method=method, body=body)
            environ = parsed(client.exchange(data).body)
            expected = {
                f"HTTP_{name.upper().replace('-', '_')}": value
                for name, value in (field.split(": ") for field in fields)
            }
            assert {key: value for key, value in environ.items() if key.startswith("HTTP_")} == {
                "HTTP_HOST": "test",
                **expected,
            }
            assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (f"/{number % 11}", str(number % 4))
            assert environ.get("CONTENT_LENGTH") == (str(len(body)) if body else None)
            assert environ["REQUEST_METHOD"] == method


def test_many_different_names_and_values(serve: Serve) -> None:
    """More than any cache of names or values holds."""
    with serve("wsgi_environ:app").connect() as client:
        for number in range(0, 3000, 30):
            fields = [f"X-Name-{n}: value {n % 7}" for n in range(number, number + 30)]
            environ = parsed(client.exchange(request("/", *fields)).body)
            assert {key: environ[key] for key in environ if key.startswith("HTTP_X")} == {
                f"HTTP_X_NAME_{n}": f"value {n % 7}" for n in range(number, number + 30)
            }


def test_unix_socket(start_server: Serve, tmp_path: Path) -> None:
    """A name and a port nevertheless; the peer has neither an address nor a port."""
    server = start_server("wsgi_environ:app", uds=str(tmp_path / "s"), proxy_headers=False)
    environ = parsed(server.get("/"))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


def test_unix_peer_is_a_trusted_proxy(start_server: Serve, tmp_path: Path) -> None:
    server = start_server("wsgi_environ:app", uds=str(tmp_path / "s"))
    with server.connect() as client:
        environ = parsed(client.exchange(request("/", "X-Forwarded-For: 1.2.3.4:5")).body)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("1.2.3.4", "5")


def test_ipv6(start_server: Serve) -> None:
    """Addresses without brackets (RFC 3875 section 4.1.8)."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        start_server("wsgi_environ:app", fd=listener.fileno(), descriptors=(listener.fileno(),), listens=False)
        connection = http.client.HTTPConnection("::1", port, timeout=PATIENCE)
        connection.request("GET", "/")
        environ = parsed(connection.getresponse().read())
        peer = connection.sock.getsockname()[1]
        connection.close()
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", str(port))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::1", str(peer))


FORWARDED = [
    "X-Forwarded-For: 6.6.6.6, 1.2.3.4:4711, 127.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: a.example",
]


def test_trusted_proxy_is_believed(environ_of: Environ, serve: Serve) -> None:
    """By default on the loopback address: the rightmost hop that is no proxy, the scheme, the host."""
    environ = environ_of(request("/", *FORWARDED))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("1.2.3.4", "4711")
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["HTTP_HOST"] == "a.example"
    assert environ["SERVER_PORT"] == str(serve("wsgi_environ:app").port)


def test_port_of_the_proxy_is_not_that_of_the_client(serve: Serve) -> None:
    with serve("wsgi_environ:app").connect() as client:
        environ = parsed(client.exchange(request("/", "X-Forwarded-For: 1.2.3.4")).body)
        assert environ["REMOTE_ADDR"] == "1.2.3.4"
        assert environ.get("REMOTE_PORT") != str(client.port)


@pytest.mark.plain
def test_forwarding_does_not_last_beyond_its_request(serve: Serve) -> None:
    with serve("wsgi_environ:app").connect() as client:
        for _ in range(3):
            assert parsed(client.exchange(request("/", *FORWARDED)).body)["wsgi.url_scheme"] == "https"
            environ = parsed(client.exchange(request("/")).body)
            assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("http", "test")
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(client.port))
            assert "HTTPS" not in environ


@pytest.mark.plain
def test_plain_http_of_a_trusted_proxy_has_no_https(environ_of: Environ) -> None:
    environ = environ_of(request("/", "X-Forwarded-Proto: http"))
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ


@pytest.mark.plain
@pytest.mark.parametrize("options", [{"proxy_headers": False}, {"forwarded_allow_ips": "10.0.0.1"}], ids=repr)
def test_untrusted_peer_is_not_believed(environ_of: Environ, options: dict[str, Any]) -> None:
    environ = environ_of(request("/", *FORWARDED), **options)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"] != "4711"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "test"
    assert "HTTPS" not in environ
