"""--no-supervisor: the process that was started serves itself, and is a service all the same."""

import json
import os
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Supervised, children, title

APPLICATION = """
import json, os
from pathlib import Path

async def app(scope, receive, send):
    Path("written").write_text("")
    facts = [os.getpid(), os.getuid(), os.getcwd(), {name: os.environ.get(name) for name in ("SET", "NOTIFY_SOCKET")}]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(facts).encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
ALONE = ("served:app", "--lifespan", "off", "--no-supervisor")
HOOKS = """
from pathlib import Path

def note(name):
    def hook(info):
        with Path("noted").open("a") as file:
            file.write(f"{name} {info.pid} {info.addresses}\\n")
    return hook

on_starting, when_ready, on_exit = note("on_starting"), note("when_ready"), note("on_exit")
"""


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def test_as_a_service(supervise: Supervise, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "served.py").rename(inner / "served.py")
    (inner / "settings").write_text("SET=file\n")
    (inner / "noting.py").write_text(HOOKS)
    files = ("--chdir", "inner", "--umask", "077", "--pid", "server.pid", "--env-file", "settings", "--hooks", "noting")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        supervised = supervise(*ALONE, *files, "--proc-name", "shop", **variables)
        messages = [systemd.recv(4096).decode() for _ in range(3)]
        pid, _, directory, environment = json.loads(supervised.get())
        assert pid == supervised.pid
        assert children(pid) == []
        assert directory == str(inner)
        assert environment == {"SET": "file", "NOTIFY_SOCKET": None}
        assert stat.S_IMODE((inner / "written").stat().st_mode) == 0o600
        assert (inner / "server.pid").read_text() == f"{pid}\n"
        assert title(pid) == "shop: server (serving)"
        assert supervised.stop() == 0
        messages.append(systemd.recv(4096).decode())
    assert messages == ["STATUS=starting", "READY=1", "STATUS=serving", "STOPPING=1"]
    assert not (inner / "server.pid").exists()
    address = (f"http://127.0.0.1:{supervised.port}",)
    names = ("on_starting", "when_ready", "on_exit")
    assert (inner / "noted").read_text() == "".join(f"{name} {pid} {address}\n" for name in names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user() -> None:
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        directory = Path(name)  # pytest's own are closed to other users
        directory.chmod(0o777)
        (directory / "served.py").write_text(APPLICATION)
        with Supervised(*ALONE, "--user", "nobody", "--access-logfile", "access.log", directory=directory) as alone:
            _, uid, *_ = json.loads(alone.get())
            assert uid != 0
            access = directory / "access.log"
            assert access.stat().st_uid == Path(f"/proc/{alone.pid}").stat().st_uid == uid
            access.rename(f"{access}.1")
            alone.signal(signal.SIGUSR1)
            assert until(lambda: access.exists() and access.stat().st_uid == uid)
            assert alone.stop() == 0


@pytest.mark.parametrize("app", ["app", "wsgi"])
def test_logs_are_opened_again(supervise: Supervise, tmp_path: Path, app: str) -> None:
    access = tmp_path / "access.log"
    options = ("--no-supervisor", "--access-log", "--access-logfile", "access.log")
    alone = supervise(f"served:{app}", *options)
    alone.get("/before")
    assert until(lambda: b"/before" in access.read_bytes())
    access.rename(tmp_path / "access.log.1")
    alone.signal(signal.SIGUSR1)
    assert until(access.exists)
    alone.get("/after")
    assert until(lambda: b"/after" in access.read_bytes())
    assert b"/after" not in (tmp_path / "access.log.1").read_bytes()
    assert alone.stop() == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--hooks", "absent"), "there is no module 'absent' in "),
        (("--env-file", "absent"), "--env-file: "),
        (("--user", "nobody-of-that-name"), "--user nobody-of-that-name: there is no such user"),
    ],
)
def test_failed_start_leaves_nothing(
    supervise: Supervise, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    alone = supervise(*ALONE, *options, "--pid", "server.pid", "--uds", "server.sock", listens=False)
    assert alone.wait() == 1
    assert alone.log.text.count("[CRITICAL]") == 1
    assert reason in alone.log.text
    assert list(tmp_path.glob("server.*")) == []
