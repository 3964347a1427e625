"""The contexts of TLS, in handshakes through memory: what is spoken, who is shown what, and what is refused."""

import shutil
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fastserve import Config
from fastserve.errors import StartError
from fastserve.tls.contexts import TLS
from kit.certificates import Authority
from kit.memory_tls import Pair, opened, serial, shake, shown, trusting


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# ---- what is spoken


def test_without_a_certificate_there_is_none() -> None:
    assert TLS.open(Config("shop:app")) is None


def test_what_has_been_attacked_is_off(authority: Authority) -> None:
    context = opened(authority.certificate("localhost")).context
    for each in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION, ssl.OP_CIPHER_SERVER_PREFERENCE):
        assert each in context.options
    old = [each for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
    assert old
    assert all(each["aead"] and each["kea"] == "kx-ecdhe" for each in old)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(("least", "version"), [("1.2", "TLSv1_1"), ("1.3", "TLSv1_2")])
def test_an_older_version_is_refused(authority: Authority, least: str, version: str) -> None:
    tls = opened(authority.certificate("localhost"), ssl_min_version=least)
    client = authority.context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(ssl.SSLError):
        shake(tls, client)


@pytest.mark.parametrize(("wanted", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)])
def test_alpn_is_offered_whatever_the_name(authority: Authority, wanted: list[str], chosen: str | None) -> None:
    tls = opened(authority.certificate("one.test"), authority.certificate("two.test"))
    tls.offer(["h2", "http/1.1"])
    for name in ("one.test", "two.test", None):
        client = trusting(authority)
        client.set_alpn_protocols(wanted)
        assert shake(tls, client, name)[1].selected_alpn_protocol() == chosen


# ---- by name


def test_a_certificate_by_name(authority: Authority) -> None:
    one = authority.certificate("one.test")
    two = authority.certificate("two.test", "*.two.test")
    three = authority.certificate("three.test", "one.test")
    tls = opened(one, two, three)
    wanted = {
        "one.test": one,
        "OnE.tEsT": one,
        "two.test": two,
        "a.two.test": two,
        "b.a.two.test": one,
        "three.test": three,
        "nobody.test": one,
        None: one,
    }
    assert {name: shown(tls, authority, name) for name in wanted} == {name: serial(wanted[name]) for name in wanted}


