"""A certificate as it was read: the names that it is for, until when it is, and what is wrong with a file."""

import ssl
import time
from pathlib import Path

import pytest

from fastserve.tls.certificate import BadCertificateError, Certificate, in_memory, signature, unchanged
from kit.calls import reason
from kit.certificates import Authority


def read(certificate: Path, key: Path | None = None) -> Certificate:
    key_path = None if key is None else str(key)
    return Certificate(str(certificate), key_path, None, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_names_and_time(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = read(*authority.certificate("Shop.test", "*.shop.test"))
    assert certificate.names == ["shop.test", "*.shop.test"]
    assert not certificate.expired
    until = certificate.valid_until
    assert until is not None
    assert 29 < (until - time.time()) / 86400 < 31
    assert read(*authority.certificate("old.test", expired=True)).expired


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (certificate, _), (_, key) = authority.certificate("a.test"), authority.certificate("b.test")
    said = reason(lambda: read(certificate, key), BadCertificateError)
    assert "the key is not the certificate's" in said


@pytest.mark.parametrize("text", ["", "no certificate at all"])
def test_a_file_that_holds_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "none.pem"
    path.write_text(text)
    assert str(path) in reason(lambda: read(path), BadCertificateError)


def test_a_change_of_a_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    absent = signature([str(path)])
    path.write_text("a")
    before = signature([str(path)])
    assert not unchanged(before, absent)
    assert unchanged(signature([str(path)]), before)
    path.write_text("ab")
    assert not unchanged(signature([str(path)]), before)


def test_a_text_has_a_path_as_long_as_it_is_needed() -> None:
    with in_memory("text \udcff") as path:
        assert Path(path).read_bytes() == b"text \xff"
