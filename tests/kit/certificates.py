"""An authority of a test's own, and certificates that it has signed."""

import ssl
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """Keeps its certificates in a folder; `file` is what a client trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._number = 0
        self._lists = 0
        self._standing: tuple[Path, Path] | None = None
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def standing(self) -> tuple[Path, Path]:
        """The same each time: a certificate for localhost and 127.0.0.1, and its key."""
        if self._standing is None:
            self._standing = self.certificate("localhost", "127.0.0.1")
        return self._standing

    def context(self, *protocols: str) -> ssl.SSLContext:
        """For a client that trusts this authority; protocols: what ALPN offers."""
        context = ssl.create_default_context(cafile=self.file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def certificate(
        self,
        *names: str,
        name: str = "",
        common_name: str = "",
        expired: bool = False,
        kind: trustme.KeyType = trustme.KeyType.ECDSA,
    ) -> tuple[Path, Path]:
        """A certificate and its key, in files.

        names: DNS names that it is for.
        name: of the files, which are written anew; each has its own without one.
        kind: of the key.
        """
        self._number += 1
        stem = name or f"{self._number}"
        until = datetime.now(UTC) - timedelta(days=1) if expired else datetime.now(UTC) + timedelta(days=30)
        issued = self._authority.issue_cert(*names, common_name=common_name or None, not_after=until, key_type=kind)
        certificate, key = self._folder / f"{stem}.pem", self._folder / f"{stem}-key.pem"
        certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return certificate, key

    def revocations(self, *revoked: Path, name: str = "crl", expired: bool = False) -> Path:
        """Writes a list of revoked certificates, newer than those before.

        revoked: the files of certificates of this authority.
        """
        now = datetime.now(UTC)
        self._lists += 1
        key = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes()).subject
        days = timedelta(days=1)
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer)
            .add_extension(x509.CRLNumber(self._lists), critical=False)
        )
        made = made.last_update(now - 2 * days + timedelta(seconds=self._lists))
        made = made.next_update(now - days if expired else now + days)
        for each in revoked:
            serial = x509.load_pem_x509_certificate(each.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - days).build()
            made = made.add_revoked_certificate(entry)
        path = self._folder / f"{name}.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


_folders = ExitStack()


@cache
def shared() -> Authority:
    """The one of this process."""
    return Authority(Path(_folders.enter_context(tempfile.TemporaryDirectory(prefix="authority-"))))


def remove_shared() -> None:
    """Takes its folder away; the next call of `shared` makes another one."""
    shared.cache_clear()
    _folders.close()
