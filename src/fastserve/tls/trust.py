"""Which certificates clients may show: the authorities that sign them, and the lists of revoked ones."""

import logging
import ssl

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import privileges, safe_open
from fastserve.tls.certificate import in_memory, reason, signature, unchanged

logger = logging.getLogger("fastserve")


class TrustFile:
    """A file of authorities or of revocations, kept as it was read: the process may become another user.

    what: what messages call its contents.
    """

    def __init__(self, path: str, what: str, user: int | None) -> None:
        """user: who besides root may own the file when root reads it. Raises StartError."""
        self.path = path
        self._what = what
        self._user = user
        self._signature = signature([path])
        self._text = self._checked()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Adds the contents to the context's; of two lists of an authority, OpenSSL takes the newer one."""
        _load(self._text, context)

    def renewed(self) -> bool:
        """Reads the file again if it has changed. Returns whether the new content is good; else logs why it is not."""
        now = signature([self.path])
        if unchanged(now, self._signature):
            return False
        self._signature = now
        try:
            self._text = self._checked()
        except StartError as error:
            logger.error("not renewed, the old %s stay: %s", self._what, error)
            return False
        logger.info("renewed %s: %s", self._what, self.path)
        return True

    def _checked(self) -> str:
        try:
            text = safe_open.read_text(self.path, self._user, errors="surrogateescape")
            if self._what == REVOCATIONS and "BEGIN X509 CRL-----" not in text:
                raise ValueError("there is no revocation list (CRL) in PEM form")
            _load(text, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (OSError, ValueError) as error:
            raise StartError(f"TLS: {self.path}: {reason(error)}") from None
        return text


AUTHORITIES = "authorities"
REVOCATIONS = "revocations"


class Trust:
    """The authorities and the revocations of a configuration. Raises StartError."""

    def __init__(self, config: Config) -> None:
        user = privileges.uid_of(config.user)
        self.authorities = TrustFile(config.ssl_ca_certs, AUTHORITIES, user) if config.ssl_ca_certs else None
        self.revocations = TrustFile(config.ssl_crl, REVOCATIONS, user) if config.ssl_crl else None

    def load_into(self, context: ssl.SSLContext) -> None:
        if self.authorities is not None:
            self.authorities.load_into(context)
        if self.revocations is not None:
            self.revocations.load_into(context)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load(text: str, context: ssl.SSLContext) -> None:
    with in_memory(text) as path:
        context.load_verify_locations(path)
