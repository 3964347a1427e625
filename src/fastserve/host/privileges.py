"""Privileges: the user and the group that workers become, looked up at the start and taken on after the fork."""

import grp
import os
import pwd
import sys
from dataclasses import dataclass, replace
from typing import Any

from fastserve.errors import StartError


@dataclass(frozen=True, slots=True)
class Privileges:
    """The user and the group that a worker becomes."""

    uid: int
    gid: int
    name: str
    """The user's name, whose supplementary groups are taken on; empty for none."""
    home: str | None = None
    """The user's home directory; None: HOME stays as it was."""

    def drop(self) -> None:
        """Becomes that user for good. Raises StartError if that fails or could be undone."""
        if os.geteuid() != 0:
            return  # `resolve` lets nobody but root name another user
        try:
            if self.name:
                os.initgroups(self.name, self.gid)
            else:
                os.setgroups([self.gid])
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
        except OSError as error:
            raise StartError(f"cannot become {self}: {(error.strerror or str(error)).lower()}") from None
        if self.uid and _can_become_root():
            raise StartError(f"cannot become {self}: the process could become root again")
        _forget_temporary_directory()

    def set_environment(self) -> None:
        """Sets the variables that name the user, before the process becomes that user: libraries find files by them."""
        if os.geteuid() != 0 or self.home is None:
            return
        os.environ["HOME"] = self.home
        for name in ("USER", "LOGNAME"):
            os.environ.pop(name, None)
            if self.name:
                os.environ[name] = self.name

    def __str__(self) -> str:
        return f"user {self.name or self.uid} (uid {self.uid}, gid {self.gid})"


def resolve(user: str | None, group: str | None) -> Privileges | None:
    """Looks names or numbers up. Returns None if nothing is to be changed.

    Raises StartError for an unknown name, or if we are not root, for a user or group other than our own.
    """
    if user is None and group is None:
        return None
    found = _user(user) if user is not None else Privileges(os.geteuid(), os.getegid(), "")
    if group is not None:
        found = replace(found, gid=_group(group))
    elif found.gid < 0:
        raise StartError(f"--user {user}: the user database has no group for that number; add --group")
    own = (os.geteuid(), os.getegid())
    if own[0] != 0 and (found.uid, found.gid) != own:
        raise StartError(f"cannot become {found}: only root can, and this process has uid {own[0]}, gid {own[1]}")
    return found


def uid_of(user: str | None) -> int | None:
    """Returns the number of the user that root's workers become. None if they do not change, and for an unknown user,
    which `resolve` reports."""
    try:
        return _user(user).uid if user is not None and os.geteuid() == 0 else None
    except StartError:
        return None


def _user(user: str) -> Privileges:
    """Looks a user up by name, else by number; a number that is not in the database has the group -1."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        uid = _number(user)
        if uid is None:
            raise StartError(f"--user {user}: there is no such user") from None
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return Privileges(uid, -1, "", "/")
    return Privileges(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def _group(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        gid = _number(group)
        if gid is None:
            raise StartError(f"--group {group}: there is no such group") from None
        return gid


def _number(text: str) -> int | None:
    """Returns a user's or group's number. 0xffffffff means "unchanged" to the kernel, so it is rejected."""
    if not (text.isascii() and text.isdigit()) or int(text) >= (1 << 32) - 1:
        return None
    return int(text)


def _forget_temporary_directory() -> None:
    """Makes Python look for the temporary directory again: the one that root has found may be closed to others."""
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None and tempfile.tempdir and not os.access(tempfile.tempdir, os.W_OK | os.X_OK):
        tempfile.tempdir = None


def _can_become_root() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return os.geteuid() == 0
    return True
