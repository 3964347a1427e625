"""`fastserve.run` with workers in a program of the user's: what is the program's own happens once, in its process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.client import Client
from kit.process import LISTENING, Output
from kit.script import request
from kit.waiting import PATIENCE, until
from supervised.session import empty
from supervised.supervised import WORKER, children, title

PROGRAM = """
import atexit, multiprocessing, os, signal, sys, tempfile, threading, time
from pathlib import Path

import fastserve

def say(*words):
    sys.stderr.write(" ".join([*map(str, words), str(os.getpid())]) + "\\n")  # in one piece: others write, too

async def app(scope, receive, send):
    if not hasattr(app, "served"):
        app.served = True
        atexit.register(say, "exit handler of the application")
        threading.Thread(target=time.sleep, args=(600,), name="the one that is left").start()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

def handlers():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}

def main():
    daemon = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True)
    daemon.start()
    signal.signal(signal.SIGTERM, lambda *_: say("the program's own handler"))
    before = handlers()
    with tempfile.TemporaryDirectory() as directory:
        try:
            fastserve.run(app, workers=2, port=0, lifespan="off", access_log=False)
            say("returned")
        finally:
            say("finally")
        say("the directory is", "there" if Path(directory).exists() else "gone")
    say("the daemon is", "alive" if daemon.is_alive() else "dead")
    assert handlers() == before
    assert signal.set_wakeup_fd(-1) == -1
    signal.raise_signal(signal.SIGTERM)
    say("end")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = [sys.executable, str(path)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_program_around_run(program: "subprocess.Popen[bytes]") -> None:
    assert program.stderr is not None
    log = Output(program.stderr)
    found = LISTENING.search(log.wait(lambda text: LISTENING.search(text) is not None))
    assert found is not None
    first = workers(program.pid)
    program.send_signal(signal.SIGHUP)
    log.wait_for("reloaded\n")
    assert until(lambda: len(second := workers(program.pid)) == 2 and second.isdisjoint(first))
    second = workers(program.pid)
    with Client(("127.0.0.1", int(found[2]))) as client:
        assert client.exchange(request("/")).body == b"hello"
    program.send_signal(signal.SIGTERM)
    assert program.wait(PATIENCE) == 0
    said = [line for line in log.wait_for_the_end().splitlines() if not line.startswith("[")]
    application, *rest = said
    assert int(application.removeprefix("exit handler of the application ")) in second
    assert rest == [
        f"returned {program.pid}",
        f"finally {program.pid}",
        f"the directory is there {program.pid}",
        f"the daemon is alive {program.pid}",
        f"the program's own handler {program.pid}",
        f"end {program.pid}",
    ]
    assert log.text.count("threads that did not end: the one that is left\n") == 1
    assert empty(program.pid)


def workers(pid: int) -> set[int]:
    """Those that serve."""
    return {child for child in children(pid) if WORKER.match(title(child)) and "serving" in title(child)}
