"""TLS handshakes of every kind over real sockets: what is allowed, what is refused, what is late."""

import ast
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from kit import BrokenAnswer, Client, Reader, Serve, Server, request, script
from kit.certificates import Authority, shared
from kit.script import body, start
from kit.waiting import PATIENCE, Stopwatch, until


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(serve: Serve) -> Server:
    return serve(secure=True)


def greet(server: Server, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    """A connection whose handshake is done."""
    plain = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def scope_of(wire: ssl.SSLSocket) -> dict[str, object]:
    with wire:
        wire.sendall(request("/scope", "Connection: close"))
        data = b""
        while piece := wire.recv(65536):
            data += piece
    scope: dict[str, object] = ast.literal_eval(data.partition(b"\r\n\r\n")[2].decode())
    return scope


# ---- what is spoken


@pytest.mark.parametrize(("version", "number"), [("TLSv1_2", 0x0303), ("TLSv1_3", 0x0304)])
def test_versions_and_what_the_application_is_told(secure: Server, version: str, number: int) -> None:
    context = shared().context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    scope = scope_of(greet(secure, context))
    assert scope["scheme"] == "https"
    extensions = scope["extensions"]
    assert isinstance(extensions, dict)
    tls = extensions["tls"]
    assert set(tls) == {
        *("server_cert", "client_cert_chain", "client_cert_name", "client_cert_error", "tls_version", "cipher_suite")
    }
    certificate = shared().standing()[0].read_text()
    assert tls["server_cert"].strip() == certificate[: certificate.index("-----END") + 25].strip()
    assert (tls["client_cert_chain"], tls["client_cert_name"], tls["client_cert_error"]) == ([], None, None)
    assert tls["tls_version"] == number
    assert tls["cipher_suite"] in (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(secure: Server) -> None:
    context = shared().context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.protocol.version|unsupported.protocol|no.protocols"):
        greet(secure, context)
    assert secure.get("/") == b"ok"


def test_the_least_version_can_be_1_3(serve: Serve) -> None:
    server = serve(secure=True, ssl_min_version="1.3")
    context = shared().context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        greet(server, context)
    assert server.get("/") == b"ok"


@pytest.mark.parametrize(
    ("http", "offered", "chosen"),
    [
        ("auto", ["h2", "http/1.1"], "h2"),
        ("auto", ["http/1.1"], "http/1.1"),
        ("auto", ["spdy/3"], None),
        ("1.1", ["h2", "http/1.1"], "http/1.1"),
        ("2", ["http/1.1", "h2"], "h2"),
    ],
)
def test_alpn(serve: Serve, http: str, offered: list[str], chosen: str | None) -> None:
    with greet(serve(secure=True, http=http), shared().context(*offered)) as wire:
        assert wire.selected_alpn_protocol() == chosen


def test_http_2_only(serve: Serve) -> None:
    server = serve(secure=True, http="2", lifespan="off")
    with greet(server, shared().context()) as wire:
        wire.sendall(request("/"))
        assert wire.recv(1000).startswith(b"HTTP/1.1 505 ")


# ---- what is refused


def test_plain_http_gets_an_answer_that_says_so(secure: Server) -> None:
    with Client(secure.address) as client:
        answer = client.exchange(request("/"))
        assert (answer.status, answer.body) == (400, b"this port speaks TLS: use https")
        assert client.closed()


@pytest.mark.parametrize("data", [b"\x00" * 100, b"garbage that is no request", b"\x16\x03\x01\xff\xff" + b"a" * 100])
def test_garbage(secure: Server, data: bytes) -> None:
    with Client(secure.address) as client:
        client.send(data).half_close()
        assert client.gone()
    assert secure.get("/") == b"ok"


def test_records_that_are_forged(secure: Server) -> None:
    with secure.connect() as client:
        client.exchange(request("/"))
        with socket.socket(fileno=socket.dup(client.socket.fileno())) as beside:
            beside.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises((ssl.SSLError, ConnectionError, BrokenAnswer)):
            client.answer()
    assert secure.get("/") == b"ok"


def test_a_handshake_that_stalls(serve: Serve) -> None:
    server = serve(secure=True, ssl_handshake_timeout="0.4")
    with Client(server.address) as silent, Client(server.address) as half:
        watch = Stopwatch()
        half.send(b"\x16\x03\x01\x02\x00\x01\x00")
        assert half.gone()
        assert silent.gone()
        assert watch.elapsed() > 0.3
        assert watch.charged() < 3
    assert server.get("/") == b"ok"


def test_a_handshake_a_byte_at_a_time(secure: Server) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shared().context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Client(secure.address) as client:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.send(bytes([byte]))
                incoming.write(client.socket.recv(65536))
        session.write(request("/"))
        for byte in outgoing.read():
            client.send(bytes([byte]))
        data = b""
        while b"\r\n\r\nok" not in data:
            incoming.write(client.socket.recv(65536))
            try:
                data += session.read(65536)
            except ssl.SSLWantReadError:
                continue


def test_many_handshakes_at_once(secure: Server) -> None:
    """More than a turn's share; whoever is connected is served meanwhile."""
    context = shared().context()
    plain = [socket.create_connection(("127.0.0.1", secure.port), PATIENCE) for _ in range(60)]
    sessions = []
    for each in plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        sessions.append((each, session, incoming, outgoing))
    for each, _, _, outgoing in sessions:
        each.sendall(outgoing.read())
    assert secure.get("/") == b"ok"
    for each, session, incoming, outgoing in sessions:
        with each:
            while not shake(session):
                incoming.write(each.recv(65536))
            session.write(request("/", "Connection: close"))
            each.sendall(outgoing.read())
            assert each.recv(65536)


def shake(session: ssl.SSLObject) -> bool:
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


# ---- the end of a connection


def test_close_notify_comes_from_both_sides(secure: Server) -> None:
    with secure.connect() as client:
        client.send(request("/", "Connection: close"))
        assert client.answer().body == b"ok"
        assert client.socket.recv(10) == b""  # an end without close_notify would raise
    with greet(secure, shared().context()) as wire:
        wire.sendall(request("/"))
        wire.recv(1000)
        wire.unwrap().close()
    assert until(lambda: secure.get("/") == b"ok")


def test_a_request_and_close_notify_in_one_segment(secure: Server) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shared().context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Client(secure.address) as client:
        while not shake(session):
            client.send(outgoing.read())
            incoming.write(client.socket.recv(65536))
        session.write(request("/"))
        with pytest.raises(ssl.SSLError):
            session.unwrap()
        client.send(outgoing.read())
        data = b""
        while piece := client.socket.recv(65536):
            incoming.write(piece)
            try:
                data += session.read(65536)
            except ssl.SSLError:
                continue
        assert b"\r\n\r\nok" in data


def test_the_last_answer_its_end_and_the_tickets_come_in_one_segment(secure: Server) -> None:
    """The first request comes with the client's last message of the handshake, which the tickets answer."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shared().context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Client(secure.address) as client:
        assert not shake(session)
        client.send(outgoing.read())
        while not shake(session):
            incoming.write(client.socket.recv(65536))
        session.write(request("/", "Connection: close"))
        client.send(outgoing.read())
        incoming.write(client.socket.recv(65536))
        assert session.read(65536).endswith(b"\r\n\r\nok")
        assert session.read(1) == b""  # close_notify; nothing yet would raise
        assert client.socket.recv(1) == b""


def test_a_body_that_is_broken_off_has_no_close_notify(secure: Server) -> None:
    """Only the end of the connection ends this one: with close_notify it would look complete."""
    run = script(secure, start(), body(b"abc", True), ("turn", 3), ("raise", "in the middle"))
    plain = socket.create_connection(("127.0.0.1", secure.port), PATIENCE)
    with shared().context().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as wire:
        wire.sendall(run.request(version="1.0"))
        whole = Reader(lambda: wire.recv(1000))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            whole.answer()
    secure.expect_traceback("in the middle")


# ---- certificates of clients


def client_context(authority: Authority, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = shared().context()
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("required", ["optional", "required"])
def test_a_clients_certificate(serve: Serve, authority: Authority, required: str) -> None:
    server = serve(secure=True, ssl_ca_certs=str(authority.file), ssl_cert_reqs=required)
    own = authority.certificate("client.test", common_name="Ann O'Nymous, Ltd.")
    scope = scope_of(greet(server, client_context(authority, own)))
    extensions = scope["extensions"]
    assert isinstance(extensions, dict)
    tls = extensions["tls"]
    assert own[0].read_text().startswith(tls["client_cert_chain"][0].strip())
    assert tls["client_cert_name"].startswith("CN=Ann O'Nymous\\, Ltd.")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_with_a_clients_certificate_goes_on(serve: Serve, authority: Authority, version: str) -> None:
    server = serve(secure=True, ssl_ca_certs=str(authority.file), ssl_cert_reqs="required")
    own = authority.certificate("client.test")
    context = client_context(authority, own)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    session = None
    for reused in (False, True):
        plain = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as wire:
            wire.sendall(request("/scope"))
            with wire.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
                fields = {
                    each.partition(b": ")[0].lower(): each.partition(b": ")[2]
                    for each in iter(answer.readline, b"\r\n")
                }
                scope = ast.literal_eval(answer.read(int(fields[b"content-length"])).decode())
            assert wire.session_reused == reused
            session = wire.session
        assert own[0].read_text().startswith(scope["extensions"]["tls"]["client_cert_chain"][0].strip())


def test_without_a_clients_certificate(serve: Serve, authority: Authority) -> None:
    optional = serve(secure=True, ssl_ca_certs=str(authority.file), ssl_cert_reqs="optional")
    scope = scope_of(greet(optional, client_context(authority, None)))
    assert "'client_cert_chain': []" in str(scope["extensions"])
    required = serve(secure=True, ssl_ca_certs=str(authority.file), ssl_cert_reqs="required")
    refused(required, client_context(authority, None))


@pytest.mark.parametrize("kind", ["of another authority", "expired"])
def test_a_clients_certificate_that_is_wrong(serve: Serve, authority: Authority, kind: str) -> None:
    server = serve(secure=True, ssl_ca_certs=str(authority.file), ssl_cert_reqs="optional")
    issuer = shared() if kind == "of another authority" else authority
    refused(server, client_context(authority, issuer.certificate("client.test", expired=kind == "expired")))
    assert "tls" in str(scope_of(greet(server, client_context(authority, None)))["extensions"])


def refused(server: Server, context: ssl.SSLContext) -> None:
    """With TLS 1.3 the client learns it only when it reads."""
    answer = b""
    with suppress(ssl.SSLError, ConnectionError), greet(server, context) as wire:
        wire.sendall(request("/"))
        answer = wire.recv(1000)
    assert answer == b""
