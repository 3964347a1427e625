"""The soft limit of open files is raised at the start, and handed on as it was to a program that begins anew."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.process import environment
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Supervised

APPLICATION = """
import resource
BODY = str(resource.getrlimit(resource.RLIMIT_NOFILE)).encode()

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BODY})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY]
"""
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execvp(sys.argv[3], sys.argv[3:])
"""
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MOST = 65536

much = pytest.mark.skipif(HARD != resource.RLIM_INFINITY and HARD <= MOST, reason="the hard limit is too low")
KINDS = pytest.mark.parametrize("app", [("served:app", "--lifespan", "off"), ("served:wsgi",)], ids=["app", "wsgi"])
WAYS = pytest.mark.parametrize(
    "way", [(), ("--no-supervisor",), ("--preload",)], ids=["supervised", "alone", "preload"]
)


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def limited(supervise: Supervise, soft: int, hard: int, *options: str) -> Supervised:
    return supervise(*options, wrapper=(sys.executable, "-c", LIMITED, str(soft), str(hard)))


def of_process(pid: int) -> tuple[int, int]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max open files")]
    _, _, _, soft, hard, *_ = line.split()
    return int(soft), int(hard)


@KINDS
@WAYS
def test_raised_to_the_hard_one(supervise: Supervise, app: tuple[str, ...], way: tuple[str, ...]) -> None:
    server = limited(supervise, 256, 1500, *app, *way, "--log-level", "debug")
    assert server.get() == b"(1500, 1500)"
    assert of_process(server.pid) == (1500, 1500)
    assert server.log.text.count("[DEBUG] the limit of open files is raised from 256 to 1500\n") == 1


@KINDS
@WAYS
def test_left_alone(supervise: Supervise, app: tuple[str, ...], way: tuple[str, ...]) -> None:
    server = limited(supervise, 256, 1500, *app, *way, "--no-raise-files", "--log-level", "debug")
    assert server.get() == b"(256, 1500)"
    assert "open files" not in server.log.text


@much
@pytest.mark.parametrize(("soft", "expected"), [(1024, MOST), (MOST, MOST), (MOST + 1, MOST + 1)])
def test_not_beyond_reason_and_never_lowered(supervise: Supervise, soft: int, expected: int) -> None:
    server = limited(supervise, soft, MOST + 1, "served:wsgi")
    assert server.get() == f"({expected}, {MOST + 1})".encode()
    assert "open files" not in server.log.text


@pytest.mark.parametrize(
    ("most", "soft", "hard", "expected"), [(300, 256, 1500, 300), (300, 300, 1500, 300), (300, 400, 1500, 400)]
)
def test_bound(most: int, soft: int, hard: int, expected: int) -> None:
    """With another bound, for a machine whose hard limit is lower than ours."""
    code = (
        "import resource\n"
        "from fastserve.host import open_files\n"
        f"open_files.MOST = {most}\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "open_files.raise_limit()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "open_files.give_back()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == f"({expected}, {hard})\n({soft}, {hard})\n"


def test_upgrade_begins_with_what_there_was(supervise: Supervise, tmp_path: Path) -> None:
    """The new version may say --no-raise-files."""
    file = tmp_path / "fastserve.toml"
    file.write_text("app = 'served:wsgi'\nport = 0\n")
    server = limited(supervise, 256, 1500, "--config", "fastserve.toml", "--pid", "server.pid")
    assert server.get() == b"(1500, 1500)"
    file.write_text(file.read_text() + "raise-files = false\n")
    server.signal(signal.SIGUSR2).log.wait_for("serving beside supervisor")
    server.signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0
    assert until(lambda: server.get() == b"(256, 1500)")


PROGRAM = """
import os, resource, signal
import fastserve

async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
    os.kill(os.getpid(), signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1500))
fastserve.run(app, port=0, supervisor=False)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_program_that_goes_on_has_what_it_had(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "(1500, 1500)\n(256, 1500)\n"), done.stderr
