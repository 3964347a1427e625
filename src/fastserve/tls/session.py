"""What an application is told of its connection's TLS: the ASGI `tls` extension, and mod_ssl's variables."""

import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

_SHORT_NAMES = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""Short names of attributes (RFC 4514 section 3); others have the name that OpenSSL gives them."""

Name = Sequence[Sequence[tuple[str, str]]]
"""A distinguished name as `getpeercert` returns it."""


def extension(session: ssl.SSLObject, server_cert: str | None) -> dict[str, Any]:
    """Returns the scope's `tls` (ASGI TLS extension 0.2) of a connection after its handshake.

    server_cert: the certificate that the client was shown, in PEM.
    """
    peer = session.getpeercert()
    return {
        "server_cert": server_cert,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(each) for each in _client_chain(session)],
        "client_cert_name": rfc4514(peer["subject"]) if peer else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(session.version() or ""),
        "cipher_suite": _suite(session),
    }


def environ(session: ssl.SSLObject, server_name: str | None) -> dict[str, str]:
    """Returns the variables for an environ, by mod_ssl's names; also `HTTPS`.

    server_name: what the client asked for (SNI).
    """
    peer = session.getpeercert()
    name, _, bits = session.cipher() or ("", "", 0)
    found = {
        "HTTPS": "on",
        "SSL_PROTOCOL": session.version() or "",
        "SSL_CIPHER": name,
        "SSL_CIPHER_USEKEYSIZE": str(bits),
        "SSL_CLIENT_VERIFY": "SUCCESS" if peer else "NONE",
    }
    if server_name:
        found["SSL_TLS_SNI"] = server_name
    if peer:
        der = session.getpeercert(binary_form=True)
        found["SSL_CLIENT_S_DN"] = rfc4514(peer["subject"])
        found["SSL_CLIENT_I_DN"] = rfc4514(peer["issuer"])
        found["SSL_CLIENT_M_SERIAL"] = str(peer["serialNumber"])
        found["SSL_CLIENT_CERT"] = ssl.DER_cert_to_PEM_cert(der) if der else ""
    return found


def rfc4514(name: Any) -> str:
    """Returns a distinguished name as text, the most specific part first (RFC 4514)."""
    parts: Name = name
    return ",".join(
        "+".join(f"{_SHORT_NAMES.get(kind, kind)}={_escaped(value)}" for kind, value in each)
        for each in reversed(parts)
    )


def _escaped(value: str) -> str:
    """Escapes a value (RFC 4514 section 2.4)."""
    text = "".join(f"\\{each}" if each in '\\,+"<>;=' else "\\00" if each == "\0" else each for each in value)
    if text[:1] in (" ", "#"):
        text = "\\" + text
    if value.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def _client_chain(session: ssl.SSLObject) -> list[bytes]:
    """Returns the chain that the client has sent, its own certificate first; a resumed session has kept only that."""
    own = session.getpeercert(binary_form=True)
    if own is None:
        return []
    if hasattr(session, "get_unverified_chain"):  # Python 3.13
        return list(session.get_unverified_chain()) or [own]
    chain = session._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain] or [own]


@lru_cache(maxsize=1)
def _suites() -> dict[str, int]:
    """Returns IANA's number of each cipher suite, by OpenSSL's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL")
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}


def _suite(session: ssl.SSLObject) -> int | None:
    cipher = session.cipher()
    return _suites().get(cipher[0]) if cipher is not None else None
