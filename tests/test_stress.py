"""Random clients against the sanitized server, for some seconds from a seed that stays; `make stress` takes longer.

What fails prints the seed and the scenes that play it again.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 20
SEED = 1


@pytest.fixture(scope="module")
def sanitized() -> Path:
    """The folder with the package that has assertions and sanitizers; built where it is not up to date."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the sanitized package needs a compiler, and there is none")
    library = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(library.stdout.strip()).is_absolute():
        pytest.skip("the compiler has no run-time library of AddressSanitizer")
    folder = ROOT / "build" / "sanitized"
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(folder)]
    subprocess.run(
        [*command, "build_ext", "--build-lib", str(folder)],
        cwd=ROOT,
        env={**os.environ, "FASTSERVE_DEBUG": "1", "FASTSERVE_SANITIZE": "1"},
        check=True,
        timeout=600,
    )
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stress(sanitized: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stress",
        "--build",
        str(sanitized),
        "--seed",
        str(SEED),
        "--seconds",
        str(SECONDS),
    ]
    done = subprocess.run(
        [*command, "--a-run", str(SECONDS / 4), "--keep", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:]
    assert " 0 failed" in done.stdout
