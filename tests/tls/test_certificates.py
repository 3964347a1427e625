"""Several certificates, and new ones while the server runs; what is wrong with their files."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from kit import Serve, Server, request
from kit.certificates import Authority
from kit.waiting import PATIENCE, Stopwatch, until
from supervised.conftest import amount
from supervised.supervised import Supervised

PLAIN = re.compile(r"listening on http://127\.0\.0\.2:(\d+)\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def shown(port: int, authority: Authority, name: str | None) -> int:
    """The serial number of the certificate that a client sees who asks for this name."""
    context = authority.context()
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=name) as wire,
    ):
        certificate = wire.getpeercert()
        assert certificate
        return int(str(certificate["serialNumber"]), 16)


def serial(certificate: Path) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number


def served(serve: Serve, *pairs: tuple[Path, Path], **options: str) -> Server:
    certificates, keys = [str(pair[0]) for pair in pairs], [str(pair[1]) for pair in pairs]
    return serve(secure=False, ssl_certfile=certificates, ssl_keyfile=keys, **options)


def test_by_name(start: Serve, authority: Authority) -> None:
    one, two = authority.certificate("one.test"), authority.certificate("two.test", "*.two.test")
    three = authority.certificate("three.test", "one.test")
    server = served(start, one, two, three)
    wanted = {
        "one.test": one,
        "ONE.TEST": one,
        "two.test": two,
        "deep.two.test": two,
        "too.deep.two.test": one,
        "three.test": three,
        "nobody.test": one,
        None: one,
    }
    for name, (certificate, _) in wanted.items():
        assert shown(server.port, authority, name) == serial(certificate), name


def test_one_file_with_key_and_password(start: Serve, authority: Authority, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = authority.certificate("localhost")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    )
    both = tmp_path / "both.pem"
    both.write_bytes(locked + certificate.read_bytes())
    server = start(secure=False, ssl_certfile=str(both), environment={"FASTSERVE_SSL_KEYFILE_PASSWORD": "open sesame"})
    assert shown(server.port, authority, "localhost") == serial(certificate)
    for password, said in (("wrong", "password is wrong"), ("", "needs a password")):
        failed = start(
            secure=False,
            ssl_certfile=str(both),
            listens=False,
            environment={"FASTSERVE_SSL_KEYFILE_PASSWORD": password},
        )
        assert failed.wait() == 1
        assert said in failed.stderr.text
        assert password == "" or password not in failed.stderr.text.replace("password is wrong", "").replace(
            "wrong password", ""
        )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "no such file or directory"),
        ("no pem", "there is no certificate in PEM form"),
        ("other key", "the key is not the certificate's"),
    ],
)
def test_a_start_that_fails_says_why(
    start: Serve, authority: Authority, tmp_path: Path, damage: str, said: str
) -> None:
    certificate, key = authority.certificate("localhost")
    if damage == "missing":
        certificate = tmp_path / "none.pem"
    elif damage == "no pem":
        certificate.write_text("nothing")
    else:
        key = authority.certificate("localhost")[1]
    server = served(start, (certificate, key), listens=False)  # type: ignore[arg-type]
    assert server.wait() == 1
    assert f"TLS: {certificate}" in server.stderr.text
    assert said in server.stderr.text
    assert "Traceback" not in server.stderr.text


def test_a_new_certificate_is_taken_on(start: Serve, authority: Authority) -> None:
    files = authority.certificate("localhost", name="renewed")
    server = served(start, files)
    old = serial(files[0])
    context = authority.context()
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        authority.certificate("localhost", name="renewed")
        new = serial(files[0])
        assert new != old
        assert until(lambda: shown(server.port, authority, "localhost") == new)
        wire.sendall(request("/"))
        assert wire.recv(1000).startswith(b"HTTP/1.1 200")
    server.stderr.wait_for(f"renewed certificate: {files[0]}")


def test_a_broken_new_certificate_leaves_the_old_one(start: Serve, authority: Authority) -> None:
    files = authority.certificate("localhost", name="broken")
    server = served(start, files)
    good = serial(files[0])
    other = authority.certificate("localhost")
    shutil.copy(other[1], files[1])
    server.stderr.wait_for("the certificate is not renewed, the old one stays: ")
    server.stderr.wait_for("the key is not the certificate's")
    assert shown(server.port, authority, "localhost") == good
    shutil.copy(other[0], files[0])
    assert until(lambda: shown(server.port, authority, "localhost") == serial(other[0]))
    assert server.stderr.text.count("is not renewed") == 1


@pytest.mark.slow
def test_renewals_under_load(start: Serve, authority: Authority) -> None:
    """Several of them; no request fails, of those that keep their connection and those that come anew."""
    files = authority.certificate("localhost", name="loaded")
    server = served(start, files)
    failures: list[str] = []
    ended = threading.Event()
    done = [0, 0]

    def load(number: int, keeps: bool) -> None:
        context = authority.context()
        while not ended.is_set():
            try:
                with (
                    socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
                    context.wrap_socket(plain, server_hostname="localhost") as wire,
                ):
                    for _ in range(200 if keeps else 1):
                        wire.sendall(request("/"))
                        if not wire.recv(1000).endswith(b"ok"):
                            failures.append("a wrong answer")
                        done[number] += 1
            except OSError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load, args=(number, keeps)) for number, keeps in enumerate((True, False))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(amount(8, 50)):
            authority.certificate("localhost", name="loaded")
            wanted = serial(files[0])
            watch = Stopwatch()
            assert until(lambda wanted=wanted: shown(server.port, authority, "localhost") == wanted, 5)  # type: ignore[misc]
            assert watch.charged() < 2
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert min(done) > 20


def test_an_expired_certificate_is_served_with_a_warning(start: Serve, authority: Authority) -> None:
    server = served(start, authority.certificate("localhost", expired=True))
    assert "the certificate has expired" in server.stderr.text
    context = ssl.create_default_context(cafile=authority.file)
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
        pytest.raises(ssl.SSLError, match="expired"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_an_own_context(start: Serve, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certificate("localhost")
    (tmp_path / "own_tls.py").write_text(
        "import ssl\n"
        "def context(default):\n"
        "    made = default()\n"
        "    made.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    return made\n"
        "def none(default):\n"
        "    return None\n"
    )
    server = start(
        secure=False,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        ssl_context="own_tls:context",
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert shown(server.port, authority, "localhost") == serial(certificate)
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")
    failed = start(secure=False, ssl_context="own_tls:none", listens=False, environment={"PYTHONPATH": str(tmp_path)})
    assert failed.wait() == 1
    assert "ssl_context: own_tls:none returned no ssl.SSLContext, but None" in failed.stderr.text


# ---- plain addresses beside it


def test_a_plain_address_and_a_redirect(start: Serve, authority: Authority) -> None:
    certificate, key = authority.certificate("localhost")
    for redirect in (False, True):
        server = start(
            secure=False,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            insecure_bind="127.0.0.2:0",
            **({"ssl_redirect": True} if redirect else {}),
        )
        server.stderr.wait_for(f"listening on https://127.0.0.1:{server.port}\n")
        plain = int(server.stderr.wait_for_match(PLAIN)[1])
        with socket.create_connection(("127.0.0.2", plain), PATIENCE) as wire:
            wire.sendall(b"GET /a%20b?c=d HTTP/1.1\r\nHost: site.test:" + str(plain).encode() + b"\r\n\r\n")
            answer = wire.recv(4000).decode()
        if redirect:
            assert answer.startswith("HTTP/1.1 308 Permanent Redirect\r\n")
            assert f"\r\nlocation: https://site.test:{server.port}/a%20b?c=d\r\n" in answer
        else:
            assert answer.endswith("ok")
        server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("supervised", [True, False])
def test_two_free_ports_of_a_host(start: Serve, authority: Authority, host: str, supervised: bool) -> None:
    """One with TLS and one without, which are written the same; they stay over a reload and an upgrade."""
    certificate, key = authority.certificate("localhost")
    server = start(
        secure=False,
        supervised=supervised,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        host=host,
        insecure_bind=f"{host}:0",
        listens=False,
    )

    def ports(text: str, scheme: str) -> list[str]:
        return re.findall(rf"listening on {scheme}://127\.0\.0\.1:(\d+)\n", text)

    text = server.stderr.wait(lambda text: bool(ports(text, "https")) and bool(ports(text, "http")))
    (secure,), (plain,) = ports(text, "https"), ports(text, "http")

    def both_answer() -> None:
        assert shown(int(secure), authority, "localhost") == serial(certificate)
        with socket.create_connection(("127.0.0.1", int(plain)), PATIENCE) as wire:
            wire.sendall(request("/", "Connection: close"))
            assert wire.makefile("rb").read().endswith(b"ok")

    both_answer()
    if supervised:
        server.signal(signal.SIGHUP)
        server.stopping = False
        server.stderr.wait_for("reloaded\n")
        both_answer()
        server.signal(signal.SIGUSR2)
        server.stopping = False
        server.stderr.wait_for("serving beside supervisor")
        for _ in range(5):
            both_answer()
        successor = re.search(r"supervisor (\d+) starts with the same sockets", server.stderr.text)
        assert successor is not None
        os.kill(int(successor[1]), signal.SIGTERM)
        server.stderr.wait_for("has ended, this one goes on")
        both_answer()
    assert "Traceback" not in server.stderr.text


# ---- many workers


@pytest.fixture
def workers(start: Serve, authority: Authority) -> tuple[Server, Path]:
    files = authority.certificate("localhost", name="workers")
    return served(start, files, supervised=True, workers="3"), files[0]  # type: ignore[arg-type]


def test_sessions_go_on_in_every_worker_and_after_a_reload(workers: tuple[Server, Path], authority: Authority) -> None:
    server, _ = workers
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where Python's client can offer a session again at will

    def greet(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
        with (
            socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as wire,
        ):
            wire.sendall(request("/"))
            wire.recv(1000)
            return wire.session, bool(wire.session_reused)

    session, reused = greet(None)
    assert not reused
    assert all(greet(session)[1] for _ in range(30))
    server.signal(signal.SIGHUP)
    server.stopping = False
    server.stderr.wait_for("reloaded\n")
    assert all(greet(session)[1] for _ in range(30))


def test_keys_of_tickets_are_replaced_in_all_workers_at_once(start: Serve, authority: Authority) -> None:
    """A session goes on in any worker, for as long as it goes on."""
    files = authority.certificate("localhost")
    server = served(start, files, supervised=True, workers="3", ssl_ticket_key_age="3")  # type: ignore[arg-type]
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def greet(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
        with (
            socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as wire,
        ):
            return wire.session, bool(wire.session_reused)

    def goes_on_everywhere() -> bool:
        """With keys of their own the others of three workers would not know it, who serve two thirds of these."""
        session = greet(None)[0]
        return all(greet(session)[1] for _ in range(20))

    for _ in range(2):
        assert until(goes_on_everywhere)
        session = greet(None)[0]
        assert until(lambda session=session: not greet(session)[1])  # type: ignore[misc]
    assert "not renewed" not in server.stderr.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_not_read_the_files(authority: Authority) -> None:
    """What root has read is kept: keys of tickets are replaced all the same."""
    certificate, key = authority.certificate("localhost")
    crl = authority.revocations()
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "served.py").write_text(
            "async def app(scope, receive, send):\n"
            "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
            "    await send({'type': 'http.response.body'})\n"
        )
        closed = directory / "closed"
        closed.mkdir(0o700)
        for each in (certificate, key, crl, authority.file):
            shutil.copy(each, closed / each.name)
        options = ["--ssl-certfile", f"closed/{certificate.name}", "--ssl-keyfile", f"closed/{key.name}"]
        options += ["--ssl-ca-certs", f"closed/{authority.file.name}", "--ssl-crl", f"closed/{crl.name}"]
        options += ["--ssl-cert-reqs", "optional", "--ssl-ticket-key-age", "2", "--user", "nobody", "--lifespan", "off"]
        with Supervised("served:app", *options, directory=directory, listens=False) as supervised:
            listening = re.compile(r"listening on https://127.0.0.1:(\d+)")
            match = listening.search(supervised.log.wait(lambda text: listening.search(text) is not None))
            assert match is not None
            context = authority.context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2

            def greet(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
                with (
                    socket.create_connection(("127.0.0.1", int(match[1])), PATIENCE) as plain,
                    context.wrap_socket(plain, server_hostname="localhost", session=session) as wire,
                ):
                    return wire.session, bool(wire.session_reused)

            def goes_on() -> bool:
                return greet(greet(None)[0])[1]

            for _ in range(3):
                assert until(goes_on)
                session = greet(None)[0]
                assert until(lambda session=session: not greet(session)[1])  # type: ignore[misc]
            assert "not renewed" not in supervised.log.text
            assert "fault" not in supervised.log.text


def test_hup_takes_new_certificates_on(workers: tuple[Server, Path], authority: Authority) -> None:
    server, certificate = workers
    authority.certificate("localhost", name="workers")
    server.signal(signal.SIGHUP)
    server.stopping = False
    server.stderr.wait_for("reloaded\n")
    # The last of the old workers has only just been told to go.
    assert until(lambda: all(shown(server.port, authority, "localhost") == serial(certificate) for _ in range(20)))


# ---- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ssl-keyfile", "k"], "each certificate has a key"),
        (["--ssl-certfile", "c", "--ssl-cert-reqs", "required"], "needs ssl_ca_certs"),
        (["--ssl-redirect"], "there is no TLS without"),
        (["--ssl-certfile", "c", "--ssl-redirect"], "needs an insecure_bind"),
        (["--insecure-bind", ":80"], "there is no TLS without"),
        (["--ssl-keyfile-password", "secret"], "there is no TLS without"),
    ],
)
def test_options_that_contradict_each_other(options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastserve", "scripted:app", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr.replace("-", "_") or said in done.stderr
    assert "secret" not in done.stderr


def test_the_password_is_not_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastserve", "scripted:app", "--print-config", "--ssl-certfile", "c"],
        capture_output=True,
        text=True,
        check=True,
        env={"FASTSERVE_SSL_KEYFILE_PASSWORD": "open sesame"},
    )
    assert "open sesame" not in done.stdout + done.stderr
    assert "# ssl-keyfile-password is set, and not shown  # environment FASTSERVE_SSL_KEYFILE_PASSWORD" in done.stdout
