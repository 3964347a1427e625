"""Each fuzz target for ten seconds, so that a target that no longer builds, or a shallow fault, shows in the suite."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.waiting import PATIENCE

pytestmark = pytest.mark.one_python

FUZZ = Path(__file__).resolve().parent / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("fuzz_*.c"))
SECONDS = 5


@pytest.fixture(scope="module")
def clang(tmp_path_factory: pytest.TempPathFactory) -> str:
    """clang, where it can link a fuzzer."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("libFuzzer needs clang, and there is none")
    folder = tmp_path_factory.mktemp("libfuzzer")
    source = folder / "empty.c"
    source.write_text("int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { (void)p; (void)n; return 0; }\n")
    command = [clang, "-fsanitize=fuzzer,address,undefined", "-o", str(folder / "empty"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        pytest.skip(f"clang has no libFuzzer (its run-time library is missing): {done.stderr.strip()[-200:]}")
    return clang


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz(clang: str, target: str, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    make = ["make", "--no-print-directory", "-C", str(FUZZ), f"CC={clang}", f"TARGETS={target}"]
    command = [*make, f"SECONDS={SECONDS}", f"WORK={tmp_path}", f"FOUND={tmp_path}/", "run"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
        timeout=580,
        check=False,
    )
    crashes = [
        (path.name, path.read_bytes())
        for path in tmp_path.glob("*-*")
        if path.name.startswith(("crash", "oom", "timeout", "leak"))
    ]
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{crashes}"
    assert "stat::number_of_executed_units" in done.stdout
