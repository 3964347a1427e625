"""New certificates in contexts that are in use, in handshakes through memory: who sees them, and what stays."""

import logging
import os
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from fastserve import Config
from fastserve.tls.contexts import TLS
from kit.certificates import Authority
from kit.memory_tls import configured, opened, serial, shake, shown, trusting


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == level]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastserve")


def test_a_renewal_is_seen_by_new_handshakes(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    old = serial(pair := authority.certificate("localhost", name="server"))
    tls = opened(pair)
    connected = shake(tls, trusting(authority))
    assert serial(authority.certificate("localhost", name="server")) != old
    assert shown(tls, authority) == old
    tls.renew()
    assert shown(tls, authority) == serial(pair)
    client, server = connected
    assert server.write(b"still here") == len(b"still here")
    tls.renew()
    (line,) = said(caplog, logging.INFO)
    until = x509.load_pem_x509_certificate(pair[0].read_bytes()).not_valid_after_utc
    assert line == f"renewed certificate: {pair[0]}, {pair[1]}, valid until {until:%Y-%m-%d %H:%M} UTC"
    assert client.version()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("kinds", [("ECDSA", "ECDSA"), ("ECDSA", "RSA"), ("RSA", "ECDSA")])
def test_sessions_go_on_after_a_renewal(authority: Authority, version: str, kinds: tuple[str, str]) -> None:
    before, after = (trustme.KeyType[each] for each in kinds)
    tls = opened(authority.certificate("localhost", name="server", kind=before))
    tls.offer(["http/1.1"])
    client = trusting(authority, version)
    client.set_alpn_protocols(["http/1.1"])
    first = shake(tls, client)[0]
    authority.certificate("localhost", name="server", kind=after)
    tls.renew()
    one, other = shake(tls, client, session=first.session)
    assert one.session_reused
    assert other.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("kinds", [("ECDSA", "RSA"), ("RSA", "ECDSA")])
def test_a_key_of_another_kind(authority: Authority, kinds: tuple[str, str]) -> None:
    """OpenSSL holds a certificate for each kind, and would go on to show the old one to whom it suits."""
    before, after = (trustme.KeyType[each] for each in kinds)
    pair = authority.certificate("localhost", name="server", kind=before)
    tls = opened(pair)
    authority.certificate("localhost", name="server", kind=after)
    tls.renew()
    for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
        client = trusting(authority, "TLSv1_2")
        client.set_ciphers(cipher)
        if after.name in cipher:
            assert cipher == shake(tls, client)[1].cipher()[0]  # type: ignore[index]
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher|handshake.failure"):
                shake(tls, client)
    one, other = shake(tls, trusting(authority))
    assert int(str(one.getpeercert()["serialNumber"]), 16) == serial(pair)  # type: ignore[index]
    assert tls.describe(other)["server_cert"] == pair[0].read_text()


def test_names_of_a_renewed_certificate(authority: Authority) -> None:
    one = authority.certificate("one.test")
    two = authority.certificate("two.test", name="second")
    tls = opened(one, two)
    assert shown(tls, authority, "new.test") == serial(one)
    authority.certificate("new.test", name="second", kind=trustme.KeyType.RSA)
    tls.renew()
    assert shown(tls, authority, "new.test") == serial(two)
    assert shown(tls, authority, "two.test") == serial(one)


@pytest.mark.parametrize("broken", ["other key", "half", "gone"])
def test_a_broken_renewal_is_said_once(authority: Authority, caplog: pytest.LogCaptureFixture, broken: str) -> None:
    good = serial(pair := authority.certificate("localhost", name="server"))
    tls = opened(pair)
    new = authority.certificate("localhost")
    if broken == "other key":
        shutil.copy(new[1], pair[1])
    elif broken == "half":
        pair[0].write_bytes(new[0].read_bytes()[:200])
    else:
        pair[1].unlink()
    for _ in range(3):
        tls.renew()
        assert shown(tls, authority) == good
    (line,) = said(caplog, logging.ERROR)
    assert line.startswith("the certificate is not renewed, the old one stays: ")
    for source, target in zip(new, pair, strict=True):
        shutil.copy(source, target)
    tls.renew()
    assert shown(tls, authority) == serial(new)


def test_the_old_files_put_back(authority: Authority, tmp_path: Path) -> None:
    good = serial(pair := authority.certificate("localhost", name="server"))
    tls = opened(pair)
    aside = pair[0].rename(tmp_path / "aside")
    tls.renew()
    aside.rename(pair[0])
    tls.renew()
    assert shown(tls, authority) == good


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may look into: pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    ("closed", "lines"), [("nothing new", []), ("opened later", ["permission denied", "renewed certificate"])]
)
def test_as_a_user_who_may_not_read_the_key(
    public: Path, caplog: pytest.LogCaptureFixture, closed: str, lines: list[str]
) -> None:
    authority = Authority(public)
    private = public / "private"
    private.mkdir()
    pair = authority.certificate("localhost", name="private/server")
    for each, mode in ((private, 0o755), (pair[0], 0o644), (pair[1], 0o644)):
        each.chmod(mode)
    tls = opened(pair)
    caplog.clear()
    if closed == "nothing new":
        private.chmod(0o700)
        _as_nobody(tls)
    else:
        authority.certificate("localhost", name="private/server")
        pair[1].chmod(0o600)
        _as_nobody(tls)
        pair[1].chmod(0o644)
        _as_nobody(tls)
    assert len(caplog.messages) == len(lines)
    for line, message in zip(lines, caplog.messages, strict=True):
        assert line in message


