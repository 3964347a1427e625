"""The C rooms without Python: their own tests and the golden cases, under the sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import field_table

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).resolve().parent.parent


def make(target: str) -> str:
    """What the C tests' Makefile has said, which has to succeed."""
    assert shutil.which("make"), "the C tests need make"
    assert shutil.which("clang") or shutil.which("gcc"), "the C tests need clang or gcc with their sanitizers"
    # The Makefile that may have started this suite must not hand its own flags and job slots on.
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT / "tests" / "c"), target],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        timeout=580,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"the C tests failed:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_c_rooms() -> None:
    said = make("test")
    for source in (ROOT / "tests" / "c").glob("test_*.c"):
        assert f"{source.stem} " in said, f"{source.name} was not run"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_has_threads() -> None:
    """Under ThreadSanitizer, which cannot be in the same build."""
    said = make("threads")
    for source in (ROOT / "tests" / "c").glob("test_*.c"):
        assert (f"{source.stem} " in said) == ("pthread.h" in source.read_text()), source.name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_the_libraries_that_can_be_done_without() -> None:
    said = make("without")
    assert "run_golden" in said
    assert "test_ws_handshake" in said


def test_the_table_of_field_names_is_what_the_tool_makes() -> None:
    assert field_table.TABLE.read_text(encoding="ascii") == field_table.render(field_table.names())
