"""A certificate for the servers of one measurement: ECDSA on P-256, as most sites have it."""

import subprocess
from pathlib import Path

COMMAND = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
    *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
)


class CertificateError(Exception):
    """There is none; the message says what to install, or what openssl says."""


def make_certificate(folder: Path) -> tuple[str, str]:
    """The files of a new certificate and of its key. Raises CertificateError."""
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = [*COMMAND, "-keyout", key, "-out", certificate]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        raise CertificateError("openssl is not on the PATH: install it (apt install openssl)") from None
    if done.returncode != 0:
        raise CertificateError(f"openssl: {done.stderr.strip()[-300:]}")
    return certificate, key
