"""Unix sockets: the path that is made for one, its mode and owner, and who has it."""

import errno
import os
import pwd
import re
import socket
import stat
from pathlib import Path

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets.listeners import check
from unit.sockets.opening import Open, accepts, reason


def test_unix_socket(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert listeners.addresses[0] == f"unix:{path}"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))
    listeners.close()
    assert not path.exists()
    listeners.close()


def test_stale_unix_socket_is_replaced_and_keeps_its_mode(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen()
    path.chmod(0o600)
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_in_use(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_with_a_full_backlog_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"


def test_another_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: the file there is not a socket"
    assert path.read_text() == "precious"


def test_unix_socket_in_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "none" / "server.sock"
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: no such file or directory"


def test_unix_socket_with_too_long_a_path() -> None:
    path = "/" + "x" * 200
    assert reason(uds=path) == f"cannot listen on unix:{path}: AF_UNIX path too long"


def test_a_successors_unix_socket_is_left_alone(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    mine = listen(uds=str(path))
    path.rename(tmp_path / "moved")
    theirs = listen(uds=str(path))
    mine.close()
    accepts(theirs.sockets[0], socket.AF_UNIX, str(path))


def test_mode_of_a_unix_socket(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    path.chmod(0o600)
    listen(uds=str(path), uds_mode="660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("1:2", (1, 2)),
        ("1", (1, 0)),
        (":2", (0, 2)),
        ("nobody", (pwd.getpwnam("nobody").pw_uid, 0)),
        ("root:root", (0, 0)),
    ],
)
def test_owner_of_a_unix_socket(listen: Open, tmp_path: Path, owner: str, expected: tuple[int, int]) -> None:
    path = tmp_path / "server.sock"
    listen(uds=str(path), uds_owner=owner)
    found = path.stat()
    assert (found.st_uid, found.st_gid) == expected
    assert stat.S_IMODE(found.st_mode) == 0o666


@pytest.mark.parametrize("owner", ["no-such-user", ":no-such-group", "4294967295"])
def test_owner_that_nobody_is(tmp_path: Path, owner: str) -> None:
    path = tmp_path / "server.sock"
    expected = f"--uds-owner {owner}: there is no such user or group"
    assert reason(uds=str(path), uds_owner=owner) == expected
    assert not path.exists()
    with pytest.raises(StartError, match=re.escape(expected)):
        check(Config("a:b", uds=str(path), uds_owner=owner))


def test_refused_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "server.sock"
    expected = f"cannot give unix:{path} to 1:1: operation not permitted"
    assert reason(uds=str(path), uds_owner="1:1") == expected
    assert not path.exists()


def test_abstract_unix_socket(listen: Open, tmp_path: Path) -> None:
    name = f"@{tmp_path}"
    listeners = listen(bind=(f"unix:{name}",))
    assert listeners.addresses[0] == f"unix:{name}"
    accepts(listeners.sockets[0], socket.AF_UNIX, f"\0{tmp_path}")
    assert reason(bind=(f"unix:{name}",)) == f"cannot listen on unix:{name}: address already in use"


def test_abstract_unix_socket_cannot_be_protected(tmp_path: Path) -> None:
    name = f"@{tmp_path}"
    expected = f"cannot listen on unix:{name}: an abstract name has neither mode nor owner; give a path"
    assert reason(uds=name, uds_mode="600") == expected
