"""A failed start is one clear line and a status that is not 0; --version, --help."""

import socket
import subprocess
import sys

import pytest

from serving import Serve


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastserve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("application", "words"),
    [
        ("nowhere_to_be_found:app", "nowhere_to_be_found"),
        ("scripted:missing", "missing"),
        ("scripted:STEPS.x", "STEPS"),
        ("scripted", "scripted"),
    ],
)
def test_missing_application_is_one_line(start: Serve, application: str, words: str) -> None:
    server = start(application, listens=False)
    assert server.wait() != 0
    assert words in server.stderr.text
    assert "Traceback" not in server.stderr.text


def test_port_in_use_is_one_line(start: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(port=taken.getsockname()[1], listens=False)
        assert server.wait() != 0
    assert "in use" in server.stderr.text
    assert "Traceback" not in server.stderr.text


def test_bad_option_value_is_refused() -> None:
    result = run("scripted:app", "--timeout-keep-alive", "soon")
    assert result.returncode != 0
    assert "keep-alive" in result.stderr
    assert "Traceback" not in result.stderr


def test_version_and_help() -> None:
    assert run("--version").returncode == 0
    text = run("--help").stdout
    for flag in ("--limit-concurrency", "--timeout-graceful-shutdown", "--access-log", "--root-path"):
        assert flag in text
