"""examples/tls_context.py does what it says: groups of the key exchange, and a stapled OCSP response."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from kit import Serve, Server
from kit.waiting import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="asks with the command openssl")


class Signed:
    """A certificate with its authority, and what that says of it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        self.authority, self.certificate, self.key = (folder / name for name in ("ca.pem", "own.pem", "key.pem"))
        authority.cert_pem.write_to_path(str(self.authority))
        issued.cert_chain_pems[0].write_to_path(str(self.certificate))
        issued.private_key_pem.write_to_path(str(self.key))
        self._authority = authority

    def response(self) -> bytes:
        subject = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer = x509.load_pem_x509_certificate(self.authority.read_bytes())
        key = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        now = datetime.now(UTC)
        made = ocsp.OCSPResponseBuilder().add_response(
            subject,
            issuer,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.GOOD,
            this_update=now - timedelta(hours=1),
            next_update=now + timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
        return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


@pytest.fixture
def server(start: Serve, signed: Signed, tmp_path: Path) -> Server:
    return start(
        "hello:app",
        app_dir=str(EXAMPLES),
        secure=False,
        ssl_certfile=str(signed.certificate),
        ssl_keyfile=str(signed.key),
        ssl_context="tls_context:context",
        environment={"OCSP_RESPONSE": str(tmp_path / "ocsp.der")},
        listens=True,
    )


def asked(server: Server, signed: Signed, *options: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", "-status"]
    done = subprocess.run(
        [*command, "-CAfile", str(signed.authority), *options],
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_response_is_stapled(server: Server, signed: Signed, tmp_path: Path, version: str) -> None:
    assert "OCSP response: no response sent" in asked(server, signed, version)
    (tmp_path / "ocsp.der").write_bytes(signed.response())
    for _ in range(3):
        answer = asked(server, signed, version)
        assert "OCSP Response Status: successful (0x0)" in answer
        assert "Cert Status: good" in answer
        assert "Verify return code: 0 (ok)" in answer


@pytest.mark.parametrize(("group", "allowed"), [("X25519", True), ("P-256", True), ("P-384", False), ("P-521", False)])
def test_groups(server: Server, signed: Signed, group: str, allowed: bool) -> None:
    answer = asked(server, signed, "-tls1_3", "-groups", group)
    assert ("Verify return code: 0 (ok)" in answer and "Cipher is TLS_" in answer) is allowed
