"""Readers of the logs that stall, and standard streams that are closed: nobody waits, and what is lost is counted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kit.client import Client
from kit.script import request
from kit.waiting import PATIENCE, UNHURRIED, until
from supervised.conftest import Write

APPLICATION = """
async def app(scope, receive, send):
    if scope["path"] == "/raise":
        raise RuntimeError("x" * 2000)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("x" * 2000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""
KINDS = {"asgi": ("served:app", "--lifespan", "off"), "wsgi": ("served:wsgi",)}
COMMAND = (sys.executable, "-m", "fastserve")


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


@contextmanager
def running(
    folder: Path, *arguments: str, output: int, wrapper: tuple[str, ...] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """Both streams go to `output`; ends every process of the group."""
    process = subprocess.Popen(
        [*wrapper, *COMMAND, *arguments, "--uds", "served.sock", "--admin", "unix:admin.sock", "--log-rate-limit", "0"],
        cwd=folder,
        env={**os.environ, **UNHURRIED},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def served(folder: Path, target: str = "/") -> int:
    with Client(str(folder / "served.sock")) as client:
        return client.exchange(request(target)).status


def is_ready(folder: Path) -> bool:
    try:
        return served(folder) == 200
    except OSError:
        return False


def metrics(folder: Path) -> dict[str, float]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "admin.sock"))) as client:
        lines = client.get("http://localhost/metrics", timeout=PATIENCE).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


@pytest.mark.parametrize("what", ["pipe", "socket"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_stalls_stops_nobody(tmp_path: Path, kind: str, what: str) -> None:
    if what == "pipe":
        ours, theirs = os.pipe()
    else:
        import socket

        ours, theirs = (each.detach() for each in socket.socketpair())
    try:
        with running(tmp_path, *KINDS[kind], "--access-log", output=theirs) as process:
            os.close(theirs)
            assert until(lambda: is_ready(tmp_path))
            with Client(str(tmp_path / "served.sock")) as client:
                for _ in range(6000):
                    assert client.exchange(request("/" + "a" * 100)).status == 200
            for _ in range(300):
                assert served(tmp_path, "/raise") == 500
            process.send_signal(signal.SIGUSR1)  # the supervisor has something to say as well, now and then
            lost = metrics(tmp_path)
            assert lost['fastserve_log_lines_dropped_total{log="access"}'] > 0
            assert lost['fastserve_log_lines_dropped_total{log="error"}'] > 0
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert process.wait(PATIENCE) == 0
            print(f"stopped in {time.monotonic() - begun:.1f} s")
    finally:
        os.close(ours)


def test_a_reader_that_reads_again_hears_how_much_was_lost(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, running(tmp_path, *KINDS["asgi"], "--access-log", output=theirs) as process:
        os.close(theirs)
        assert until(lambda: is_ready(tmp_path))
        with Client(str(tmp_path / "served.sock")) as client:
            for _ in range(4000):
                assert client.exchange(request("/" + "a" * 100)).status == 200
        assert until(lambda: metrics(tmp_path)['fastserve_log_lines_dropped_total{log="access"}'] > 0)
        seen = b""
        while b"lines were lost meanwhile" not in seen:
            seen += reader.read1(1 << 16)
            if not reader.peek(1):
                break
            assert is_ready(tmp_path)
        lines = [line for line in seen.split(b"\n") if b"aaaa" in line]
        assert all(line.count(b"HTTP/1.1") == 1 and line.count(b"a" * 100) == 1 for line in lines[:-1])
        process.send_signal(signal.SIGTERM)
        reader.read()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-", "<&-"])
@pytest.mark.parametrize("kind", KINDS)
def test_closed_standard_streams(tmp_path: Path, kind: str, closed: str) -> None:
    shell = ("sh", "-c", f'exec "$@" {closed}', "sh")
    with running(tmp_path, *KINDS[kind], output=subprocess.DEVNULL, wrapper=shell) as process:
        assert until(lambda: is_ready(tmp_path) or process.poll() is not None)
        assert process.poll() is None
        assert served(tmp_path) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
