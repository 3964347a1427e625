"""TLS of a server: contexts made of certificates, chosen by name, and renewed while they are in use."""

import logging
import os
import re
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from fastserve import tls_session
from fastserve.application import import_object
from fastserve.config import Config
from fastserve.errors import StartError

OPTIONS = (
    *("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers"),
    *("ssl_min_version", "ssl_context", "app_dir"),
)
"""What a context is made of."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)

_ASKED = "name_asked_for"
"""Attribute of a session: ssl keeps the name (SNI) of a client's session only."""

Signature = tuple[tuple[int, int, int], ...]
"""Of files: the same as long as nobody has written them."""

logger = logging.getLogger("fastserve")


class BadCertificateError(ValueError):
    """A certificate and its key cannot be used; the message is the reason."""


class Certificate:
    """A certificate with its key, in a context that shows it."""

    def __init__(self, certificate: str, key: str | None, config: Config) -> None:
        """certificate, key: files; without a key the certificate's holds it. Raises BadCertificateError."""
        self._certificate = certificate
        self._key = key
        self._password = config.ssl_keyfile_password
        self._signature = self._sign()
        self.context = _new_context(config)
        self._load()

    def renew(self) -> bool:
        """Looks at the files, and loads them into the context if they have changed: new handshakes show the new
        certificate, whoever is connected is not touched. Raises BadCertificateError, once for one state of the files,
        and then the old ones stay."""
        signature = self._sign()
        if signature == self._signature:
            return False
        self._signature = signature
        self._load()
        return True

    def _sign(self) -> Signature:
        return _signature([self._certificate, *([self._key] if self._key else [])])

    def _load(self) -> None:
        """First into a context that nobody uses: a certificate whose key is another's must not get into this one."""
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            try:
                # Without a function OpenSSL would ask on the terminal.
                context.load_cert_chain(self._certificate, self._key, lambda: self._password or "")
            except (OSError, ValueError) as error:
                raise BadCertificateError(f"{self.files}: {_reason(error, self._password)}") from None
        self.pem = _first_certificate(self._certificate)

    @property
    def files(self) -> str:
        return self._certificate if self._key is None else f"{self._certificate}, {self._key}"

    @property
    def names(self) -> list[str]:
        """The DNS names that it is for. Raises StartError without the package that reads them."""
        try:
            from cryptography import x509
        except ImportError:
            raise StartError(
                "several certificates are told apart by the names in them; to read those: pip install fastserve[sni]"
            ) from None
        try:
            found = x509.load_pem_x509_certificate(self.pem.encode()).extensions
            names = found.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return []
        return [each.lower() for each in names.get_values_for_type(x509.DNSName)]

    def warn_if_expired(self) -> None:
        until = _valid_until(self._certificate)
        if until is not None and until < time.time():
            logger.warning("%s: the certificate has expired", self._certificate)


