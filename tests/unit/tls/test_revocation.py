"""Revoked certificates of clients, in handshakes through memory: who is refused, and from when on."""

import logging
import ssl
from pathlib import Path

import pytest

from fastserve import Config
from fastserve.errors import StartError
from fastserve.tls.contexts import TLS
from kit.certificates import Authority
from kit.memory_tls import configured, shake, trusting

VERSIONS = ["TLSv1_2", "TLSv1_3"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def opened(authority: Authority, crl: Path, **options: object) -> TLS:
    own = authority.certificate("localhost", name="server")
    tls = TLS.open(configured(own, **{**asking(authority, crl), **options}))
    assert tls is not None
    return tls


def asking(authority: Authority, crl: Path) -> dict[str, object]:
    return {"ssl_ca_certs": str(authority.file), "ssl_cert_reqs": "required", "ssl_crl": str(crl)}


def is_refused(
    tls: TLS, authority: Authority, pair: tuple[Path, Path], version: str, session: ssl.SSLSession | None = None
) -> str:
    """Why; empty for a client that is let in."""
    try:
        shake(tls, trusting(authority, version, pair), session=session)
    except ssl.SSLError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("required", ["required", "optional"])
def test_who_was_revoked_is_refused(authority: Authority, version: str, required: str) -> None:
    good, bad = authority.certificate("good.test"), authority.certificate("bad.test")
    tls = opened(authority, authority.revocations(bad[0]), ssl_cert_reqs=required)
    assert is_refused(tls, authority, good, version) == ""
    assert "certificate revoked" in is_refused(tls, authority, bad, version).lower().replace("_", " ")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("certificates", [1, 2])
def test_a_new_list_is_taken_on(
    authority: Authority, version: str, certificates: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by those that are chosen by name; and nobody goes on with a session from before."""
    caplog.set_level(logging.INFO, "fastserve")
    pairs = [authority.certificate("localhost"), authority.certificate("second.test")][:certificates]
    client, crl = authority.certificate("client.test"), authority.revocations()
    tls = TLS.open(configured(*pairs, **asking(authority, crl)))
    assert tls is not None
    tls.offer(["http/1.1"])
    names = ["localhost", "second.test"][:certificates]
    context = trusting(authority, version, client)
    session = shake(tls, context)[0].session
    assert shake(tls, context, session=session)[0].session_reused
    authority.revocations(client[0])
    tls.renew()
    assert [each.getMessage() for each in caplog.records] == [f"renewed revocations: {crl}"]
    for name in names:
        with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
            shake(tls, context, name)
    with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
        shake(tls, context, session=session)
    authority.revocations()  # once more for good: nothing is added up
    tls.renew()
    for name in names:
        context = trusting(authority, version, client)
        context.set_alpn_protocols(["http/1.1"])
        assert shake(tls, context, name)[1].selected_alpn_protocol() == "http/1.1"


def test_a_broken_list_changes_nothing(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    bad = authority.certificate("bad.test")
    crl = authority.revocations(bad[0])
    tls = opened(authority, crl)
    crl.write_text("-----BEGIN X509 CRL-----\n")
    for _ in range(3):
        tls.renew()
    (line,) = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert line.startswith(f"not renewed, the old revocations stay: TLS: {crl}: ")
    assert "revoked" in is_refused(tls, authority, bad, "TLSv1_2")


def test_a_list_that_has_expired_lets_nobody_in(authority: Authority) -> None:
    tls = opened(authority, authority.revocations(expired=True))
    assert "expired" in is_refused(tls, authority, authority.certificate("good.test"), "TLSv1_2")


def test_an_authority_without_a_list(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    tls = opened(authority, other.revocations())
    assert is_refused(tls, authority, authority.certificate("good.test"), "TLSv1_2") != ""


def test_a_list_beside_a_context_of_somebodys_own(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "revoking_contexts.py").write_text("def own(default):\n    return default()\n")
    monkeypatch.syspath_prepend(tmp_path)
    bad, crl = authority.certificate("bad.test"), authority.revocations()
    tls = opened(authority, crl, ssl_context="revoking_contexts:own")
    before = tls.context
    assert is_refused(tls, authority, bad, "TLSv1_2") == ""
    authority.revocations(bad[0])
    tls.renew()
    assert tls.context is before
    assert "revoked" in is_refused(tls, authority, bad, "TLSv1_2")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "no such file or directory"), ("", "there is no revocation list (CRL) in PEM form"), ("CA", "(CRL)")],
)
def test_no_list(authority: Authority, tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "wrong.pem"
    if content is not None:
        path.write_text(authority.file.read_text() if content == "CA" else content)
    with pytest.raises(StartError) as caught:
        opened(authority, path)
    assert str(caught.value).startswith(f"TLS: {path}: ")
    assert why in str(caught.value)


def test_a_list_for_nobody() -> None:
    with pytest.raises(ValueError, match="ssl_crl: no certificates of clients are asked for without ssl_cert_reqs"):
        Config("a:b", ssl_certfile=["a.pem"], ssl_crl="crl.pem")
