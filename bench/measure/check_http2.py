"""Asks a server once by HTTP/2, by curl, and compares its answer with what the scenario expects."""

import subprocess
import tempfile
from pathlib import Path

from bench.measure.check_answer import WrongAnswerError
from bench.plan import Scenario
from bench.process import HOST


def check_http2(scenario: Scenario, port: int) -> None:
    """Raises WrongAnswerError, which says what differs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        head, body = _ask(scenario, port, Path(scratch))
    status, *lines = head.strip().splitlines()
    if status.split()[:2] != ["HTTP/2", str(scenario.answer.status)]:
        raise WrongAnswerError(f"{status.strip()!r} in place of HTTP/2 and {scenario.answer.status}")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    for name, value in scenario.answer.headers.items():
        if fields.get(name, "").lower() != value.lower():
            raise WrongAnswerError(f"header {name} is {fields.get(name)!r} in place of {value!r}")
    if body != scenario.answer.body:
        raise WrongAnswerError(f"a body of {len(body)} bytes in place of {len(scenario.answer.body)}, or another one")


def _ask(scenario: Scenario, port: int, scratch: Path) -> tuple[str, bytes]:
    body = scratch / "body"
    try:
        done = subprocess.run(
            _command(scenario, port, body, scratch / "upload"), capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        raise WrongAnswerError("curl is not on the PATH, which asks by HTTP/2: install it (apt install curl)") from None
    if done.returncode != 0:
        raise WrongAnswerError(f"no valid answer: {done.stderr.strip()[-300:]}")
    return done.stdout, body.read_bytes() if body.exists() else b""


def _command(scenario: Scenario, port: int, body: Path, upload: Path) -> list[str]:
    """The answer's body goes to one file, the request's comes from the other."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20"]
    command += ["--dump-header", "-", "--output", str(body)]
    command += ["--insecure", "--tlsv1.3", "--http2"] if scenario.tls else ["--http2-prior-knowledge"]
    command += [part for name, value in scenario.headers.items() for part in ("--header", f"{name}: {value}")]
    if payload := scenario.payload:
        upload.write_bytes(payload)
        command += ["--data-binary", f"@{upload}", "--header", "Expect:"]
    return [*command, f"{'https' if scenario.tls else 'http'}://{HOST}:{port}{scenario.path}"]
