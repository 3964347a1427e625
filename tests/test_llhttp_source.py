"""Fetching llhttp's source: what cannot be had, or is not what was pinned, is refused with a way out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script in a project of its own, where nothing has been fetched."""
    (tmp_path / "tools").mkdir()
    return Path(shutil.copy(ROOT / "tools" / "llhttp_source.py", tmp_path / "tools"))


def fetch(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTSERVE_", "PIP_"))}
    # No index, no configuration that names one: pip finds nothing.
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, **environment}
    command = [sys.executable, str(script)]
    return subprocess.run(command, env={**clean, **offline}, capture_output=True, text=True, check=False)


def assert_nothing_was_left(script: Path) -> None:
    assert not (script.parent.parent / "build" / "llhttp").exists()


def test_another_archive_than_the_pinned_one_is_refused(script: Path, tmp_path: Path) -> None:
    archive = tmp_path / "httptools-0.9.0.tar.gz"
    archive.write_bytes(b"not the archive")
    done = fetch(script, FASTSERVE_LLHTTP_SDIST=str(archive))
    assert done.returncode == 1
    assert "SHA-256" in done.stderr
    assert str(archive) in done.stderr
    assert_nothing_was_left(script)


def test_a_missing_archive_is_named(script: Path, tmp_path: Path) -> None:
    done = fetch(script, FASTSERVE_LLHTTP_SDIST=str(tmp_path / "absent.tar.gz"))
    assert done.returncode == 1
    assert f"FASTSERVE_LLHTTP_SDIST names no file: {tmp_path / 'absent.tar.gz'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_index_the_ways_out_are_told(script: Path) -> None:
    done = fetch(script)
    assert done.returncode == 1
    for way in ("FASTSERVE_LLHTTP_SDIST=", "FASTSERVE_SYSTEM_LLHTTP=1", "source distribution"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_was_left(script)


def test_what_is_there_is_not_fetched_again(script: Path) -> None:
    filled = ROOT / "build" / "llhttp"
    target = script.parent.parent / "build" / "llhttp"
    shutil.copytree(filled, target)
    done = fetch(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(target)
