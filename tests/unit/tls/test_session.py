"""What an application is told of the TLS under its connection."""

import ssl
from pathlib import Path

import pytest

from fastserve.tls import session
from kit.certificates import Authority
from kit.memory_tls import opened, shake, trusting


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (((("countryName", "DE"),), (("commonName", "shop"),)), "CN=shop,C=DE"),
        (((("commonName", "a"), ("userId", "b")),), "CN=a+UID=b"),
        (((("emailAddress", "x@y"),),), "emailAddress=x@y"),
        (((("commonName", 'a,b+c"d\\e<f>g;h=i'),),), 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i'),
        (((("commonName", " a "),),), "CN=\\ a\\ "),
        (((("commonName", "#a"),),), "CN=\\#a"),
        (((("commonName", "a\0b"),),), "CN=a\\00b"),
        (((("commonName", " "),),), "CN=\\ "),
        ((), ""),
    ],
)
def test_a_distinguished_name_is_written_as_rfc_4514_says(name: object, text: str) -> None:
    assert session.rfc4514(name) == text


def test_a_client_without_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, ours = shake(opened(authority.standing()), trusting(authority, "TLSv1_3"))
    told = session.extension(ours, "the certificate")
    assert told["server_cert"] == "the certificate"
    assert (told["client_cert_chain"], told["client_cert_name"]) == ([], None)
    assert told["tls_version"] == 0x0304
    assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    found = session.environ(ours, None)
    assert found["HTTPS"] == "on"
    assert (found["SSL_PROTOCOL"], found["SSL_CLIENT_VERIFY"]) == ("TLSv1.3", "NONE")
    assert "SSL_TLS_SNI" not in found
    assert "SSL_CLIENT_CERT" not in found


def test_a_client_with_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.certificate("client", common_name="Doe, John")
    options = {"ssl_ca_certs": str(authority.file), "ssl_cert_reqs": "required"}
    _, ours = shake(opened(authority.standing(), **options), trusting(authority, "TLSv1_2", own))
    told = session.extension(ours, None)
    assert told["tls_version"] == 0x0303
    assert told["client_cert_name"].startswith("CN=Doe\\, John,")
    assert ssl.PEM_cert_to_DER_cert(told["client_cert_chain"][0]) == ssl.PEM_cert_to_DER_cert(own[0].read_text())
    found = session.environ(ours, "shop.test")
    assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert found["SSL_CLIENT_S_DN"] == told["client_cert_name"]
    assert found["SSL_TLS_SNI"] == "shop.test"
    assert found["SSL_CLIENT_CERT"] == told["client_cert_chain"][0]
