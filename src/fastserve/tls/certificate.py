"""A certificate with its key: read from files, shown by a context, and renewed when the files change."""

import os
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastserve.errors import StartError
from fastserve.host import safe_open

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_KEY = "PRIVATE KEY-----"
_LOCKED = ("BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED")

_KINDS = {"RSA": bytes.fromhex("06092a864886f70d010101"), "EC": bytes.fromhex("06072a8648ce3d0201")}
"""The identifiers of key types, as a certificate holds them (RFC 3279, RFC 5480)."""

SHOWN = "certificate_shown"
"""An attribute of a context: the certificate that it shows, in PEM."""

State = tuple[int, int, int, int]

Signature = tuple[State | None, ...]
"""A signature of files: the same as long as nobody has touched them. None: this user may not look at the file."""


class BadCertificateError(ValueError):
    """A certificate and its key cannot be used; the message is the reason."""


class Certificate:
    """A certificate in a context that shows it. Keeps its files as they were read: the process may become another user.

    context: replaced when a renewal brings a key of another type, or by `move_to`.
    """

    def __init__(
        self,
        certificate: str,
        key: str | None,
        password: str | None,
        new_context: Callable[[], ssl.SSLContext],
        user: int | None = None,
    ) -> None:
        """certificate, key: files; without `key` the certificate's file holds the key.
        user: who besides root may own the files when root reads them.
        Raises BadCertificateError.
        """
        self._certificate = certificate
        self._key = key
        self._password = password
        self._user = user
        self._new_context = new_context
        self._signature = self._sign()
        self._texts = self._checked()
        self.context = new_context()
        self._load_into(self.context, self._texts)

    def renew(self, *, in_place: bool = False) -> bool:
        """Loads the files into the context if they have changed. Returns whether it did. New handshakes then show the
        new certificate; existing connections are not touched. Raises BadCertificateError, once for one state of the
        files, and then the old ones stay.

        in_place: the context must stay the same; a key of another type is refused.
        """
        signature = self._sign()
        if unchanged(signature, self._signature):
            return False
        self._signature = signature
        texts = self._checked()
        if _same_kind(_first(texts), self.pem):
            self._load_into(self.context, texts)
        elif in_place:
            raise BadCertificateError(
                f"{self._certificate}: its key is of another type, a reload or a restart takes it on"
            )
        else:
            # A context holds one certificate for each type of key: the old one would still be shown.
            context = self._new_context()
            self._load_into(context, texts)
            self.context = context
        self._texts = texts
        return True

    def move_to(self, context: ssl.SSLContext) -> None:
        """Makes another context show it. Raises BadCertificateError, and then nothing has changed."""
        self._load_into(context, self._texts)
        self.context = context

    @property
    def pem(self) -> str:
        """The certificate without its chain."""
        return _first(self._texts)

    def _sign(self) -> Signature:
        return signature(self._paths)

    def _checked(self) -> list[str]:
        """Returns the files' present contents, after loading them into a context that nobody uses: a certificate with a
        wrong key must not get into the context that is shown. Raises BadCertificateError."""
        texts = [self._read(path) for path in self._paths]
        if "CERTIFICATE-----" not in texts[0]:
            raise BadCertificateError(f"{self._certificate}: there is no certificate in PEM form")
        if _KEY not in texts[-1]:
            missing = "no key in PEM form" if self._key else "a certificate and no key, which is given by ssl_keyfile"
            raise BadCertificateError(f"{self._paths[-1]}: there is {missing}")
        self._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), texts)
        return texts

    def _load_into(self, context: ssl.SSLContext, texts: list[str]) -> None:
        try:
            with in_memory(texts[0]) as certificate, in_memory(texts[-1]) as key:
                # Without a function OpenSSL would ask on the terminal.
                context.load_cert_chain(certificate, key, lambda: self._password or "")
        except (OSError, ValueError) as error:
            locked = any(each in texts[-1] for each in _LOCKED)
            raise BadCertificateError(self._explained(error, locked)) from None
        setattr(context, SHOWN, _first(texts))

    def _read(self, path: str) -> str:
        try:
            return safe_open.read_text(path, self._user, errors="surrogateescape")
        except OSError as error:
            raise BadCertificateError(f"{path}: {reason(error)}") from None

    def _explained(self, error: Exception, locked: bool) -> str:
        """Returns an error in our words. OpenSSL's are for its authors: a key that it cannot decrypt is 'PEM lib'."""
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            return f"{self.files}: the key is not the certificate's"
        if isinstance(error, ssl.SSLError) and locked and not self._password:
            return f"{self._paths[-1]}: the key needs a password, which is given by ssl_keyfile_password"
        if isinstance(error, ssl.SSLError) and locked:
            return f"{self._paths[-1]}: the key cannot be read, or the password is wrong"
        return f"{self.files}: {reason(error)}"

    @property
    def _paths(self) -> list[str]:
        return [self._certificate, *([self._key] if self._key else [])]

    @property
    def files(self) -> str:
        return ", ".join(self._paths)

    @property
    def names(self) -> list[str]:
        """Returns the certificate's DNS names. Raises StartError without the package that reads them."""
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

    @property
    def expired(self) -> bool:
        """Whether the certificate has expired, as far as this Python can read it."""
        until = self.valid_until
        return until is not None and until < time.time()

    @property
    def valid_until(self) -> float | None:
        """When the certificate expires, in seconds since the epoch; None if this Python cannot read it."""
        try:
            with in_memory(self.pem) as path:
                # Python has no public way to read a certificate that no peer has shown.
                found = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
            return float(ssl.cert_time_to_seconds(found["notAfter"]))
        except (AttributeError, KeyError, OSError, ValueError):
            return None


@contextmanager
def in_memory(text: str) -> Iterator[str]:
    """Yields a path to a text in memory for OpenSSL, which opens files by name. Raises OSError."""
    fd = os.memfd_create("fastserve-pem")
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", closefd=False) as file:
            file.write(text)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def signature(paths: Iterable[str]) -> Signature:
    """Returns the signature of files; a missing file has a state of its own."""
    return tuple(_state(path) for path in paths)


def unchanged(new: Signature, old: Signature) -> bool:
    """Whether files are unchanged. A file that this user may not look at counts as unchanged."""
    return all(one is None or one == other for one, other in zip(new, old, strict=True))


def reason(error: Exception) -> str:
    """Returns in words what is wrong with a file."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return (error.strerror or os.strerror(error.errno)).lower()
    return str(error)


def _state(path: str) -> State | None:
    try:
        found = Path(path).stat()
    except PermissionError:
        return None
    except OSError as error:
        return (-(error.errno or 1), 0, 0, 0)
    # Includes the change time: a key's permissions may be set after its content.
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _first(texts: list[str]) -> str:
    found = _PEM.search(texts[0])
    return found[0] if found is not None else ""


def _same_kind(one: str, other: str) -> bool:
    """Whether the keys of two certificates have the same type; False if that is not certain."""
    kind = _kind(one)
    return kind is not None and kind == _kind(other)


def _kind(pem: str) -> str | None:
    der = ssl.PEM_cert_to_DER_cert(pem) if pem else b""
    return next((kind for kind, mark in _KINDS.items() if mark in der), None)
