"""The peers' own environment: bench/.venv-peers with the pinned releases of bench/peers/*.txt."""

import subprocess
import sys
from pathlib import Path

from bench.plan import HERE

VENV = HERE / ".venv-peers"
PYTHON = VENV / "bin" / "python"


def build_peers(python: str = sys.executable) -> Path:
    """Create or renew the environment with the interpreter `python`. Raises subprocess.CalledProcessError."""
    subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=True)
    requirements = [part for path in sorted((HERE / "peers").glob("*.txt")) for part in ("-r", str(path))]
    subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", *requirements], check=True)
    return PYTHON
