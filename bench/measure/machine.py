"""What a result must say about where it was made."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.loads.counted import LoadError
from bench.loads.h2load import find_h2load
from bench.loads.load import find_wrk
from bench.measure.sample import Settings
from bench.plan import HERE, Server
from bench.process import SEARCH, cores

ASK = (
    "import json, platform, sys; from importlib import metadata\n"
    "def version(name):\n"
    "    try: return metadata.version(name)\n"
    "    except metadata.PackageNotFoundError: return None\n"
    "print(json.dumps({'python': platform.python_version(), **{name: version(name) for name in sys.argv[1:]}}))"
)


def describe(settings: Settings) -> dict[str, Any]:
    """System, CPU, cores, load average, the load programs and how long they run."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "project": _revision(),
        "system": _system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "server_core": cores()[0],
        "load_core": cores()[1],
        "load_average": list(os.getloadavg()),
        "wrk": _wrk_version(),
        "h2load": _h2load_version(),
        "seconds": settings.seconds,
        "warm": settings.warm,
    }


def versions(server: Server, settings: Settings) -> dict[str, str | None]:
    """Versions of Python, the server's packages in that interpreter, and its program; None for what is not there."""
    python = settings.peer_python if server.peer else settings.python
    try:
        asked = subprocess.run([python, "-c", ASK, *server.packages], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return {"python": f"{python}: {error}"}
    answer: dict[str, str | None] = json.loads(asked.stdout)
    return answer | ({server.program: _program_version(server.program)} if server.program else {})


def _program_version(program: str) -> str | None:
    """What it says of itself to `-v`; nginx does so on standard error."""
    path = shutil.which(program, path=SEARCH)
    if path is None:
        return None
    said = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).strip().partition("\n")[0]


def _revision() -> str:
    """The commit that was measured, `+` behind it where files differ from it; "" outside a repository."""
    git = ["git", "-C", str(HERE), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _wrk_version() -> str:
    """Without its notice: a result may be committed."""
    said = subprocess.run([find_wrk(), "-v"], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0].partition(" Copyright")[0]


def _h2load_version() -> str:
    """Empty where it is not there: only some scenarios need it."""
    try:
        return subprocess.run([find_h2load(), "--version"], capture_output=True, text=True, check=False).stdout.strip()
    except LoadError:
        return ""
