"""The programs of our own in C: compiled when their source is newer than what was built."""

import os
import shlex
import subprocess
from pathlib import Path

from bench.plan import HERE

BUILD = HERE / "build"
FLOOR = "limit"  # in servers.toml


def build_limit() -> Path:
    """The floor of HTTP. Raises as `built` does."""
    return built(HERE / "limit" / "limit.c", "limit")


def build_websocket_floor() -> Path:
    """The floor of WebSocket. Raises as `built` does."""
    return built(HERE / "websocket" / "floor.c", "websocket-floor")


def build_websocket_load() -> Path:
    """What loads the servers of WebSocket scenarios. Raises as `built` does."""
    return built(HERE / "websocket" / "load.c", "websocket-load", "-lz")


def built(source: Path, name: str, *libraries: str) -> Path:
    """The path of the program. Raises subprocess.CalledProcessError or FileNotFoundError when it cannot be built."""
    program = BUILD / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    BUILD.mkdir(exist_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]
    subprocess.run([*compiler, *flags, "-o", str(program), str(source), *libraries], check=True)
    return program