def _as_nobody(tls: TLS) -> None:
    os.seteuid(65534)
    try:
        for _ in range(2):
            tls.renew()
    finally:
        os.seteuid(0)


def test_an_expired_certificate_is_said(
    authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    pair = authority.certificate("localhost", name="server", expired=True)
    tls = opened(pair)
    assert said(caplog, logging.WARNING) == [f"{pair[0]}, {pair[1]}: the certificate has expired"]
    authority.certificate("localhost", name="server")
    tls.renew()
    assert len(said(caplog, logging.WARNING)) == 1
    authority.certificate("localhost", name="server", expired=True)
    tls.renew()
    assert len(said(caplog, logging.WARNING)) == 2


# ---- another configuration


def test_the_same_options_go_on_with_the_same_tickets(authority: Authority) -> None:
    pair = authority.certificate("localhost", name="server")
    tls = opened(pair)
    authority.certificate("localhost", name="server")
    assert tls.reopened(configured(pair, timeout_write=3)) is tls
    assert shown(tls, authority) == serial(pair)
    assert tls.reopened(configured(pair, ssl_min_version="1.3")) is not tls
    assert tls.reopened(Config("shop:app")) is None


def test_authorities_are_added_at_once_and_taken_away_by_a_reload(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    pair, theirs = authority.certificate("localhost"), other.certificate("client.test")
    config = configured(pair, ssl_ca_certs=str(trusted), ssl_cert_reqs="required")
    tls = TLS.open(config)
    assert tls is not None
    client = trusting(authority, "TLSv1_2", theirs)
    with pytest.raises(ssl.SSLError):
        shake(tls, client)
    trusted.write_bytes(authority.file.read_bytes() + other.file.read_bytes())
    tls.renew()
    session = shake(tls, client)[0].session
    trusted.write_bytes(authority.file.read_bytes())
    again = tls.reopened(config)
    assert again is not None
    with pytest.raises(ssl.SSLError):
        shake(again, client, session=session)


def test_what_a_factory_has_set_stays_with_a_renewal(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "strict_contexts.py").write_text(
        "def strict(default):\n    made = default()\n    made.set_ciphers('ECDHE+AES128')\n    return made\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pair = authority.certificate("localhost", name="server")
    config = configured(pair, ssl_context="strict_contexts:strict")
    tls = TLS.open(config)
    assert tls is not None
    authority.certificate("localhost", name="server")
    tls.renew()
    one, _ = shake(tls, trusting(authority, "TLSv1_2"))
    assert one.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"  # type: ignore[index]
    assert shown(tls, authority) == (good := serial(pair))
    authority.certificate("localhost", name="server", kind=trustme.KeyType.RSA)
    tls.renew()
    assert shown(tls, authority) == good
    assert "its key is of another type, a reload or a restart takes it on" in said(caplog, logging.ERROR)[0]
    again = tls.reopened(config)
    assert again is not None
    assert shown(again, authority) == serial(pair)
