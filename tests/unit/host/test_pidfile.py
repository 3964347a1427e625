"""The PID file: written, held, taken over, handed on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastserve.host.pidfile import PidFile
from kit.calls import reason


@pytest.fixture
def another() -> Iterator[int]:
    """The ID of a live process that is not ours."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def ended() -> int:
    """The ID of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


OWN = f"{os.getpid()}\n"


def test_a_pid_file_from_its_writing_to_its_removal(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    file = PidFile(str(path))
    before = os.umask(0o077)
    try:
        file.write()
    finally:
        os.umask(before)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (OWN, 0o644)
    file.remove()
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys
from fastserve.host.pidfile import PidFile
PidFile(sys.argv[1]).write()
print("held", flush=True)
input()
"""


def test_the_pid_file_that_a_server_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"held\n"
        file = PidFile(str(path))
        assert reason(file.write) == (
            f"the PID file {path} belongs to process {server.pid}, which is alive; stop it, or choose another --pid"
        )
        file.remove()
        assert path.read_text() == f"{server.pid}\n"
        server.kill()
        server.wait()
        file.write()
        assert path.read_text() == OWN
        file.remove()


def test_the_pid_file_of_a_live_process_that_holds_none_is_taken_over(tmp_path: Path, another: int) -> None:
    path = tmp_path / "server.pid"
    path.write_text(f"{another}\n")
    PidFile(str(path)).write()
    assert path.read_text() == OWN


RACE = """
import sys
from fastserve.errors import StartError
from fastserve.host.pidfile import PidFile
input()
try:
    PidFile(sys.argv[1]).write()
    print("mine", flush=True)
except StartError as error:
    print(error, flush=True)
input()
"""


@pytest.mark.parametrize("left", [False, True])
def test_of_servers_that_start_together_one_has_the_pid_file(tmp_path: Path, left: bool) -> None:
    path = tmp_path / "server.pid"
    if left:
        path.write_text("1\n")
    command = [sys.executable, "-c", RACE, str(path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        for each in started:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        said = {each.pid: each.stdout.readline() for each in started if each.stdout is not None}
        (mine,) = [pid for pid, line in said.items() if line == "mine\n"]
        assert path.read_text() == f"{mine}\n"
        assert all("which is alive" in line for pid, line in said.items() if pid != mine)
        assert [path] == list(tmp_path.iterdir())
    finally:
        for each in started:
            each.kill()
            each.communicate()


def test_the_pid_file_of_a_dead_process_is_taken_over(tmp_path: Path, ended: int) -> None:
    path = tmp_path / "server.pid"
    for text in (f"{ended}\n", "", OWN):
        path.write_text(text)
        PidFile(str(path)).write()
        assert path.read_text() == OWN


def test_a_file_that_is_no_pid_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("import os\n")
    assert "does not hold a process ID" in reason(PidFile(str(path)).write)
    assert path.read_text() == "import os\n"


def test_a_pid_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / f"server.pid.{os.getpid()}").symlink_to(victim)
    PidFile(str(tmp_path / "server.pid")).write()
    assert (victim.read_text(), (tmp_path / "server.pid").read_text()) == ("", OWN)


def test_a_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "server.pid"
    assert reason(PidFile(str(path)).write) == f"cannot write the PID file {path}: no such file or directory"


def test_a_successor_gets_the_path_and_gives_it_back(tmp_path: Path, ended: int) -> None:
    path, aside = tmp_path / "server.pid", tmp_path / "server.pid.oldbin"
    file = PidFile(str(path))
    file.write()
    file.move_aside()
    assert (path.exists(), aside.read_text()) == (False, OWN)
    path.write_text(f"{ended}\n")  # the successor's, which was killed
    file.move_back()
    assert (path.read_text(), aside.exists()) == (OWN, False)


def test_a_predecessor_removes_only_what_is_its_own(tmp_path: Path, another: int) -> None:
    path = tmp_path / "server.pid"
    file = PidFile(str(path))
    file.write()
    file.move_aside()
    path.write_text(f"{another}\n")
    file.remove()
    assert [each.name for each in tmp_path.iterdir()] == ["server.pid"]
    file.move_back()
    assert path.read_text() == f"{another}\n"
