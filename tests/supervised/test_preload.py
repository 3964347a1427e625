"""--preload: what the import has left behind in the process that workers are forked of."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from kit import request
from kit.process import Output
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Supervised

PRINTING = """
import sys
print("printed at the import")
sys.stdout.write("without a line's end")
file = open("written", "w")
file.write("one line\\n")

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


def test_output_is_written_once(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    write(PRINTING)
    options = ("--lifespan", "off", "--preload", "--workers", "3")
    supervised = supervise("served:app", *options, "--admin", "unix:admin.sock", PYTHONUNBUFFERED="")
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    assert supervised.stop() == 0
    assert supervised.stdout.wait_for_the_end() == "printed at the import\nwithout a line's end"
    assert (tmp_path / "written").read_text() == "one line\n"


def test_output_that_nobody_reads_holds_nobody(tmp_path: Path, write: Write) -> None:
    """It waits in the process that has written it, and is not written by the others."""
    write(PRINTING)
    read, stalled = os.pipe()
    os.set_blocking(stalled, False)
    with suppress(BlockingIOError):
        while True:
            os.write(stalled, b"." * 4096)
    os.set_blocking(stalled, True)
    command = [sys.executable, "-m", "fastserve", "served:app", "--preload", "--lifespan", "off", "--uds", "socket"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*command, "--no-access-log", "--workers", "2"],
        cwd=tmp_path,
        env=variables,
        stdout=stalled,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stderr is not None
        log = Output(server.stderr)
        log.wait_for("listening on")
        os.close(stalled)
        read_all = Output(os.fdopen(read, "rb"))
        server.terminate()
        assert server.wait(PATIENCE) == 0
    assert read_all.wait_for_the_end().strip(".") == "printed at the import\nwithout a line's end"


BUFFERED = """
import fastserve, sys

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

sys.stdout.write("before")
fastserve.run(app, port=0, lifespan="off", access_log=False, workers=2)
"""


def test_output_before_run_is_written_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(BUFFERED)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if b"listening on" in line:
                break
        program.terminate()
        output, _ = program.communicate()
    assert (program.returncode, output) == (0, b"before")


THREADS = """
import threading
over = threading.Event()
for name in ("refresher", "metrics"):
    threading.Thread(target=over.wait, name=name, daemon=True).start()
ended = threading.Thread(target=lambda: None, name="ended")
ended.start()
ended.join()

async def app(scope, receive, send):
    names = ",".join(each.name for each in threading.enumerate())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": names.encode()})
"""
WARNING = "threads that the import has started are in no worker"


def test_threads_are_named(supervise: Supervise, write: Write) -> None:
    write(THREADS)
    supervised = supervise("served:app", "--lifespan", "off", "--preload", "--workers", "2")
    assert b"refresher" not in supervised.get()
    (line,) = [each for each in supervised.log.text.splitlines() if WARNING in each]
    assert line.endswith(": refresher, metrics")
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    assert supervised.log.text.count(WARNING) == 1


def test_threads_of_a_worker_are_nobodys_business(supervise: Supervise, write: Write) -> None:
    write(THREADS)
    supervised = supervise("served:app", "--lifespan", "off")
    assert supervised.get() == b"MainThread,refresher,metrics"
    assert WARNING not in supervised.log.text


UPLOADS = """
import tempfile
tempfile.gettempdir()
CHOSEN

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(len(environ["wsgi.input"].read())).encode(), b" ", tempfile.gettempdir().encode()]
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("way", [("--preload",), (), ("--no-supervisor",)], ids=["preload", "import", "alone"])
@pytest.mark.parametrize("chosen", [True, False])
def test_temporary_files_of_another_user(way: tuple[str, ...], chosen: bool) -> None:
    """Root's directory for them is not the workers'; what the application has chosen itself is, where it can be."""
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        own = directory / "of_root"
        own.mkdir(mode=0o700)
        theirs = directory / "theirs"
        theirs.mkdir()
        os.chown(theirs, 65534, 65534)
        (directory / "served.py").write_text(
            UPLOADS.replace("CHOSEN", f"tempfile.tempdir = {str(theirs)!r}" if chosen else "")
        )
        options = ("--user", "nobody", "--body-buffer-size", "1000", "--no-access-log", *way)
        variables = {"TMPDIR": str(own), "PYTHONDONTWRITEBYTECODE": "1"}
        with Supervised("served:app", *options, directory=directory, variables=variables) as supervised:
            with supervised.connect() as client:
                answer = client.exchange(request("/", method="POST", body=b"a" * 100_000))
            assert answer.status == 200
            size, _, used = answer.body.partition(b" ")
            assert size == b"100000"
            assert used == (str(theirs).encode() if chosen else b"/tmp")
            assert supervised.stop() == 0
    assert until(lambda: not Path(name).exists())
