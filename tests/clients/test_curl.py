"""curl: keep-alive, uploads with Expect, HTTP/1.0."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kit import Serve, Server
from kit.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(PATIENCE), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_two_requests_on_one_connection(server: Server) -> None:
    text = curl("-v", server.url + "/", server.url + "/x", "--write-out", "%{num_connects};")
    assert text.count("ok") >= 2
    assert "1;" in text
    assert "0;" in text


def test_upload_with_expect(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"0123456789" * 300_000)
    output = tmp_path / "output"
    text = curl(
        "-v", "-H", "Expect: 100-continue", "--data-binary", f"@{path}", "-o", str(output), server.url + "/echo"
    )
    assert "HTTP/1.1 100 Continue" in text
    assert output.read_bytes() == path.read_bytes()


def test_chunked_upload(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"0123456789" * 100_000)
    output = tmp_path / "output"
    curl("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{path}", "-o", str(output), server.url + "/echo")
    assert output.read_bytes() == path.read_bytes()


def test_http_1_0(server: Server) -> None:
    text = curl("--http1.0", "-i", server.url + "/")
    assert text.endswith(("\r\n\r\nok", "\n\nok"))
    assert "chunked" not in text.lower()


def test_head(server: Server) -> None:
    assert "content-length: 2" in curl("--head", server.url + "/").lower()


def test_stream_as_it_comes(serve: Serve) -> None:
    server = serve("with_starlette:app")
    assert curl("-N", server.url + "/stream") == "".join(f"{number}\n" for number in range(100))


def test_upgrade_to_http_2_is_declined(server: Server) -> None:
    """RFC 9110 section 7.8: an Upgrade that we do not know is ignored."""
    assert curl("--http2", server.url + "/") == "ok"
