"""A server's TLS: contexts made of certificates, chosen by name, and renewed while they are in use."""

import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Self

from fastserve.app.application import import_object
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import privileges
from fastserve.tls import session as tls_session
from fastserve.tls.certificate import SHOWN, BadCertificateError, Certificate, signature, unchanged
from fastserve.tls.trust import Trust, TrustFile

OPTIONS = (
    *("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers"),
    *("ssl_min_version", "ssl_context", "ssl_crl", "ssl_ticket_key_age", "app_dir"),
)
"""The options that a context is made from."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_ASKED = "name_asked_for"
"""An attribute of a session, for the name that the client asked for: ssl keeps it (SNI) only for clients' sessions."""

logger = logging.getLogger("fastserve")


class TLS:
    """What a server's TLS connections have in common. Made once, before workers are forked: the contexts hold the keys
    of session tickets, so that any worker can resume a session.

    context: the one that handshakes begin with. Replaced from time to time by another with other ticket keys.
    """

    def __init__(
        self, context: ssl.SSLContext, certificates: Iterable[Certificate], config: Config, trust: Trust
    ) -> None:
        self.context = context
        self._certificates = tuple(certificates)
        self._first = next((each for each in self._certificates if each.context is context), None)
        self._config = config
        self._trust = trust
        self._of_factory = config.ssl_context is not None
        self._ca_certs = [config.ssl_ca_certs] if config.ssl_ca_certs else []
        self._ca_at_start = signature(self._ca_certs)
        self._options = _options(config)
        self._protocols: list[str] = []
        self._by_name: dict[str, Certificate] = {}
        self._key_age = 0.0 if self._of_factory else config.ssl_ticket_key_age
        self._began = time.monotonic()
        self._periods = 0
        self._ahead: deque[ssl.SSLContext] = deque()
        if len(self._certificates) > 1:
            self._read_names()
        if context.sni_callback is None:
            context.sni_callback = self._choose

    @classmethod
    def open(cls, config: Config) -> Self | None:
        """Returns the configured TLS; None if none is configured. Raises StartError with the reason."""
        if not config.ssl_certfile and config.ssl_context is None:
            return None
        certificates: list[Certificate] = []
        user = privileges.uid_of(config.user)
        trust = Trust(config)

        def new_context() -> ssl.SSLContext:
            return _set_up(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), config, trust)

        def default() -> ssl.SSLContext:
            if not config.ssl_certfile:
                return new_context()
            keys = config.ssl_keyfile or (None,) * len(config.ssl_certfile)
            try:
                certificates.extend(
                    Certificate(each, key, config.ssl_keyfile_password, new_context, user)
                    for each, key in zip(config.ssl_certfile, keys, strict=True)
                )
            except BadCertificateError as error:
                raise StartError(f"TLS: {error}") from None
            for each in certificates:
                _warn_if_expired(each)
            return certificates[0].context

        context = default() if config.ssl_context is None else _of_factory(config, default)
        return cls(context, certificates, config, trust)

    def reopened(self, config: Config) -> "TLS | None":
        """Returns the TLS of another configuration: this object, renewed, if the TLS options are the same.

        Returns a new object also if the authorities have changed: removed ones are trusted no more, nor are the
        sessions of their clients. Raises StartError.
        """
        same_authorities = unchanged(signature(self._ca_certs), self._ca_at_start)
        if config.ssl_context is None and _options(config) == self._options and same_authorities:
            self.renew()
            return self
        return TLS.open(config)

    def offer(self, protocols: list[str]) -> None:
        """Sets the protocols that ALPN offers (RFC 7301), in order of preference."""
        self._protocols = protocols
        for each in self._contexts:
            each.set_alpn_protocols(protocols)

    # ---- what is renewed

    def renew(self) -> None:
        """Takes on certificates whose files have changed. Logs what is wrong with a file; then the old ones stay."""
        renewed = [each for each in self._certificates if self._renew(each)]
        if renewed and self._protocols:
            self.offer(self._protocols)
        if renewed and len(self._certificates) > 1:
            self._read_names()
        if self._trust.authorities is not None and self._trust.authorities.renewed():
            for context in self._contexts:  # removed authorities stay trusted until a reload
                self._trust.authorities.load_into(context)
        if self._trust.revocations is not None and self._trust.revocations.renewed():
            self._take_revocations_on(self._trust.revocations)
        self.renew_keys()

    def renew_keys(self, ahead: int = 0) -> None:
        """Begins a new period of session-ticket keys, if one is due. Python's ssl cannot set a context's keys, so each
        period has a new context.

        ahead: for how many future periods contexts are made now, so that processes forked afterwards share the keys of
        each. Beyond those, every process has its own.
        """
        if not self._key_age:
            return
        passed = int((time.monotonic() - self._began) / self._key_age) - self._periods
        if passed:
            self._periods += passed
            self._begin_period(passed)
        while len(self._ahead) < ahead:
            self._ahead.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def _begin_period(self, passed: int) -> None:
        """passed: one, or more where this process stood still."""
        found = [self._ahead.popleft() for _ in range(min(passed, len(self._ahead)))]
        try:
            self._begin_with(found[-1] if len(found) == passed else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (BadCertificateError, OSError, ValueError) as error:
            logger.error("the keys of session tickets are not renewed, the old ones stay: %s", error)

    def _begin_with(self, context: ssl.SSLContext) -> None:
        """Makes handshakes begin with a context that holds nothing but its keys so far."""
        assert self._first is not None
        self._first.move_to(self._set_up(context))
        context.sni_callback = self._choose
        self.context = context

    def _set_up(self, context: ssl.SSLContext) -> ssl.SSLContext:
        _set_up(context, self._config, self._trust)
        if self._protocols:
            context.set_alpn_protocols(self._protocols)
        return context

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

    def _take_revocations_on(self, revocations: TrustFile) -> None:
        """Takes on a list of revocations by new contexts, and so new ticket keys: a revoked client cannot resume a
        session either. A context that somebody else has made stays, and gets the list in addition."""
        if self._of_factory:
            for each in self._contexts:
                revocations.load_into(each)
            return
        self._begin_with(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        for certificate in self._certificates:
            if certificate is not self._first:
                certificate.move_to(self._set_up(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)))

    # ---- what applications are told

    def describe(self, session: ssl.SSLObject) -> dict[str, Any]:
        """Returns the scope's `tls` extension."""
        return tls_session.extension(session, getattr(session.context, SHOWN, None))

    def environ(self, session: ssl.SSLObject) -> dict[str, str]:
        """Returns the variables for an environ."""
        return tls_session.environ(session, getattr(session, _ASKED, None))

    # ---- by name

    @property
    def _contexts(self) -> list[ssl.SSLContext]:
        return [self.context, *(each.context for each in self._certificates if each.context is not self.context)]

    def _read_names(self) -> None:
        """Reads the names of the certificates; a name that two of them have belongs to the first."""
        self._by_name = {name: each for each in reversed(self._certificates) for name in each.names}

    def _choose(self, session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        """Chooses a certificate in a handshake: the first one without a name or for an unknown name (RFC 6066, 3)."""
        chosen = self._first
        if name is not None:
            setattr(session, _ASKED, name)
            name = name.lower()
            chosen = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or chosen
        if chosen is not None and chosen.context is not session.context:
            session.context = chosen.context


def _set_up(context: ssl.SSLContext, config: Config, trust: Trust) -> ssl.SSLContext:
    """Sets a context up as configured, except for certificates. Raises StartError."""
    context.minimum_version = _VERSIONS[config.ssl_min_version]
    # Renegotiation and compression have been attacked, and nobody needs them.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(config.ssl_ciphers)
    except ssl.SSLError:
        raise StartError(f"ssl_ciphers: OpenSSL knows no cipher in {config.ssl_ciphers!r}") from None
    context.verify_mode = _REQUIREMENTS[config.ssl_cert_reqs]
    trust.load_into(context)
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
