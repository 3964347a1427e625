"""Whose a process becomes, for good."""

import os
from pathlib import Path

import pytest

from fastserve.host import privileges
from kit.calls import python, reason

IS_ROOT = os.geteuid() == 0


DROP = """
import os, sys
from fastserve.errors import StartError
from fastserve.host.privileges import resolve
if sys.argv[3:]:
    os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))
try:
    found = resolve(sys.argv[1] or None, sys.argv[2] or None)
    if found is not None:
        found.drop()
except StartError as error:
    sys.exit(str(error))
print(*os.getresuid(), *os.getresgid(), *os.getgroups())
for call in (os.setuid, os.seteuid, os.setgid):
    try:
        call(0)
        print("back")
    except PermissionError:
        pass
"""

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")


@needs_root
@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        ("nobody", "", "65534 65534 65534 65534 65534 65534"),
        ("65534", "", "65534 65534 65534 65534 65534 65534"),
        ("nobody", "daemon", "65534 65534 65534 1 1 1"),
        ("54321", "54322", "54321 54321 54321 54322 54322 54322"),
    ],
)
def test_a_process_becomes_another_user_for_good(user: str, group: str, expected: str) -> None:
    done = python(DROP, user, group)
    assert done.returncode == 0, done.stderr
    ids, *back = done.stdout.splitlines()
    assert " ".join(ids.split()[:6]) == expected
    assert "0" not in ids.split()  # nor among the further groups
    assert back == []


@needs_root
def test_a_group_alone(tmp_path: Path) -> None:
    done = python(DROP, "", "daemon")
    assert done.stdout.split()[:7] == ["0", "0", "0", "1", "1", "1", "1"]


@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        ("no-such-user", None, "--user no-such-user: there is no such user"),
        (None, "no-such-group", "--group no-such-group: there is no such group"),
        ("4294967295", None, "--user 4294967295: there is no such user"),
        ("54321", None, "--user 54321: the user database has no group for that number; add --group"),
    ],
)
def test_who_cannot_be_found(user: str | None, group: str | None, expected: str) -> None:
    assert reason(lambda: privileges.resolve(user, group)) == expected


@needs_root
def test_only_root_can_become_another_user() -> None:
    done = python(DROP, "nobody", "", "54321")
    assert (done.returncode, done.stderr) == (
        1,
        "cannot become user nobody (uid 65534, gid 65534): only root can, and this process has uid 54321, gid 54321\n",
    )
    own = python(DROP, "54321", "54321", "54321")
    assert (own.returncode, own.stdout.split()[:6]) == (0, ["54321"] * 6)


def test_nothing_given_nothing_changed() -> None:
    assert privileges.resolve(None, None) is None
