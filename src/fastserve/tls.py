"""TLS of a server: contexts made of certificates, chosen by name, and renewed while they are in use."""

import logging
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

from fastserve import privileges, safe_open, tls_session
from fastserve.application import import_object
from fastserve.certificate import BadCertificateError, Certificate, reason, signature, unchanged
from fastserve.config import Config
from fastserve.errors import StartError

OPTIONS = (
    *("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers"),
    *("ssl_min_version", "ssl_context", "app_dir"),
)
"""What a context is made of."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_ASKED = "name_asked_for"
"""Attribute of a session: ssl keeps the name (SNI) of a client's session only."""

logger = logging.getLogger("fastserve")


class TLS:
    """What a server's TLS connections have in common. Made once, before workers are forked: the keys of session tickets
    are the contexts', so that a session goes on in any worker."""

    def __init__(self, context: ssl.SSLContext, certificates: Iterable[Certificate] = (), config: Config | None = None):
        self.context = context
        self._certificates = tuple(certificates)
        self._first = next((each for each in self._certificates if each.context is context), None)
        self._of_factory = config is not None and config.ssl_context is not None
        self._ca_certs = [config.ssl_ca_certs] if config is not None and config.ssl_ca_certs else []
        self._ca_at_start = self._ca_signature = signature(self._ca_certs)
        self._user = privileges.uid_of(config.user) if config is not None else None
        self._options = _options(config) if config is not None else ()
        self._protocols: list[str] = []
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
        user = privileges.uid_of(config.user)

        def default() -> ssl.SSLContext:
            if not config.ssl_certfile:
                return _new_context(config)
            keys = config.ssl_keyfile or (None,) * len(config.ssl_certfile)
            try:
                certificates.extend(
                    Certificate(each, key, config.ssl_keyfile_password, lambda: _new_context(config), user)
                    for each, key in zip(config.ssl_certfile, keys, strict=True)
                )
            except BadCertificateError as error:
                raise StartError(f"TLS: {error}") from None
            for each in certificates:
                _warn_if_expired(each)
            return certificates[0].context

        context = default() if config.ssl_context is None else _of_factory(config, default)
        return cls(context, certificates, config)

    def reopened(self, config: Config) -> "TLS | None":
        """For another configuration: the same one, renewed, where that says the same of TLS. Raises StartError.

        Also a new one where the authorities are others: those that were taken out of the file are trusted no more, nor
        are the sessions of their clients.
        """
        same_authorities = unchanged(signature(self._ca_certs), self._ca_at_start)
        if config.ssl_context is None and _options(config) == self._options and same_authorities:
            self.renew()
            return self
        return TLS.open(config)

    def offer(self, protocols: list[str]) -> None:
        """What ALPN offers (RFC 7301), the first most of all."""
        self._protocols = protocols
        for each in self._contexts:
            each.set_alpn_protocols(protocols)

    def renew(self) -> None:
        """Takes on certificates whose files have changed; what is wrong with them is logged, and the old ones stay."""
        renewed = [each for each in self._certificates if self._renew(each)]
        if renewed and self._protocols:
            self.offer(self._protocols)
        if renewed and len(self._certificates) > 1:
            self._read_names()
        self._renew_authorities()

    def _renew(self, certificate: Certificate) -> bool:
        try:
            if not certificate.renew(in_place=self._of_factory):
                return False
        except (BadCertificateError, StartError) as error:
            logger.error("the certificate is not renewed, the old one stays: %s", error)
            return False
        until = certificate.valid_until
        when = f", valid until {time.strftime('%Y-%m-%d %H:%M', time.gmtime(until))} UTC" if until is not None else ""
        logger.info("renewed certificate: %s%s", certificate.files, when)
        _warn_if_expired(certificate)
        return True

    def _renew_authorities(self) -> None:
        """Those that sign clients' certificates; authorities that were taken out of the file stay until a reload."""
        now = signature(self._ca_certs)
        if unchanged(now, self._ca_signature):
            return
        self._ca_signature = now
        (file,) = self._ca_certs
        try:
            with safe_open.path_to_read(file, self._user) as path:
                for each in self._contexts:
                    each.load_verify_locations(path)
        except (OSError, ValueError) as error:
            logger.error("%s: not renewed, the old authorities stay: %s", file, reason(error))
        else:
            logger.info("renewed authorities: %s", file)

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
        chosen = self._first
        if name is not None:
            setattr(session, _ASKED, name)
            name = name.lower()
            chosen = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or chosen
        if chosen is not None and chosen.context is not session.context:
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
            with safe_open.path_to_read(config.ssl_ca_certs, privileges.uid_of(config.user)) as path:
                context.load_verify_locations(path)
        except (OSError, ValueError) as error:
            raise StartError(f"TLS: {config.ssl_ca_certs}: {reason(error)}") from None
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


def _warn_if_expired(certificate: Certificate) -> None:
    if certificate.expired:
        logger.warning("%s: the certificate has expired", certificate.files)


def _options(config: Config) -> tuple[object, ...]:
    return tuple(getattr(config, name) for name in OPTIONS)
