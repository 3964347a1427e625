"""The limit program: compiled when its source is newer than what was built."""

import os
import shlex
import subprocess
from pathlib import Path

from bench.plan import HERE

SOURCE = HERE / "limit" / "limit.c"
BUILD = HERE / "build"
FLOOR = "limit"  # in servers.toml


def build_limit() -> Path:
    """The path of the program. Raises subprocess.CalledProcessError or FileNotFoundError when it cannot be built."""
    program = BUILD / "limit"
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    BUILD.mkdir(exist_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(program), str(SOURCE)], check=True)
    return program