def test_names_cannot_be_read_without_the_package(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    opened(authority.certificate("one.test"))
    with pytest.raises(StartError, match=r"pip install fastserve\[sni\]"):
        opened(authority.certificate("one.test"), authority.certificate("two.test"))


# ---- clients' certificates


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(
    ("required", "shows", "passes"),
    [
        ("none", "theirs", True),
        ("optional", "nothing", True),
        ("optional", "ours", True),
        ("optional", "theirs", False),
        ("required", "nothing", False),
        ("required", "ours", True),
        ("required", "theirs", False),
    ],
)
def test_whose_certificates_pass(
    authority: Authority, tmp_path: Path, version: str, required: str, shows: str, passes: bool
) -> None:
    (tmp_path / "other").mkdir()
    own = {
        "nothing": None,
        "ours": authority.certificate("client.test"),
        "theirs": Authority(tmp_path / "other").certificate("client.test"),
    }[shows]
    tls = opened(authority.certificate("localhost"), ssl_ca_certs=str(authority.file), ssl_cert_reqs=required)
    client = trusting(authority, version, own)
    if not passes:
        with pytest.raises(ssl.SSLError):
            shake(tls, client)
        return
    _, server = shake(tls, client)
    assert len(tls.describe(server)["client_cert_chain"]) == (2 if shows == "ours" else 0)
    assert tls.environ(server)["SSL_CLIENT_VERIFY"] == ("SUCCESS" if shows == "ours" else "NONE")


@pytest.mark.parametrize("serial_number", ["0123456789ABCDEF", "1123456789ABCDEF"])  # whole bytes, as mod_ssl shows it
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_what_applications_are_told(
    authority: Authority, version: str, serial_number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = authority.certificate("localhost")
    monkeypatch.setattr(x509, "random_serial_number", lambda: int(serial_number, 16))
    own = authority.certificate("client.test", common_name="Ann, Ltd.")
    tls = opened(pair, ssl_ca_certs=str(authority.file), ssl_cert_reqs="required")
    client = trusting(authority, version, own)
    session = None
    for reused in (False, True):
        one, server = shake(tls, client, session=session)
        session = one.session
        assert one.session_reused == reused
        told = tls.describe(server)
        chain = told.pop("client_cert_chain")
        assert chain[0] == own[0].read_text()
        assert reused or chain[1] == authority.file.read_text()
        name = told.pop("client_cert_name")
        assert name.startswith("CN=Ann\\, Ltd.,OU=Testing cert #")
        suite = {"TLSv1_2": 0xC02C, "TLSv1_3": 0x1302}[version]
        assert told == {
            "server_cert": pair[0].read_text(),
            "client_cert_error": None,
            "tls_version": {"TLSv1_2": 0x0303, "TLSv1_3": 0x0304}[version],
            "cipher_suite": suite,
        }
        assert tls.environ(server) == {
            "HTTPS": "on",
            "SSL_PROTOCOL": version.replace("_", "."),
            "SSL_CIPHER": {0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384", 0x1302: "TLS_AES_256_GCM_SHA384"}[suite],
            "SSL_CIPHER_USEKEYSIZE": "256",
            "SSL_CLIENT_VERIFY": "SUCCESS",
            "SSL_TLS_SNI": "localhost",
            "SSL_CLIENT_S_DN": name,
            "SSL_CLIENT_I_DN": x509.load_pem_x509_certificate(own[0].read_bytes()).issuer.rfc4514_string(),
            "SSL_CLIENT_M_SERIAL": serial_number,
            "SSL_CLIENT_CERT": own[0].read_text(),
        }


# ---- a context of one's own


def test_a_factory(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_contexts.py").write_text(
        "import ssl\n"
        "def changed(default):\n"
        "    made = default()\n"
        "    made.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    return made\n"
        "def alone(default):\n"
        "    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "def none(default):\n"
        "    return None\n"
        "def broken(default):\n"
        "    raise KeyError('vault')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pair = authority.certificate("localhost")
    with pytest.raises(ssl.SSLError):
        shake(opened(pair, ssl_context="own_contexts:changed"), trusting(authority, "TLSv1_2"))
    assert shown(opened(pair, ssl_context="own_contexts:changed"), authority) == serial(pair)
    assert TLS.open(Config("shop:app", ssl_context="own_contexts:alone")) is not None
    for name, words in (("none", "returned no ssl.SSLContext, but None"), ("broken", "raised KeyError: 'vault'")):
        with pytest.raises(StartError, match=words):
            opened(pair, ssl_context=f"own_contexts:{name}")


# ---- what is wrong with files


def locked(pair: Pair, password: bytes) -> None:
    key = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    how = serialization.BestAvailableEncryption(password)
    pair[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))


def test_passwords(authority: Authority) -> None:
    pair = authority.certificate("localhost")
    locked(pair, b"open sesame")
    assert shown(opened(pair, ssl_keyfile_password="open sesame"), authority) == serial(pair)
    with pytest.raises(StartError, match=f"^TLS: {pair[1]}: the key cannot be read, or the password is wrong$"):
        opened(pair, ssl_keyfile_password="wrong")
    with pytest.raises(StartError, match=f"^TLS: {pair[1]}: the key needs a password, .* ssl_keyfile_password$"):
        opened(pair)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no certificate", "{0}: no such file or directory"),
        ("no key", "{1}: no such file or directory"),
        ("empty certificate", "{0}: there is no certificate in PEM form"),
        ("empty key", "{1}: there is no key in PEM form"),
        ("other key", "{0}, {1}: the key is not the certificate's"),
    ],
)
def test_the_file_that_is_wrong_is_named(authority: Authority, damage: str, words: str) -> None:
    pair = authority.certificate("localhost")
    wrong = pair["key" in damage]
    if damage.startswith("no "):
        wrong.unlink()
    elif damage.startswith("empty "):
        wrong.write_bytes(b"")
    else:
        shutil.copy(authority.certificate("localhost")[1], wrong)
    with pytest.raises(StartError) as caught:
        opened(pair)
    assert str(caught.value) == f"TLS: {words.format(*pair)}"


def test_a_key_that_is_nowhere(authority: Authority) -> None:
    certificate, _ = authority.certificate("localhost")
    with pytest.raises(StartError, match="there is a certificate and no key, which is given by ssl_keyfile"):
        TLS.open(Config("shop:app", ssl_certfile=[str(certificate)]))


def test_ciphers_that_nobody_knows(authority: Authority) -> None:
    with pytest.raises(StartError, match=r"^ssl_ciphers: OpenSSL knows no cipher in 'ROT13'$"):
        opened(authority.certificate("localhost"), ssl_ciphers="ROT13")


def test_authorities_that_are_not_there(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"none\.pem: no such file or directory$"):
        opened(authority.certificate("localhost"), ssl_ca_certs=f"{tmp_path}/none.pem", ssl_cert_reqs="required")
