"""Published applications as their users run them: those that once failed here."""

import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from kit import Server
from kit.browser import browsing
from kit.waiting import PATIENCE

HERE = Path(__file__).parent
COMPRESSED = {"Accept-Encoding": "gzip, br"}


@contextmanager
def served(name: str, *, secure: bool = False) -> Iterator[Server]:
    pytest.importorskip(name, reason="it is large: make test-applications installs it")
    with tempfile.TemporaryDirectory() as folder:
        variables = {"TMPDIR": folder, "HOME": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        with Server(f"served_{name}:app", secure=secure, app_dir=str(HERE), environment=variables) as server:
            yield server


def scripts(server: Server) -> dict[str, httpx.Response]:
    """What the page's own scripts and styles are answered with."""
    with httpx.Client(base_url=server.url, headers=COMPRESSED, timeout=PATIENCE, verify=False) as client:
        page = client.get("/")
        assert page.status_code == 200
        found = re.findall(r'(?:src|href)="([^"]+\.(?:m?js|css)[^"]*)"', page.text)
        own = {target for target in found if not target.startswith(("http:", "https:", "//"))}
        return {target: client.get(urljoin("/", target)) for target in own}


@pytest.mark.parametrize("name", ["gradio", "nicegui"])
def test_every_script_arrives_compressed(name: str) -> None:
    with served(name) as server:
        answers = scripts(server)
        assert len(answers) > 2
        assert {answer.status_code for answer in answers.values()} == {200}
        large = {target: answer for target, answer in answers.items() if len(answer.content) > 20_000}
        assert large
        plain = {target: answer.headers for target, answer in large.items() if "content-encoding" not in answer.headers}
        assert not plain


@pytest.mark.parametrize(("name", "line"), [("gradio", "the page is there"), ("nicegui", "connected to /")])
def test_a_page_comes_alive_in_a_browser_over_tls(name: str, line: str) -> None:
    with served(name, secure=True) as server, browsing(server.url, "--ignore-certificate-errors"):
        server.stderr.wait_for(line)


@pytest.mark.parametrize("name", ["marimo", "fastmcp", "nicegui", "gradio"])
def test_a_stop_after_a_visit_is_soon_over(name: str) -> None:
    target = "/sse" if name == "fastmcp" else "/"
    with served(name) as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        with client.stream("GET", target) as answer:
            assert answer.status_code == 200
            pieces = answer.iter_bytes()
            next(pieces)
            begun = time.monotonic()
            server.signal(signal.SIGTERM)
            if name == "fastmcp":
                with suppress(httpx.RemoteProtocolError):  # sse-starlette leaves without the last chunk
                    for _ in pieces:
                        pass
        assert server.wait() == 0
        assert time.monotonic() - begun < 10
