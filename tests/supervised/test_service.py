"""As a service of the system: what systemd hears and passes, the files, the user, the names and the environment."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.descriptors import opened
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Supervised, children, title
from supervised.test_upgrade import finish, upgraded

APPLICATION = """
import json, os
from pathlib import Path

def leave_an_orphan():
    if os.fork() == 0:
        if os.fork() == 0:
            os.read(0, 1)  # the standard input is at its end
        os._exit(0)
    os.wait()

async def app(scope, receive, send):
    Path("written").write_text("")
    if scope["path"] == "/orphan":
        leave_an_orphan()
    facts = {
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "ids": [os.getuid(), os.getgid(), os.geteuid(), os.getegid()],
        "groups": os.getgroups(),
        "cpus": sorted(os.sched_getaffinity(0)),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(facts).encode()})
"""
NO_LIFESPAN = ("served:app", "--lifespan", "off")

ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Waits for a message that begins so; status lines are passed over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE)

        def next_message(beginning: str) -> str:
            while (message := receiver.recv(4096).decode()).startswith(("STATUS=", "WATCHDOG=")):
                if message.startswith(beginning):
                    break
            assert message.startswith(beginning)
            return message

        yield next_message


def facts(supervised: Supervised) -> dict[str, Any]:
    """What a worker says of itself."""
    found: dict[str, Any] = json.loads(supervised.get())
    return found


def test_what_systemd_hears(supervise: Supervise, systemd: Callable[[str], str], tmp_path: Path) -> None:
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    supervised = supervise(*NO_LIFESPAN, "--workers", "2", listens=False, **variables)
    systemd("READY=1")
    assert len(supervised.workers("serving")) == 2
    systemd("WATCHDOG=1")
    systemd("WATCHDOG=1")
    supervised.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in systemd("RELOADING=1\n")
    systemd("READY=1")
    assert len(supervised.workers("serving")) == 2
    supervised.signal(signal.SIGTERM)
    systemd("STOPPING=1")
    assert supervised.wait() == 0


def test_workers_do_not_speak_for_the_service(
    supervise: Supervise, systemd: Callable[[str], str], tmp_path: Path
) -> None:
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
    supervised = supervise(*NO_LIFESPAN, **variables)
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}.isdisjoint(facts(supervised)["environment"])


def test_socket_activation(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    options = ("--config", "empty.toml", "--workers", "2")  # no address
    supervised = supervise(*NO_LIFESPAN, *options, wrapper=(sys.executable, "-c", ACTIVATE))
    workers = set(supervised.wait_for_workers(2).values())
    seen = set()

    def both_have_served() -> bool:
        found = facts(supervised)
        assert {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}.isdisjoint(found["environment"])
        seen.add(found["pid"])
        return seen == workers

    assert until(both_have_served)
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    assert workers.isdisjoint(supervised.wait_for_workers(2).values())
    assert facts(supervised)["pid"] not in workers


def test_pid_file(supervise: Supervise, tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    supervised = supervise(*NO_LIFESPAN, "--pid", "server.pid")
    assert path.read_text() == f"{supervised.pid}\n"
    second = supervise(*NO_LIFESPAN, "--pid", "server.pid", listens=False)
    assert second.wait() == 1
    assert f"server.pid belongs to process {supervised.pid}, which is alive" in second.log.text
    assert path.read_text() == f"{supervised.pid}\n"
    assert supervised.stop() == 0
    assert not path.exists()


def test_pid_file_with_the_number_of_another_process(supervise: Supervise, tmp_path: Path) -> None:
    """As it is after a container was killed: number 1 is somebody in each."""
    path = tmp_path / "server.pid"
    path.write_text(f"{os.getpid()}\n")
    supervised = supervise(*NO_LIFESPAN, "--pid", "server.pid")
    assert path.read_text() == f"{supervised.pid}\n"
    supervised.kill()
    assert path.read_text() == f"{supervised.pid}\n"
    alone = supervise(*NO_LIFESPAN, "--no-supervisor", "--pid", "server.pid")
    assert path.read_text() == f"{alone.pid}\n"
    assert alone.stop() == 0


def test_pid_file_is_held_over_an_upgrade(supervise: Supervise, tmp_path: Path) -> None:
    def is_refused(pid: int) -> None:
        other = supervise(*NO_LIFESPAN, "--pid", "server.pid", listens=False)
        assert other.wait() == 1
        assert f"server.pid belongs to process {pid}, which is alive" in other.log.text

    supervised = supervise(*NO_LIFESPAN, "--pid", "server.pid")
    with upgraded(supervised) as new:
        is_refused(new)
        supervised.signal(signal.SIGQUIT, new)
        assert until(lambda: not (tmp_path / "server.pid.oldbin").exists())
        is_refused(supervised.pid)
    with upgraded(supervised) as new:
        finish(supervised)
        is_refused(new)


def test_pid_file_is_held_by_no_worker(supervise: Supervise, tmp_path: Path) -> None:
    """One that outlives the supervisor, for a request that does not end, keeps no successor from starting."""
    supervised = supervise(*NO_LIFESPAN, "--pid", "server.pid")
    (worker,) = supervised.workers("serving").values()
    assert not [each for each in opened_by(worker) if each.endswith("server.pid")]
    os.kill(worker, signal.SIGSTOP)
    supervised.process.kill()
    supervised.process.wait()
    try:
        other = supervise(*NO_LIFESPAN, "--pid", "server.pid")
        assert other.stop() == 0
    finally:
        os.kill(worker, signal.SIGKILL)


def test_directory_mask_and_names(supervise: Supervise, tmp_path: Path) -> None:
    """Paths are seen from --chdir, the PID file's too; it can be read by everybody whatever the mask."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "served.py").rename(inner / "served.py")
    options = ("--chdir", "inner", "--umask", "077", "--pid", "server.pid", "--proc-name", "shop")
    supervised = supervise(*NO_LIFESPAN, *options)
    found = facts(supervised)
    assert found["cwd"] == str(inner)
    assert stat.S_IMODE((inner / "written").stat().st_mode) == 0o600
    assert (inner / "server.pid").read_text() == f"{supervised.pid}\n"
    assert until(lambda: title(supervised.pid) == "shop: supervisor (serving, 1 of 1 workers)")
    assert title(found["pid"]) == "shop: worker 0 (serving)"


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "preload"])
def test_environment(supervise: Supervise, tmp_path: Path, preload: tuple[str, ...]) -> None:
    (tmp_path / "settings").write_text("FROM_FILE=file\nALREADY=file\nBOTH='file'\n")
    options = ("--env-file", "settings", "--env", "BOTH=option", "--env", "SET=option")
    supervised = supervise(*NO_LIFESPAN, *options, *preload, ALREADY="outside", SET="outside")
    found = facts(supervised)["environment"]
    names = ("FROM_FILE", "ALREADY", "BOTH", "SET")
    assert [found[name] for name in names] == ["file", "outside", "option", "option"]


