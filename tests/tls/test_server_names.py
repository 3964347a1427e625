"""The name that a client asks for (SNI), where it is none or where whoever chooses by it fails.

The client alone is refused, and nothing that it has sent makes a traceback, which the ssl module would write to stderr.
"""

import ssl
import subprocess
import sys

import pytest

from kit import Client, Serve, Server, request
from kit.certificates import Authority, shared
from kit.waiting import PATIENCE

HOSTILE = [b"local\xe9ost", b"\xff" * 9, b"\x80ocalhost", b"l\xc3\xb6calhst"]


def hello(name: bytes) -> bytes:
    """A ClientHello that asks for a name of nine bytes, whatever they are."""
    assert len(name) == len("localhost")
    outgoing = ssl.MemoryBIO()
    session = shared().context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    made = outgoing.read()
    assert made.count(b"localhost") == 1
    return made.replace(b"localhost", name)


def refused(server: Server, name: bytes) -> bytes:
    """What the server answers, which ends the connection: an alert."""
    with Client(server.address) as client:
        client.send(hello(name))
        answer = b""
        while piece := client.socket.recv(4096):
            answer += piece
    assert (answer[0], answer[5:6]) == (21, b"\x02"), "not a fatal alert"
    return answer


@pytest.mark.parametrize("application", ["scripted:app", "wsgi_scripted:app"])
@pytest.mark.parametrize("names", [1, 2])
def test_a_name_that_is_not_ascii(start: Serve, authority: Authority, application: str, names: int) -> None:
    pairs = [shared().standing(), authority.certificate("second.test")][:names]
    server = start(
        application,
        secure=True,
        ssl_certfile=[str(pair[0]) for pair in pairs],
        ssl_keyfile=[str(pair[1]) for pair in pairs],
    )
    before = len(server.stderr.text)
    for each in HOSTILE:
        refused(server, each)
    server.stderr.wait(lambda text: text.count("the server name is not ASCII") == len(HOSTILE), start=before)
    server.get("/")
    assert "Exception ignored" not in server.stderr.text
    assert "xe9" not in server.stderr.text


def test_it_may_be_cut_anywhere(start: Serve) -> None:
    """The handshake goes on in another turn, and others are served between the two."""
    server = start(secure=True)
    data = hello(HOSTILE[0])
    for at in range(1, len(data), 37):
        with Client(server.address) as client:
            client.send(data[:at])
            server.get("/")
            client.send(data[at:])
            assert client.socket.recv(7)[0] == 21
    assert "Exception ignored" not in server.stderr.text


def test_others_are_served_meanwhile(start: Serve) -> None:
    server = start(secure=True)
    with server.connect() as client:
        for each in HOSTILE:
            refused(server, each)
            assert client.exchange(request("/")).body == b"ok"


def test_it_is_said_in_a_line_each(start: Serve) -> None:
    server = start(secure=True)
    before = len(server.stderr.text)
    for each in HOSTILE:
        refused(server, each)
    server.stderr.wait(lambda text: text.count("\n") == len(HOSTILE), start=before)
    for line in server.stderr.text[before:].splitlines():
        assert "[INFO] client 127.0.0.1:" in line
        assert line.endswith("(tls), the connection is closed: the server name is not ASCII")


@pytest.mark.parametrize("application", ["scripted:app", "wsgi_scripted:app"])
def test_a_choice_that_raises(start: Serve, application: str) -> None:
    """The fault of the program: it is logged as one of a request is, and held to the same rate."""
    server = start(
        application, secure=True, ssl_context="choosing:context", environment={"FASTSERVE_LOG_RATE_LIMIT": "1"}
    )
    for _ in range(20):
        assert refused(server, b"raises-99")
    server.expect_traceback(
        "exception in the sni_callback of the TLS context", "LookupError: nobody is called raises-99"
    )
    server.tracebacks_matter = False
    server.stderr.wait_for("others are left out and counted")
    server.get("/")
    assert "Exception ignored" not in server.stderr.text
    assert 5 <= server.stderr.text.count("LookupError: nobody") <= 10


def test_a_choice_that_fails_as_a_name_does(start: Serve) -> None:
    server = start(secure=True, ssl_context="choosing:context")
    assert refused(server, b"decodes-9")
    server.expect_traceback("exception in the sni_callback of the TLS context", "UnicodeDecodeError: 'ascii' codec")
    assert refused(server, HOSTILE[0])
    server.get("/")


def test_what_others_cannot_raise_is_theirs(authority: Authority) -> None:
    """Whoever watches sys.unraisablehook goes on to see all else, also while handshakes run."""
    code = """
import asyncio, gc, socket, ssl, sys, threading
from fastserve import Config, Server

seen = []
sys.unraisablehook = lambda unraisable: seen.append(str(unraisable.exc_value))
over = threading.Event()

class Failing:
    def __del__(self):
        raise ValueError("from a finalizer")

def fail():
    while not over.is_set():
        Failing()

async def app(scope, receive, send):
    Failing()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

async def main():
    options = {"port": 0, "lifespan": "off", "access_log": False}
    config = Config(app, **options, ssl_certfile=[sys.argv[1]], ssl_keyfile=[sys.argv[2]])
    server = Server(config)
    serving = asyncio.ensure_future(server.serve())
    await server.wait_started()
    port = int(server.addresses[0].rpartition(":")[2])
    context = ssl.create_default_context(cafile=sys.argv[3])
    thread = threading.Thread(target=fail)
    thread.start()
    for name in ["localhost", "localh\\u00f6st"] * 10:
        if name == "localhost":
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
            writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
            assert (await reader.read()).endswith(b"ok")
            writer.close()
        else:
            out = ssl.MemoryBIO()
            try:
                context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
            except ssl.SSLWantReadError:
                pass
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(out.read().replace(b"localhost", b"local\\xe9ost"))
            assert (await reader.read())[0] == 21
            writer.close()
    over.set()
    thread.join()
    server.shutdown()
    await serving

ours = sys.unraisablehook
asyncio.run(main())
assert sys.unraisablehook is ours
print(sorted(set(seen)))
"""
    certificate, key = shared().standing()
    arguments = [sys.executable, "-c", code, str(certificate), str(key), str(shared().file)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['from a finalizer']\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
