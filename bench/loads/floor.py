"""The programs of our own in C: compiled when their source, or a header they share, is newer than what was built."""

import os
import shlex
import subprocess
from pathlib import Path

from bench.loads.counted import LoadError
from bench.plan import HERE

BUILD = HERE / "build"
LOADS = HERE / "loads"
FLOOR = "limit"  # in servers.toml


def build_limit() -> Path:
    """The floor of HTTP. Raises as `built` does."""
    return built(LOADS / "limit" / "limit.c", "limit")


def build_websocket_floor() -> Path:
    """The floor of WebSocket. Raises as `built` does."""
    return built(LOADS / "websocket" / "floor.c", "websocket-floor")


def build_websocket_load() -> Path:
    """What loads the servers of WebSocket scenarios. Raises as `built` does."""
    return built(LOADS / "websocket" / "load.c", "websocket-load", "-lz")


def build_mixed_load() -> Path:
    """What loads the servers of scenarios with a mix. Raises as `built` does."""
    return built(LOADS / "mixed" / "load.c", "mixed-load")


def build_handshake_load() -> Path:
    """What loads the servers of scenarios that shake hands. Raises LoadError with what to install."""
    try:
        return built(LOADS / "tls" / "load.c", "handshake-load", "-lssl", "-lcrypto")
    except subprocess.CalledProcessError:
        raise LoadError(
            "bench/loads/tls/load.c cannot be built: install OpenSSL's headers (apt install libssl-dev)"
        ) from None


def built(source: Path, name: str, *libraries: str) -> Path:
    """The path of the program. Raises subprocess.CalledProcessError or FileNotFoundError when it cannot be built."""
    program = BUILD / name
    newest = max(path.stat().st_mtime for path in (source, *LOADS.glob("*.h")))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    BUILD.mkdir(exist_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]
    subprocess.run([*compiler, *flags, "-o", str(program), str(source), *libraries], check=True)
    return program