class TLS:
    """What a server's TLS connections have in common. Made once, before workers are forked: the keys of session tickets
    are the contexts', so that a session goes on in any worker."""

    def __init__(self, context: ssl.SSLContext, certificates: Iterable[Certificate] = (), config: Config | None = None):
        self.context = context
        self._certificates = tuple(certificates)
        self._ca_certs = config.ssl_ca_certs if config is not None else None
        self._ca_signature = _signature([self._ca_certs]) if self._ca_certs else ()
        self._options = _options(config) if config is not None else ()
        self._by_name: dict[str, Certificate] = {}
        if len(self._certificates) > 1:
            self._read_names()
        if context.sni_callback is None:
            context.sni_callback = self._choose

    @classmethod
    def open(cls, config: Config) -> Self | None:
        """None where no TLS is configured. Raises StartError with the reason."""
        if not config.ssl_certfile and config.ssl_context is None:
            return None
        certificates: list[Certificate] = []

        def default() -> ssl.SSLContext:
            if not config.ssl_certfile:
                return _new_context(config)
            keys = config.ssl_keyfile or (None,) * len(config.ssl_certfile)
            try:
                certificates.extend(
                    Certificate(each, key, config) for each, key in zip(config.ssl_certfile, keys, strict=True)
                )
            except BadCertificateError as error:
                raise StartError(f"TLS: {error}") from None
            for each in certificates:
                each.warn_if_expired()
            return certificates[0].context

        context = default() if config.ssl_context is None else _of_factory(config, default)
        return cls(context, certificates, config)

    def reopened(self, config: Config) -> "TLS | None":
        """For another configuration: the same one, renewed, where that says the same of TLS. Raises StartError."""
        if config.ssl_context is None and _options(config) == self._options:
            self.renew()
            return self
        return TLS.open(config)

    def offer(self, protocols: list[str]) -> None:
        """What ALPN offers (RFC 7301), the first most of all."""
        for each in self._contexts:
            each.set_alpn_protocols(protocols)

    def renew(self) -> None:
        """Takes on certificates whose files have changed; what is wrong with them is logged, and the old ones stay."""
        renewed = False
        for each in self._certificates:
            try:
                if not each.renew():
                    continue
            except BadCertificateError as error:
                logger.error("the certificate is not renewed, the old one stays: %s", error)
                continue
            renewed = True
            logger.info("renewed certificate: %s", each.files)
            each.warn_if_expired()
        if renewed and len(self._certificates) > 1:
            self._read_names()
        self._renew_authorities()

    def _renew_authorities(self) -> None:
        """Those that sign clients' certificates; authorities that were taken out of the file stay until a reload."""
        if not self._ca_certs:
            return
        signature = _signature([self._ca_certs])
        if signature == self._ca_signature:
            return
        self._ca_signature = signature
        try:
            for each in self._contexts:
                each.load_verify_locations(self._ca_certs)
        except (OSError, ValueError) as error:
            logger.error("%s: not renewed, the old authorities stay: %s", self._ca_certs, _reason(error, None))
        else:
            logger.info("renewed authorities: %s", self._ca_certs)

    # ---- what applications are told

    def describe(self, session: ssl.SSLObject) -> dict[str, Any]:
        """The scope's `tls` extension."""
        shown = [each.pem for each in self._certificates if each.context is session.context]
        return tls_session.extension(session, shown[0] if shown else None)

    def environ(self, session: ssl.SSLObject) -> dict[str, str]:
        """The variables of an environ."""
        return tls_session.environ(session, getattr(session, _ASKED, None))

    # ---- by name

    @property
    def _contexts(self) -> list[ssl.SSLContext]:
        return [self.context, *(each.context for each in self._certificates if each.context is not self.context)]

    def _read_names(self) -> None:
        """A name that two certificates have is the first one's."""
        self._by_name = {name: each for each in reversed(self._certificates) for name in each.names}

    def _choose(self, session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        """Called in a handshake. Without a name, and for one that nobody has, it is the first one (RFC 6066, 3)."""
        if name is None:
            return
        setattr(session, _ASKED, name)
        name = name.lower()
        chosen = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if chosen is not None:
            session.context = chosen.context


def _new_context(config: Config) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.ssl_min_version]
    # Renegotiation and compression have been attacked, and nobody needs them.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(config.ssl_ciphers)
    except ssl.SSLError:
        raise StartError(f"ssl_ciphers: OpenSSL knows no cipher in {config.ssl_ciphers!r}") from None
    context.verify_mode = _REQUIREMENTS[config.ssl_cert_reqs]
    if config.ssl_ca_certs:
        try:
            context.load_verify_locations(config.ssl_ca_certs)
        except (OSError, ValueError) as error:
            raise StartError(f"TLS: {config.ssl_ca_certs}: {_reason(error, None)}") from None
    return context


def _of_factory(config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    assert config.ssl_context is not None
    factory = import_object(config.ssl_context, config.app_dir)
    try:
        context = factory(default)
    except StartError:
        raise
    except Exception as error:
        raise StartError(f"ssl_context: {config.ssl_context} raised {type(error).__name__}: {error}") from error
    if not isinstance(context, ssl.SSLContext):
        raise StartError(f"ssl_context: {config.ssl_context} returned no ssl.SSLContext, but {context!r}")
    return context


def _options(config: Config) -> tuple[object, ...]:
    return tuple(getattr(config, name) for name in OPTIONS)


def _signature(paths: Iterable[str]) -> Signature:
    """A file that cannot be looked at counts as one in a state of its own."""
    found = []
    for path in paths:
        try:
            status = Path(path).stat()
        except OSError as error:
            found.append((-(error.errno or 1), 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _reason(error: Exception, password: str | None) -> str:
    """What is wrong with a file of keys or certificates, in words. OpenSSL's own are for its authors."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason == "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        if reason in ("BAD_DECRYPT", "BAD_PASSWORD_READ") or "PEM_R_BAD" in reason:
            return "the key cannot be decrypted: " + ("wrong password" if password else "it needs a password")
        if reason in ("NO_START_LINE", "PEM_LIB", "") or "PEM lib" in str(error):
            if not password:
                return "there is no certificate with its key in PEM form (or the key needs a password)"
            return "there is no certificate with its key in PEM form, or the password is wrong"
        return reason.lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)


def _first_certificate(path: str) -> str:
    found = _PEM.search(Path(path).read_text(errors="replace"))
    return found[0] if found is not None else ""


def _valid_until(path: str) -> float | None:
    """Seconds since the epoch, where the certificate says so and somebody is there who reads it."""
    try:
        from cryptography import x509
    except ImportError:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(_first_certificate(path).encode())
        return certificate.not_valid_after_utc.timestamp()
    except ValueError:
        return None
