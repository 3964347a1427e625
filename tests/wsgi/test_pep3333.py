"""PEP 3333 rule by rule; the names are the rows of the project's checklist, W1 to W42."""

import ast
from collections.abc import Callable
from typing import Any

import pytest

from kit import BrokenAnswer, Serve, Server, request
from kit.script import Step
from kit.waiting import until
from wsgi.steps import Gate, answers, closings, cut_off, generator, said, script, start

Environ = Callable[..., dict[str, Any]]

LATIN = "".join(map(chr, range(0xA0, 0x100)))

OF_THE_PEP = {
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "wsgi.version",
    "wsgi.url_scheme",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
    "wsgi.file_wrapper",
}
OF_CGI = {"REMOTE_ADDR", "REMOTE_PORT", "REQUEST_URI", "RAW_URI", "SERVER_SOFTWARE", "GATEWAY_INTERFACE"}
OF_OTHERS = {
    "wsgi.input_terminated",
    "wsgi.early_hints",
    "fastserve.client_disconnected",
    "waitress.client_disconnected",
}

NOT_APPLICABLE = {"AUTH_TYPE", "PATH_TRANSLATED", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_USER", "HTTPS"}

OF_THE_SERVER = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]
OF_THE_APPLICATION = ["Trailer", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Trailers"]
"""Of those that PEP 3333 takes for hop-by-hop by RFC 2616."""


# ---- the call and environ


def test_w01_called_with_two_positional_arguments_once(serve: Serve) -> None:
    """environ and start_response, by position, and one call for each request ("The Application/Framework Side")."""
    server = serve("wsgi_environ:counted", interface="wsgi")
    with server.connect() as client:
        seen = [ast.literal_eval(client.exchange(request("/")).body.decode()) for _ in range(20)]
    first = seen[0][2]
    assert seen == [(2, [], first + number) for number in range(20)]


def test_w02_environ_is_a_plain_dict(serve: Serve) -> None:
    """A builtin dict, no subclass of it ("Specification Details")."""
    kind, _, types = ast.literal_eval(serve("wsgi_environ:app").get("/").decode())
    assert kind == "dict"
    assert types["wsgi.version"] == "tuple"


def test_w02_environ_belongs_to_the_request(serve: Serve) -> None:
    """The application may change it as it likes, and no other request sees that ("Specification Details")."""
    server = serve("wsgi_environ:spoiling")
    with server.connect() as client:
        first = client.exchange(request("/", "X-A: b", "Cookie: c=d")).body
        for _ in range(5):
            assert client.exchange(request("/", "X-A: b", "Cookie: c=d")).body == first
        assert b"spoilt" not in first
        assert b"spoilt" not in client.exchange(request("/")).body


def test_w03_strings_are_bytes_seen_through_latin_1(serve: Serve) -> None:
    """Every str holds only characters that Latin-1 has, whatever bytes came ("Unicode Issues")."""
    server = serve("wsgi_environ:app")
    data = request("/%ff%e2%82%ac?a", "X-Latin: " + LATIN, "Content-Type: " + LATIN)
    with server.connect() as client:
        _, environ, types = ast.literal_eval(client.exchange(data).body.decode())
    for key, value in environ.items():
        key.encode("latin-1")
        if type(value) is str:
            value.encode("latin-1")
    assert environ["PATH_INFO"] == "/\xff\xe2\x82\xac"
    assert environ["HTTP_X_LATIN"] == environ["CONTENT_TYPE"] == LATIN
    assert {types[key] for key in environ if key.startswith(("HTTP_", "SERVER_", "REQUEST_", "REMOTE_"))} == {"str"}


def test_w03_bodies_are_bytes(server: Server) -> None:
    """In both directions ("Unicode Issues")."""
    run = script(server, ("input", [["read"]]), *answers(data=bytes(range(256))))
    with server.connect() as client:
        assert client.exchange(run.request(method="POST", body=b"\x00\xff")).body == bytes(range(256))
    assert run.journal()[0] == ("read", b"\x00\xff")


def test_w04_method_and_path(environ_of: Environ) -> None:
    """REQUEST_METHOD is there, PATH_INFO is decoded, and "/" is never lost ("environ Variables")."""
    environ = environ_of(request("/"))
    assert (environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("GET", "", "/")
    assert environ_of(request("/a%20b/%63", method="DELETE"))["PATH_INFO"] == "/a b/c"
    assert environ_of(request("/", method="DELETE"))["REQUEST_METHOD"] == "DELETE"


def test_w05_server_name_port_and_protocol(environ_of: Environ, serve: Serve) -> None:
    """Name and port are never empty, also without Host; the protocol is what the client spoke ("environ Variables")."""
    port = str(serve("wsgi_environ:app").port)
    for data, protocol in [(request("/"), "HTTP/1.1"), (b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0")]:
        environ = environ_of(data)
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", port)
        assert environ["SERVER_PROTOCOL"] == protocol


@pytest.mark.plain
def test_w06_nothing_is_invented(environ_of: Environ) -> None:
    """What the client did not send is absent, a missing query is empty; no CGI variable without a meaning."""
    environ = environ_of(request("/"))
    assert environ["QUERY_STRING"] == ""
    assert "CONTENT_TYPE" not in environ
    assert "CONTENT_LENGTH" not in environ
    assert not NOT_APPLICABLE & environ.keys()


def test_w06_chunked_body_has_its_length(environ_of: Environ) -> None:
    """Not invented but counted: the length when the transfer coding is gone (RFC 3875 section 4.1.2)."""
    data = request("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    environ = environ_of(data)
    assert environ["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_w07_fields_are_http_variables(environ_of: Environ) -> None:
    """HTTP_ and the name in capitals; Content-Type and -Length have names of their own and no other."""
    environ = environ_of(request("/", "X-One-two: 3", "Content-Type: a/b", "Accept: *", method="POST", body=b"abc"))
    assert environ["HTTP_X_ONE_TWO"] == "3"
    assert (environ["HTTP_HOST"], environ["HTTP_ACCEPT"]) == ("test", "*")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("a/b", "3")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.plain
def test_w08_wsgi_variables_tell_the_truth(environ_of: Environ, threads: int) -> None:
    """Version, scheme, and whether there are more threads, more processes or more than one call."""
    environ = environ_of(request("/"))
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is (threads > 1)
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False


def test_w09_input_ends_at_the_declared_length(server: Server) -> None:
    """A read of more gives what there is and then nothing; the next request's bytes are never touched."""
    calls = [["readline"], ["readline", 2], ["read", 3], ["readlines", 1], ["iterate"], ["read", 10_000], ["read"]]
    run = script(server, ("input", calls), *answers())
    with server.connect() as client:
        client.send(run.request(method="POST", body=b"one\ntwo\nthree\nfour\nfive") + request("/echo") * 2)
        assert client.answer().body == b"ok"
        assert [client.answer().body for _ in range(2)] == [b"", b""]
    assert run.journal()[:-1] == [
        ("readline", b"one\n"),
        ("readline", b"tw"),
        ("read", b"o\nt"),
        ("readlines", [b"hree\n"]),
        ("iterate", [b"four\n", b"five"]),
        ("read", b""),
        ("read", b""),
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_w10_input_without_a_body_is_empty(server: Server, method: str) -> None:
    """It is there, it can be read, and it has ended ("Input and Error Streams")."""
    run = script(server, ("input", [["read"], ["read", 5], ["readline"], ["readlines"], ["iterate"]]), *answers())
    with server.connect() as client:
        assert client.exchange(run.request(method=method)).body == b"ok"
    assert run.journal()[:-1] == [
        ("read", b""),
        ("read", b""),
        ("readline", b""),
        ("readlines", []),
        ("iterate", []),
    ]


def test_w11_errors_is_a_text_stream(server: Server) -> None:
    """write, writelines and flush, with str ("Input and Error Streams")."""
    run = script(server, ("errors", "w11 \u20ac"), *answers())
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ok"
    log = said(server, "w11 \u20ac two\n")
    assert "w11 \u20ac written\nw11 \u20ac one\nw11 \u20ac two\n" in log


@pytest.mark.plain
def test_w12_own_variables_carry_the_servers_name(environ_of: Environ) -> None:
    """What no standard knows is in lower case and begins with "fastserve." ("environ Variables")."""
    environ = environ_of(request("/", "X-A: b", "Content-Type: a/b", method="POST", body=b"a"))
    own = environ.keys() - OF_THE_PEP - OF_CGI - OF_OTHERS - {"CONTENT_TYPE", "CONTENT_LENGTH"}
    own = {key for key in own if not key.startswith("HTTP_")}
    assert all(key.startswith("fastserve.") and key == key.lower() for key in own), own
    assert OF_THE_PEP - environ.keys() == {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"}  # no plain values


def test_w13_more_of_cgi(serve: Serve) -> None:
    """The client's address and port, the software, the interface ("environ Variables")."""
    with serve("wsgi_environ:app").connect() as client:
        _, environ, _ = ast.literal_eval(client.exchange(request("/a?b")).body.decode())
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(client.port))
    assert environ["SERVER_SOFTWARE"].startswith("fastserve/")
    assert environ["GATEWAY_INTERFACE"] == "CGI/1.1"


# ---- start_response


@pytest.mark.parametrize("step", ["start", "start_by_name"])
def test_w14_start_response_returns_write(server: Server, step: str) -> None:
    """With the names that the PEP gives to its parameters ("The start_response() Callable")."""
    run = script(server, (step, "202 Taken", [("X-A", "b")]), ("write", b"abc"))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert (answer.status, answer.reason, answer.get(b"x-a"), answer.body) == (202, b"Taken", b"b", b"abc")
    assert run.journal()[0] == ("written", None)


@pytest.mark.parametrize("status", [200, b"200 OK", None, ["200 OK"]], ids=repr)
def test_w15_status_of_a_wrong_type(server: Server, status: Any) -> None:
    """TypeError, and the application may still give a right one ("The start_response() Callable")."""
    run = script(server, ("try", start(status)), *answers("201 Made"))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 201
    assert run.journal()[0][1][0] == "TypeError"


@pytest.mark.parametrize(
    "status",
    [
        "",
        "20",
        "2000",
        "199",
        "20 OK",
        "2000 OK",
        "abc OK",
        "-20 OK",
        " 200 OK",
        "099 Low",
        "100 Continue",
        "101 Switching Protocols",
        "199 Odd",
        "200\tOK",
        "200 OK\r\n",
        "200 OK\nX: y",
        "200 O\x00K",
        "200 O\x7fK",
        "200 \u20ac",
        "\u0662\u0660\u0660 OK",
    ],
    ids=ascii,
)
def test_w15_status_with_wrong_contents(server: Server, status: str) -> None:
    """ValueError: no control characters, no line end, a number of three digits that is a final status."""
    run = script(server, ("try", start(status)), *answers("201 Made"))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert (answer.status, answer.reason) == (201, b"Made")
    assert run.journal()[0][1][0] == "ValueError"


@pytest.mark.parametrize("status", ["200 OK", "299 \xe9t\xe9", "404 Not  There", "599 x", "999 Y"], ids=ascii)
def test_w15_status_and_reason_go_out_as_they_are(server: Server, status: str) -> None:
    """A reason of one's own is nobody's business ("The start_response() Callable")."""
    run = script(server, *answers(status))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert f"{answer.status} ".encode() + answer.reason == status.encode("latin-1")


@pytest.mark.parametrize(("status", "reason"), [("200", b"OK"), ("404", b"Not Found"), ("200 ", b"OK")])
def test_w15_status_without_a_reason(server: Server, status: str, reason: bytes) -> None:
    """The PEP wants one, but gunicorn and uWSGI take it ("The start_response() Callable"); the usual one is sent."""
    run = script(server, *answers(status))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.reason, answer.body) == (int(status), reason, b"ok")


def test_w15_headers_in_a_subclass_of_list(server: Server) -> None:
    """Frameworks have such, though the PEP has it be a list itself ("The start_response() Callable")."""
    run = script(server, ("start_subclass", "200 OK", [("X-A", "b"), ("X-A", "c")]), ("return", [b"ok"]))
    with server.connect() as client:
        assert client.exchange(run.request()).all(b"x-a") == [b"b", b"c"]


@pytest.mark.parametrize(
    "headers",
    [
        None,
        (("X-A", "b"),),
        {"X-A": "b"},
        "X-A: b",
        [["X-A", "b"]],
        [("X-A",)],
        [("X-A", "b", "c")],
        [("X-A", 1)],
        [("X-A", None)],
        [(b"X-A", b"b")],
        ["ab"],
        [("X-A", "b"), None],
    ],
    ids=repr,
)
def test_w15_headers_of_a_wrong_type(server: Server, headers: Any) -> None:
    """A list of tuples of two str, nothing that only looks like it ("The start_response() Callable")."""
    run = script(server, ("try", ("start", "200 OK", headers)), *answers("201 Made"))
    with server.connect() as client:
        answer = client.exchange(run.request())
    assert answer.status == 201
    assert answer.get(b"x-a") is None
    assert run.journal()[0][1][0] == "TypeError"


@pytest.mark.parametrize(
    "header",
    [
        ("", "b"),
        ("X A", "b"),
        ("X-A:", "b"),
        (" X-A", "b"),
        ("X-A\r\nX-B", "b"),
        ("X-\xe9", "b"),
        ("X-\u20ac", "b"),
        ("X-A", "b\r\nX-B: c"),
        ("X-A", "b\nc"),
        ("X-A", "b\rc"),
        ("X-A", "b\r\n"),
        ("X-A", "\x00"),
        ("X-A", "\x1f"),
        ("X-A", "\x7f"),
        ("X-A", "\u20ac"),
    ],
    ids=ascii,
)
def test_w16_header_with_wrong_contents(server: Server, header: tuple[str, str]) -> None:
    """A name is a token without the colon, a value has no control characters ("The start_response() Callable")."""
    run = script(server, ("try", start("200 OK", ("X-First", "1"), header)), *answers("201 Made"))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.status == 201
        assert not [name for name, _ in answer.fields if name.lower().startswith(b"x")]
        assert client.exchange(request("/")).body == b"ok"
    assert run.journal()[0][1][0] == "ValueError"


def test_w16_good_headers_in_their_order(server: Server) -> None:
    """Duplicates, empty values and the whole of Latin-1; the list may be changed after the call."""
    headers = [("Set-Cookie", "a=b"), ("X-Empty", ""), ("set-cookie", "c=d"), ("X-Latin", LATIN[1:])]
    run = script(server, *answers(headers=headers))
    with server.connect() as client:
        answer = client.exchange(run.request())
    fields = [(name.lower(), value) for name, value in answer.fields]
    own = [field for field in fields if field[0] in (b"set-cookie", b"x-empty", b"x-latin")]
    assert own == [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


@pytest.mark.parametrize("name", [*OF_THE_SERVER, "Transfer-Encoding", "CONNECTION"])
def test_w17_fields_of_the_server_are_left_out(start_server: Serve, name: str) -> None:
    """The PEP would have it be an error; gunicorn drops them, and people come from there ("Other HTTP Features"). Said
    once a worker and name."""
    server = start_server()
    run = script(server, *answers(headers=[("X-A", "b"), (name, "chunked, x"), ("X-C", "d")]))
    with server.connect() as client:
        for _ in range(3):
            answer = client.exchange(run.request())
            assert (answer.status, answer.body) == (200, b"ok")
            assert (answer.get(b"x-a"), answer.get(name.lower().encode()), answer.get(b"x-c")) == (b"b", None, b"d")
        other = "TE" if name == "upgrade" else "Upgrade"
        assert client.exchange(script(server, *answers(headers=[(other, "x")])).request()).get(b"te") is None
    log = said(server, f"the header {other.title()}")
    assert log.count("is left out") == 2
    assert log.count(f"the header {name.title()}") == 1


@pytest.mark.parametrize("value", ["close", "Close", "x, close"])
def test_w17_connection_close_closes(server: Server, value: str) -> None:
    """It is what the server would say itself, and not worth a line ("Other HTTP Features")."""
    run = script(server, *answers(headers=[("Connection", value)]))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body, answer.closes) == (200, b"ok", True)
        assert answer.get(b"connection") == b"close"
        assert client.closed()
    assert "left out" not in server.stderr_of_this_test()


@pytest.mark.parametrize("name", OF_THE_APPLICATION)
def test_w17_fields_of_the_application_pass(server: Server, name: str) -> None:
    """RFC 2616 counted them among the hop-by-hop ones, RFC 9110 does not."""
    run = script(server, *answers(headers=[(name, 'Basic realm="a"')]))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.get(name.lower().encode())) == (200, b'Basic realm="a"')
    assert "left out" not in server.stderr_of_this_test()


def test_w18_head_waits_for_the_first_piece(server: Server, gate: Gate) -> None:
    """Not start_response and not an empty piece sends it ("The start_response() Callable")."""
    key = f"w18 {gate.wait}"
    steps = [start(), ("yield", b""), ("say", key), gate.wait, ("yield", b"piece")]
    run = script(server, generator(*steps))
    with server.connect() as client:
        client.send(run.request())
        server.stderr.wait_for(key)
        assert not client.readable(0.05)
        gate.open()
        assert client.answer().body == b"piece"


def test_w18_head_leaves_with_write(server: Server, gate: Gate) -> None:
    """The first write sends it, however long the application goes on ("The write() Callable")."""
    run = script(server, start("202 Taken"), ("write", b"", b"a"), gate.wait)
    with server.connect() as client:
        data = client.send(run.request()).receive_once()
        assert data.startswith(b"HTTP/1.1 202 Taken\r\n")
        gate.open()
        assert (data + cut_to(client, b"0\r\n\r\n")).endswith(b"1\r\na\r\n0\r\n\r\n")


def cut_to(client: Any, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = client.receive_once()
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("result", [("return", []), ("return", [b""]), ("generator", []), ("return", ())], ids=repr)
def test_w18_head_leaves_at_the_end_of_an_empty_iterable(server: Server, result: Any) -> None:
    """There is a head even if there is no body ("The start_response() Callable")."""
    run = script(server, start("202 Taken", ("X-A", "b")), result)
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.get(b"x-a"), answer.body) == (202, b"b", b"")
        assert client.exchange(request("/")).body == b"ok"


def test_w19_second_start_response_is_an_error(server: Server) -> None:
    """Without exc_info; the first one stands ("The start_response() Callable")."""
    run = script(server, start("202 Taken", ("X-A", "b")), ("try", start("500 No")), ("return", [b"a"]))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.get(b"x-a"), answer.body) == (202, b"b", b"a")
    _, kinds, text = run.journal()[0]
    assert kinds[0] == "RuntimeError"
    assert "start_response" in text


def test_w20_exc_info_before_the_head_replaces_it(server: Server) -> None:
    """Status and all headers, also the length, are those of the second call ("Error Handling")."""
    first = start("200 OK", ("X-A", "old"), ("X-Old", "1"), ("Content-Length", "1000"))
    run = script(server, first, ("restart", "503 Sorry", [("X-A", "new")]), ("return", [b"sorry"]))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.reason, answer.body) == (503, b"Sorry", b"sorry")
        assert (answer.get(b"x-a"), answer.get(b"x-old"), answer.get(b"content-length")) == (b"new", None, b"5")
        assert client.exchange(request("/")).body == b"ok"


def test_w20_exc_info_in_the_first_iteration_replaces_the_head(server: Server) -> None:
    """Empty pieces have not sent it ("Error Handling")."""
    run = script(server, start("200 OK"), generator(("yield", b""), ("restart", "503 Sorry", []), ("yield", b"sorry")))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (503, b"sorry")


def test_w20_exc_info_in_the_first_call_of_all(server: Server) -> None:
    """It is then only a start_response ("The start_response() Callable")."""
    run = script(server, ("restart", "503 Sorry", []), ("return", [b"sorry"]))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 503


def test_w20_wrong_replacement_leaves_the_first_head(server: Server) -> None:
    """What is refused changes nothing ("Error Handling")."""
    run = script(server, start("202 Taken"), ("try", ("restart", "bad", [])), ("return", [b"a"]))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 202
    assert run.journal()[0][1][0] == "ValueError"


def test_w21_exc_info_after_the_head_is_raised_again(server: Server) -> None:
    """The same exception, with the traceback that it had; the response is broken off ("Error Handling")."""
    restart: Step = ("restart", "500 No", [], "w21 failure")
    run = script(server, start(), generator(("yield", b"one"), restart, ("yield", b"x")))
    with server.connect() as client:
        with pytest.raises(BrokenAnswer):
            client.exchange(run.request())
        assert client.gone()
    server.expect_traceback("exception in WSGI application: GET /run/" + run.key, "LookupError: w21 failure")
    assert "raise LookupError(text)" in server.stderr_of_this_test()
    assert ("raised", "LookupError", "w21 failure") in run.journal()


def test_w21_exc_info_after_write_is_raised_again(server: Server) -> None:
    """write() sends the head just as a piece does ("Error Handling")."""
    run = script(server, start(), ("write", b"one"), ("try", ("restart", "500 No", [], "w21 again")))
    with server.connect() as client:
        client.send(run.request("Connection: close"))
        assert b" 500 No" not in cut_off(client)
    assert run.journal()[1] == ("refused", ["LookupError", "Exception", "BaseException", "object"], "w21 again")


def test_w22_traceback_is_let_go(server: Server) -> None:
    """Its frames die with the call that passed it, before and after the head ("Error Handling")."""
    forget: Step = ("forget", "200 OK", [])
    run = script(server, forget, generator(("yield", b"a"), forget, ("yield", b"b")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ab"
    assert run.journal()[:3] == [("forgotten", True), ("raised again",), ("forgotten", True)]


# ---- the iterable


def test_w23_start_response_in_the_first_iteration(server: Server) -> None:
    """A generator calls it only when it is asked for its first piece ("Specification Details")."""
    run = script(server, generator(("yield", b""), start("202 Taken"), ("yield", b"a")))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.body) == (202, b"a")


@pytest.mark.parametrize(
    "steps",
    [
        [("return", [b"a"])],
        [("return", [b"a", b"b"])],
        [("return", [])],
        [generator(("yield", b"a"), start())],
        [generator(("yield", b""))],
        [("sized", 1, [b"a"])],
        [("file", "memory", b"a")],
    ],
    ids=repr,
)
def test_w23_no_start_response_by_the_first_piece(server: Server, steps: list[Any]) -> None:
    """That is an error of the application ("The start_response() Callable")."""
    run = script(server, *steps)
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    said(server, "start_response", "GET /run/" + run.key)


def test_w24_piece_is_passed_on_before_the_next_is_asked_for(server: Server, gate: Gate) -> None:
    """No block waits for the iterable's end ("Buffering and Streaming")."""
    run = script(server, start(), generator(("yield", b"one"), gate.wait, ("yield", b"two")))
    with server.connect() as client:
        data = client.send(run.request()).receive_once()
        assert data.endswith(b"\r\n\r\n3\r\none\r\n")
        gate.open()
        assert cut_to(client, b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "result",
    [
        ("return", [b"ab", b"c"]),
        ("return", (b"ab", b"c")),
        ("return", {b"ab": 1, b"c": 2}),
        ("generator", [("yield", b"ab", b"c")]),
        ("plain_generator", [("yield", b"ab", b"c")]),
        ("sized", 2, [b"ab", b"c"]),
        ("sized", 5, [b"ab", b"c"]),
        ("indexed", [b"ab", b"c"]),
    ],
    ids=repr,
)
def test_w25_any_iterable(server: Server, result: Any) -> None:
    """Nothing but iteration is asked of it ("Specification Details")."""
    run = script(server, start(), result)
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("chunked", b"abc")
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("result", [("return", [b"abc"]), ("return", (b"abc",)), ("sized", 1, [b"abc"])], ids=repr)
def test_w25_length_of_one_gives_the_content_length(server: Server, result: Any) -> None:
    """The only thing that len() may be used for ("Handling the Content-Length Header")."""
    run = script(server, start(), result)
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.get(b"content-length"), answer.body) == ("length", b"3", b"abc")
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", "200 OK"), ("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No Content")],
)
def test_w26_close_is_called_once(server: Server, method: str, status: str) -> None:
    """When the answer is complete, whether it has a body or not ("Specification Details")."""
    run = script(server, start(status), generator(("yield", b"a", b"b")))
    with server.connect() as client:
        assert client.exchange(run.request(method=method), method).status == int(status[:3])
    assert closings(run.journal()) == 1


def test_w26_close_is_called_after_an_error(server: Server) -> None:
    """In the iteration, before the head and after it ("Specification Details")."""
    for steps in ([("raise", "w26")], [("yield", b"a"), ("raise", "w26")]):
        run = script(server, start(), generator(*steps))
        with server.connect() as client:
            client.send(run.request("Connection: close"))
            cut_off(client)
        assert closings(run.journal()) == 1
    server.expect_traceback("RuntimeError: w26", count=2)


def test_w26_close_is_called_when_start_response_is_missing(server: Server) -> None:
    run = script(server, generator(("yield", b"a")))
    with server.connect() as client:
        assert client.exchange(run.request()).status == 500
    assert closings(run.journal()) == 1
    said(server, "start_response")


def test_w26_close_is_called_when_the_client_leaves(server: Server) -> None:
    """The iterable is never asked for a piece again ("Specification Details")."""
    run = script(server, start(), generator(("endless", 10_000)))
    client = server.connect(receive_buffer=4096)
    client.send(run.request())
    run.stands_still()
    client.reset()
    assert closings(run.journal()) == 1


def test_w26_close_is_not_called_before_the_last_piece(server: Server) -> None:
    run = script(server, start(), generator(("note", "one"), ("yield", b"a"), ("note", "two"), ("yield", b"b")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ab"
    assert [note[0] for note in run.journal()] == ["one", "two", "closed", "end"]


# ---- lengths and fields


@pytest.mark.parametrize(
    "result",
    [
        ("return", [b"abcdef"]),
        ("return", [b"ab", b"cdef"]),
        ("return", [b"abc", b"def"]),
        ("generator", [("yield", b"abc", b"def", b"ghi")]),
        ("generator", [("yield", b"abcd"), ("endless", 10)]),
    ],
    ids=repr,
)
def test_w27_too_many_bytes_are_cut_and_reported(server: Server, result: Any) -> None:
    """Never more than the Content-Length, and the connection ends ("Handling the Content-Length Header")."""
    run = script(server, start("200 OK", ("Content-Length", "3")), result)
    with server.connect() as client:
        client.send(run.request() + request("/"))
        assert client.answer().body == b"abc"
        assert client.gone()
        assert not client.reader.buffer
    said(server, "longer than its Content-Length", "GET /run/" + run.key)
    run.journal()


def test_w27_too_many_bytes_by_write(server: Server) -> None:
    run = script(server, start("200 OK", ("Content-Length", "3")), ("try", ("write", b"abc", b"def")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"abc"
        assert client.gone()
    said(server, "longer than its Content-Length")


@pytest.mark.parametrize(
    "result",
    [("return", []), ("return", [b"ab"]), ("return", [b"a", b"b"]), ("generator", [("yield", b"ab")])],
    ids=repr,
)
def test_w28_too_few_bytes_close_the_connection(server: Server, result: Any) -> None:
    """The next answer is not to be taken for the rest ("Handling the Content-Length Header")."""
    run = script(server, start("200 OK", ("Content-Length", "3")), result)
    with server.connect() as client:
        client.send(run.request() + request("/"))
        rest = cut_off(client)
    head, _, body = rest.partition(b"\r\n\r\n")
    assert rest.count(b"HTTP/1.1 ") <= 1
    if b" 200 OK\r\n" in head:
        assert len(body) < 3
    else:
        assert b" 500 " in head
    said(server, "shorter than its Content-Length", "GET /run/" + run.key)


def test_w29_date_and_server_are_added(server: Server) -> None:
    """If the application has not said them ("Other HTTP Features")."""
    run = script(server, *answers())
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.get(b"date") or b"").endswith(b" GMT")
        assert answer.get(b"server") == b"fastserve"


def test_w29_date_and_server_of_the_application_stand(server: Server) -> None:
    """Each once, as it was given ("Other HTTP Features")."""
    own = [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")]
    run = script(server, *answers(headers=own))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert answer.get(b"date") == b"Thu, 01 Jan 1970 00:00:00 GMT"
        assert answer.get(b"server") == b"mine"


@pytest.mark.parametrize(("version", "framing"), [("1.1", "chunked"), ("1.0", "close")])
def test_w30_server_frames_what_has_no_length(server: Server, version: str, framing: str) -> None:
    """Chunks where the client knows them, else the connection's end ("Handling the Content-Length Header")."""
    run = script(server, start(), generator(("yield", b"abc", b"def")))
    with server.connect() as client:
        answer = client.exchange(run.request(version=version))
        assert (answer.framing, answer.body) == (framing, b"abcdef")


def test_w30_own_content_length_is_the_framing(server: Server) -> None:
    run = script(server, start("200 OK", ("content-length", "6")), generator(("yield", b"abc", b"def")))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("length", b"abcdef")
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("result", [("return", [b"abc"]), ("generator", [("yield", b"abc")])], ids=repr)
@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        ("HEAD", "200 OK", b"3"),
        ("HEAD", "404 No", b"3"),
        ("GET", "204 No Content", None),
        ("GET", "304 Not Modified", b"3"),
        ("HEAD", "304 Not Modified", b"3"),
        ("GET", "205 Reset Content", b"0"),
        ("HEAD", "205 Reset Content", b"0"),
    ],
)
def test_w31_no_body_where_http_has_none(
    server: Server, result: Any, method: str, status: str, length: bytes | None
) -> None:
    """The length stays where HTTP allows it (RFC 9110 sections 8.6, 9.3.2, 15.3.5, 15.4.5)."""
    headers = [("Content-Length", "3")] if length else []
    run = script(server, start(status, *headers), result)
    with server.connect() as client:
        client.send(run.request(method=method) + request("/"))
        answer = client.answer(method)
        assert (answer.status, answer.get(b"content-length"), answer.body) == (int(status[:3]), length, b"")
        assert client.answer().body == b"ok"
    run.journal()


def test_w32_continue_is_sent_without_the_application(server: Server) -> None:
    """At once, since the body is awaited before the call ("HTTP 1.1 Expect/Continue")."""
    run = script(server, ("input", [["read"]]), *answers())
    with server.connect() as client:
        client.send(run.request("Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert client.receive_once() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not run.noted()
        assert client.exchange(b"abc").body == b"ok"
    assert run.journal()[0] == ("read", b"abc")


def test_w33_transfer_coding_is_removed(server: Server) -> None:
    """The application sees the body, not the chunks, and no field about them ("Other HTTP Features")."""
    run = script(server, ("environ", "HTTP_TRANSFER_ENCODING"), ("input", [["read"]]), *answers())
    with server.connect() as client:
        data = run.request("Transfer-Encoding: chunked", method="POST")
        assert client.exchange(data + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n").body == b"ok"
    assert run.journal()[:2] == [("absent",), ("read", b"abcde")]


# ---- write, errors


def test_w34_written_bytes_precede_yielded_ones(server: Server) -> None:
    """write() has sent or queued them when it returns ("The write() Callable")."""
    run = script(server, start(), ("write", b"a", b"b"), generator(("write", b"c"), ("yield", b"d"), ("yield", b"e")))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"abcde"
        assert client.exchange(request("/")).body == b"ok"
    assert run.journal()[:2] == [("written", None), ("written", None)]


@pytest.mark.parametrize("piece", ["abc", None, 3, [b"abc"]], ids=repr)
def test_w34_write_takes_bytes_alone(server: Server, piece: Any) -> None:
    """TypeError, and the answer goes on ("Unicode Issues")."""
    run = script(server, start(), ("write", b"a"), ("try", ("write", piece)), ("return", [b"b"]))
    with server.connect() as client:
        assert client.exchange(run.request()).body == b"ab"
    assert run.journal()[1][1][0] == "TypeError"


def test_w35_empty_pieces_are_nothing(server: Server) -> None:
    """Neither a head nor the last chunk ("Specification Details")."""
    run = script(server, start(), ("write", b""), generator(("yield", b"", b"a", b"", b"", b"b", b"")))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.chunks) == ("chunked", [b"a", b"b"])
        assert client.exchange(request("/")).body == b"ok"


@pytest.mark.parametrize("step", [("raise", "w36 failure"), ("exit", "w36 failure")], ids=repr)
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("place", ["call", "iteration"])
def test_w36_exception_before_the_head_is_500(server: Server, step: Any, started: bool, place: str) -> None:
    """Logged once, with the request and its traceback, and the connection goes on or ends as it says."""
    steps = [start("200 OK", ("X-A", "b"))] * started + [step if place == "call" else generator(("yield", b""), step)]
    run = script(server, *steps)
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.status, answer.get(b"x-a")) == (500, None)
        assert b"w36" not in answer.body
        if not answer.closes:
            assert client.exchange(request("/")).body == b"ok"
    log = server.expect_traceback(f"exception in WSGI application: GET /run/{run.key}", "w36 failure")
    assert log.count("exception in WSGI application") == 1
    assert server.get("/") == b"ok"


@pytest.mark.parametrize("headers", [[], [("Content-Length", "10")]], ids=["chunked", "length"])
@pytest.mark.parametrize("place", ["call", "iteration"])
def test_w36_exception_after_the_head_breaks_the_answer_visibly(
    server: Server, headers: list[tuple[str, str]], place: str
) -> None:
    """No tidy end to what is not whole ("Error Handling")."""
    failure = ("raise", "w36 late")
    steps = [("write", b"one"), failure] if place == "call" else [generator(("yield", b"one"), failure)]
    run = script(server, start("200 OK", *headers), *steps)
    with server.connect() as client:
        client.send(run.request() + request("/"))
        data = cut_off(client)
    assert data.count(b"HTTP/1.1") == 1
    assert b"one" in data
    assert not data.endswith(b"0\r\n\r\n")
    server.expect_traceback(f"exception in WSGI application: GET /run/{run.key}", "RuntimeError: w36 late")


# ---- what is optional


def test_w37_file_wrapper(server: Server, tmp_path: Any) -> None:
    """Callable with a block size, iterable with close(), and for a real file from its current position.

    The rest of it is in test_response.py ("Optional Platform-Specific File Handling").
    """
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 100)
    run = script(server, ("file", "memory", bytes(20), 0, 7), ("blocks",), start(), ("file", "buffered", str(path), 10))
    with server.connect() as client:
        assert client.exchange(run.request()).body == path.read_bytes()[10:]
    assert run.journal()[0] == ("blocks", [7, 7, 6])
    assert until(lambda: [closed for closed, _ in run.files()] == [True, True])


def test_w38_single_thread_mode(serve_threads: Serve) -> None:
    """--threads 1: everything in one thread, and the environ says so ("Thread Support")."""
    server = serve_threads(threads=1)
    run = script(server, ("environ", "wsgi.multithread"), *answers())
    clients = [server.connect() for _ in range(5)]
    try:
        for client in clients:
            client.send(request("/thread") * 20)
        names = {client.answer().body for client in clients for _ in range(20)}
    finally:
        for client in clients:
            client.close()
    assert names == {b"'MainThread'"}
    assert server.get(run.target) == b"ok"
    assert run.journal()[0] == (False,)


def test_w39_configuration_reaches_the_environ(serve: Serve) -> None:
    """What a deployer says about the mount point, by flag or by variable ("Application Configuration")."""
    for server in (
        serve("wsgi_environ:app", root_path="/mounted"),
        serve("wsgi_environ:app", environment={"FASTSERVE_ROOT_PATH": "/mounted"}),
    ):
        _, environ, _ = ast.literal_eval(server.get("/mounted/a").decode())
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mounted", "/a")


@pytest.mark.parametrize("chunked", [True, False])
def test_w40_input_terminated(server: Server, chunked: bool) -> None:
    """The input ends by itself also where no length says so; middleware may rely on it."""
    run = script(server, ("environ", "wsgi.input_terminated"), ("input", [["read"], ["read"]]), *answers())
    data = (
        run.request("Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n"
        if chunked
        else run.request(method="POST", body=b"abc")
    )
    with server.connect() as client:
        assert client.exchange(data).body == b"ok"
    assert run.journal()[:3] == [(True,), ("read", b"abc"), ("read", b"")]


def test_w41_extensions_can_be_dropped(server: Server) -> None:
    """A middleware that takes them away changes nothing for those who do not use them ("Specification Details")."""
    names = ["wsgi.file_wrapper", "wsgi.early_hints", "wsgi.input_terminated", "RAW_URI", "REMOTE_PORT"]
    run = script(server, ("drop", *names), ("input", [["read"]]), *answers())
    with server.connect() as client:
        for _ in range(3):
            assert client.exchange(run.request(method="POST", body=b"abc")).body == b"ok"
    assert [note for note in run.journal() if note[0] == "read"] == [("read", b"abc")] * 3


def test_w41_wrapped_file_wrapper_is_an_iterable_as_any_other(server: Server, tmp_path: Any) -> None:
    """The server must send what the outermost iterable gives, not the file behind it."""
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    run = script(server, start(), ("file", "counted", str(path)), ("wrapped_again",))
    with server.connect() as client:
        answer = client.exchange(run.request())
        assert (answer.framing, answer.body) == ("chunked", bytes(100_000))
    assert run.files()[0][1] > 0


@pytest.mark.parametrize("leaves", [True, False])
def test_w42_environ_and_iterable_are_let_go(server: Server, leaves: bool) -> None:
    """Without waiting for the garbage collection, also when the client goes away in the middle."""
    steps = ("endless", 10_000) if leaves else ("yield", b"a")
    run = script(server, ("witness",), start(), generator(steps))
    with server.connect(receive_buffer=4096) as client:
        client.send(run.request())
        if leaves:
            run.stands_still()
            assert not run.released()
            client.reset()
        else:
            assert client.answer().body == b"a"
    run.journal()
    assert until(run.released)
