"""The peers' own environment: bench/.venv-peers with the pinned releases of bench/field/peers/*.txt."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.plan import HERE, PEERS, Server
from bench.process import SEARCH

REQUIREMENTS = HERE / "field" / "peers"
STAMP = "requirements-tried"


def build_peers(python: str = sys.executable, requirements: Path = REQUIREMENTS, venv: Path = PEERS) -> list[str]:
    """Create or renew the environment with the interpreter `python`, and install one file after the other.

    Returns what pip has said of those that it could not install: the others are there all the same. Raises
    subprocess.CalledProcessError when there can be no environment at all.
    """
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    install = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
    complaints = []
    for path in sorted(requirements.glob("*.txt")):
        done = subprocess.run([*install, str(path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            complaints.append(f"{path.name} could not be installed: {done.stderr.strip()[-1500:]}")
    (venv / STAMP).write_text(_wanted(requirements))
    return complaints


def up_to_date(requirements: Path = REQUIREMENTS, venv: Path = PEERS) -> bool:
    """Whether these files have been tried. What failed then is tried again on demand only: a build may take minutes."""
    return (venv / STAMP).exists() and (venv / STAMP).read_text() == _wanted(requirements)


def missing(servers: Iterable[Server], versions: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """Of the peers, and of who needs a program, those that cannot be started here: what each lacks and what to do."""
    asked = [server for server in servers if server.peer or server.program]
    lacking = {server.name: _lacking(server, versions.get(server.name, {})) for server in asked}
    return {name: f"missing: {what}" for name, what in lacking.items() if what}


def _lacking(server: Server, versions: Mapping[str, str | None]) -> str:
    if server.program and shutil.which(server.program, path=SEARCH) is None:
        return f"{server.program} is not on the PATH; install {server.needs}"
    if packages := ", ".join(package for package in server.packages if versions.get(package) is None):
        needs = f"it needs {server.needs}, then" if server.needs else "try"
        return f"{packages} is not installed; {needs} `python -m bench peers`"
    return "" if server.as_root or os.geteuid() else "it refuses to be run by root; be another user"


def _wanted(requirements: Path) -> str:
    return "".join(path.read_text() for path in sorted(requirements.glob("*.txt")))