def test_environment_file_is_read_again(supervise: Supervise, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("COLOUR=red\n")
    supervised = supervise(*NO_LIFESPAN, "--env-file", "settings")
    assert facts(supervised)["environment"]["COLOUR"] == "red"
    settings.write_text("COLOUR=blue\n")
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n")
    assert until(lambda: facts(supervised)["environment"]["COLOUR"] == "blue")  # the old one may answer once more


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may use; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        path = Path(name)
        path.chmod(0o777)
        (path / "served.py").write_text(APPLICATION)
        yield path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user(open_directory: Path) -> None:
    access = open_directory / "access.log"
    options = ("--user", "nobody", "--access-logfile", "access.log", "--admin", "unix:admin")
    with Supervised(*NO_LIFESPAN, *options, directory=open_directory) as supervised:
        found = facts(supervised)
        nobody, group, *_ = found["ids"]
        assert 0 not in (nobody, group, *found["groups"])
        assert found["ids"] == [nobody, group] * 2
        assert (open_directory / "written").stat().st_uid == nobody
        expected = {"fastserve: worker 0 (serving)": nobody, "fastserve: admin (serving)": nobody}
        assert until(lambda: {title(pid): owner(pid) for pid in children(supervised.pid)} == expected)
        assert owner(supervised.pid) == 0
        assert owner(access) == nobody
        access.rename(f"{access}.1")
        supervised.signal(signal.SIGUSR1)
        assert until(lambda: access.exists() and owner(access) == nobody)
        assert until(lambda: supervised.get() != b"" and b"GET / " in access.read_bytes())
        assert supervised.stop() == 0
        assert "denied" not in supervised.log.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("way", [(), ("--no-supervisor",), ("--preload",)], ids=["supervised", "alone", "preload"])
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (("--user", "nobody"), ["/nonexistent", "nobody", "nobody"]),
        (("--user", "nobody", "--env", "HOME=/own", "--env", "USER=me"), ["/own", "me", "nobody"]),
        (("--user", "54321", "--group", "54322"), ["/", None, None]),
        (("--group", "54322"), ["/of-root", "root", "root"]),
    ],
)
def test_variables_of_the_user(
    open_directory: Path, user: tuple[str, ...], expected: list[str | None], way: tuple[str, ...]
) -> None:
    variables = {"HOME": "/of-root", "USER": "root", "LOGNAME": "root"}
    options = (*NO_LIFESPAN, "--no-access-log", *user, *way)
    with Supervised(*options, directory=open_directory, variables=variables) as supervised:
        environment = facts(supervised)["environment"]
        assert [environment.get(name) for name in ("HOME", "USER", "LOGNAME")] == expected
        assert supervised.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("alone", [(), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_log_that_the_user_leads_elsewhere(open_directory: Path, tmp_path: Path, alone: tuple[str, ...]) -> None:
    """At USR1 root opens the log again, in a directory of the workers' user (CVE-2016-1247)."""
    secret = tmp_path / "secret"
    secret.write_text("")
    access = open_directory / "access.log"
    os.chown(open_directory, 65534, 65534)
    options = ("--user", "nobody", "--access-logfile", "access.log", *alone)
    with Supervised(*NO_LIFESPAN, *options, directory=open_directory) as supervised:
        access.rename(f"{access}.1")
        access.symlink_to(secret)
        supervised.signal(signal.SIGUSR1)
        supervised.log.wait_for("cannot open the access log access.log: ")
        supervised.get("/after")
        assert until(lambda: b"GET /after " in Path(f"{access}.1").read_bytes())
        assert (secret.stat().st_uid, secret.read_text()) == (0, "")
        access.unlink()
        access.touch()
        os.chown(access, 65534, 65534)
        supervised.signal(signal.SIGUSR1)
        assert until(lambda: supervised.get("/again") != b"" and b"GET /again " in access.read_bytes())
        assert supervised.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_log_directory_of_roots(open_directory: Path) -> None:
    """Root opens the file again, and gives it to the user; what it does not own it gives to nobody."""
    logs = open_directory / "logs"
    open_directory.chmod(0o755)
    logs.mkdir()
    device = open_directory / "null"  # not the machine's own: who knows what a failure makes of it
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices can be made here")
    device.chmod(0o666)
    with Supervised(
        *("served:app", "--lifespan", "off", "--user", "nobody", "--access-logfile", "logs/access.log"),
        directory=open_directory,
        variables={"PYTHONDONTWRITEBYTECODE": "1"},
    ) as supervised:
        access = logs / "access.log"
        access.rename(f"{access}.1")
        supervised.signal(signal.SIGUSR1)
        assert until(lambda: access.exists() and owner(access) == 65534)
        access.unlink()
        access.symlink_to(device)
        supervised.signal(signal.SIGUSR1)
        everybody = [supervised.pid, *children(supervised.pid)]
        assert until(lambda: all(str(device) in opened_by(pid) for pid in everybody))
        assert owner(device) == 0
        assert supervised.stop() == 0


def opened_by(pid: int) -> list[str]:
    """What the descriptors of a process beyond the standard ones lead to."""
    return [link for number, link in opened(pid).items() if number > 2]


def owner(found: Path | int) -> int:
    """Whose a file or a process is."""
    return (found if isinstance(found, Path) else Path(f"/proc/{found}")).stat().st_uid


def test_cpu_affinity(supervise: Supervise) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("needs two CPUs")
    supervised = supervise(*NO_LIFESPAN, "--workers", "2", "--cpu-affinity", "auto")
    workers = supervised.wait_for_workers(2)
    assert [sorted(os.sched_getaffinity(workers[slot])) for slot in (0, 1)] == [[cpu] for cpu in allowed[:2]]
    assert sorted(os.sched_getaffinity(supervised.pid)) == allowed
    found = facts(supervised)
    assert found["cpus"] == sorted(os.sched_getaffinity(found["pid"]))


def test_upgrade_begins_where_the_first_one_began(supervise: Supervise, tmp_path: Path) -> None:
    """In its directory, and with its environment: the successor reads --chdir and --env-file itself."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "served.py").rename(inner / "served.py")
    settings = inner / "settings"
    settings.write_text("COLOUR=red\n")
    supervised = supervise(*NO_LIFESPAN, "--chdir", "inner", "--env-file", "settings", "--preload", AROUND="yes")
    assert facts(supervised)["environment"]["COLOUR"] == "red"
    settings.write_text("COLOUR=blue\n")
    supervised.signal(signal.SIGUSR2).log.wait_for("serving beside supervisor")
    supervised.signal(signal.SIGQUIT)
    assert supervised.process.wait(PATIENCE) == 0
    found = facts(supervised)
    assert found["cwd"] == str(inner)
    assert (found["environment"]["COLOUR"], found["environment"]["AROUND"]) == ("blue", "yes")


CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.mark.skipif(subprocess.run([*CONTAINER, "true"], check=False).returncode != 0, reason="no new PID namespace")
def test_first_process_of_a_container(supervise: Supervise) -> None:
    """It reaps what others have left, and still knows how its own workers end."""
    supervised = supervise(*NO_LIFESPAN, wrapper=CONTAINER)
    (supervisor,) = children(supervised.pid)

    def only_a_worker() -> bool:
        return [title(pid) for pid in children(supervisor)] == ["fastserve: worker 0 (serving)"]

    assert until(only_a_worker)
    for _ in range(3):
        for _ in range(3):
            supervised.get("/orphan")
        start = len(supervised.log.text)
        supervised.signal(signal.SIGKILL, children(supervisor)[0])
        supervised.log.wait_for("ended unexpectedly: killed by SIGKILL (Killed); ", start=start)
        assert until(only_a_worker)
    supervised.signal(signal.SIGTERM, supervisor)
    assert supervised.wait() == 0


ADOPTING = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_children_that_others_have_left(supervise: Supervise) -> None:
    """A process that was made a subreaper has them, without being the first one of its container."""
    supervised = supervise(*NO_LIFESPAN, "--workers", "2", wrapper=(sys.executable, "-c", ADOPTING))
    workers = set(supervised.wait_for_workers(2).values())
    for _ in range(5):
        supervised.get("/orphan")
    assert until(lambda: set(children(supervised.pid)) == workers)
    os.kill(min(workers), signal.SIGKILL)
    supervised.log.wait_for("ended unexpectedly: killed by SIGKILL (Killed); ")
    assert len(supervised.wait_for_workers(2)) == 2
    assert supervised.stop() == 0


PROGRAM = """
import subprocess, sys, fastserve
helper = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(7)"])

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

fastserve.run(app, port=0, lifespan="off", access_log=False)
print(helper.wait())
"""


def test_children_of_the_program_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if b"listening on" in line:
                break
        program.terminate()
        output, _ = program.communicate()
    assert (program.returncode, output) == (0, b"7\n")
