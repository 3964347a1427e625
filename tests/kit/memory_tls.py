"""TLS handshakes through memory, of the server's contexts and a client's."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from fastserve import Config
from fastserve.tls.contexts import TLS
from kit.certificates import Authority

Pair = tuple[Path, Path]


def configured(*pairs: Pair, **options: object) -> Config:
    certificates, keys = [str(pair[0]) for pair in pairs], [str(pair[1]) for pair in pairs]
    return Config("shop:app", ssl_certfile=certificates, ssl_keyfile=keys, **options)


def opened(*pairs: Pair, **options: object) -> TLS:
    tls = TLS.open(configured(*pairs, **options))
    assert tls is not None
    return tls


def shake(
    tls: TLS, client: ssl.SSLContext, name: str | None = "localhost", session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A client's and the server's side after their handshake. Raises SSLError, whoever of them is not content."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(down, up, server_hostname=name, session=session)
    other = tls.context.wrap_bio(up, down, server_side=True)
    left = [one, other]
    while left:
        for each in list(left):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(each)
    with pytest.raises(ssl.SSLWantReadError):
        one.read(1)  # the tickets of TLS 1.3
    return one, other


def trusting(authority: Authority, version: str = "", own: Pair | None = None) -> ssl.SSLContext:
    context = authority.context()
    context.check_hostname = False
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if own is not None:
        context.load_cert_chain(*own)
    return context


def shown(tls: TLS, authority: Authority, name: str | None = "localhost") -> int:
    """The serial number of the certificate that a client sees."""
    certificate = shake(tls, trusting(authority), name)[0].getpeercert()
    assert certificate
    return int(str(certificate["serialNumber"]), 16)


def serial(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair[0].read_bytes()).serial_number
