"""Authorities and revocations as they were read: renewed when their file is, and kept where that is not good."""

import ssl
from pathlib import Path

import pytest

from fastserve.tls.trust import AUTHORITIES, REVOCATIONS, TrustFile
from kit.calls import reason
from kit.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def loaded(trust: TrustFile) -> int:
    """How many authorities a context has by it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_into(context)
    return len(context.get_ca_certs())


def test_authorities_are_kept_as_they_were_read(authority: Authority) -> None:
    trust = TrustFile(str(authority.file), AUTHORITIES, None)
    authority.file.unlink()
    assert loaded(trust) == 1


def test_a_file_that_changes_is_read_again(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fastserve")
    trust = TrustFile(str(authority.file), AUTHORITIES, None)
    assert not trust.renewed()
    (tmp_path / "other").mkdir()
    second = Authority(tmp_path / "other")
    authority.file.write_text(authority.file.read_text() + second.file.read_text())
    assert [trust.renewed(), trust.renewed()] == [True, False]
    assert loaded(trust) == 2
    assert caplog.messages == [f"renewed authorities: {authority.file}"]


def test_a_bad_file_leaves_what_was_read(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    trust = TrustFile(str(authority.file), AUTHORITIES, None)
    authority.file.write_text("nothing of the kind")
    assert [trust.renewed(), trust.renewed()] == [False, False]
    assert loaded(trust) == 1
    assert [each.partition(f": TLS: {authority.file}: ")[0] for each in caplog.messages] == [
        "not renewed, the old authorities stay"
    ], "it is said once"


def test_a_list_of_revocations_has_to_be_one(authority: Authority) -> None:
    good = authority.revocations(authority.certificate("gone")[0])
    assert loaded(TrustFile(str(good), REVOCATIONS, None)) == 0
    assert reason(lambda: TrustFile(str(authority.file), REVOCATIONS, None)) == (
        f"TLS: {authority.file}: there is no revocation list (CRL) in PEM form"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    assert reason(lambda: TrustFile(str(missing), AUTHORITIES, None)) == f"TLS: {missing}: no such file or directory"
