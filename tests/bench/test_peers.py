"""The peers' environment: one that cannot be installed leaves the others alone and is reported."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.measure import Settings
from bench.peers import build_peers, missing, up_to_date
from bench.plan import Scenario, Server
from bench.rounds import run_rounds, summarize

BJOERN = Server("bjoern", ("false",), packages=("bjoern",), peer=True, needs="libev's headers")
OWN = Server("fastserve", ("false",), packages=("fastserve",))


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Two files: one whose package is nowhere, which comes first, and one whose wheel lies beside it."""
    folder = tmp_path / "peers"
    folder.mkdir()
    with zipfile.ZipFile(folder / "whole-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("whole-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: whole\nVersion: 1\n")
        wheel.writestr("whole-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("whole-1.dist-info/RECORD", "")
    for name in ("nowhere", "whole"):
        (folder / f"{name}.txt").write_text(f"--no-index\n--find-links {folder}\n{name}==1\n")
    return folder


@pytest.mark.slow
def test_what_cannot_be_installed_leaves_the_others_alone(requirements: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert not up_to_date(requirements, venv)
    (complaint,) = build_peers(sys.executable, requirements, venv)
    assert complaint.startswith("nowhere.txt could not be installed")
    assert "nowhere==1" in complaint
    ask = "from importlib import metadata; print(metadata.version('whole'))"
    assert subprocess.check_output([venv / "bin" / "python", "-c", ask], text=True) == "1\n"
    assert up_to_date(requirements, venv)
    (requirements / "whole.txt").write_text("another==2\n")
    assert not up_to_date(requirements, venv)


def test_a_missing_peer_is_named_with_what_it_needs() -> None:
    versions = {"bjoern": {"python": "3.11", "bjoern": None}, "fastserve": {"python": "3.11", "fastserve": None}}
    found = missing([BJOERN, OWN], versions)
    assert list(found) == ["bjoern"]
    assert "bjoern is not installed; it needs libev's headers" in found["bjoern"]
    assert missing([BJOERN], {"bjoern": {"bjoern": "3.2.2"}}) == {}


def test_an_environment_that_is_not_there_misses_everything() -> None:
    assert "bjoern" in missing([BJOERN], {"bjoern": {"python": "no such file"}})


def test_a_missing_peer_is_a_row_with_an_error(scenario: Scenario, settings: Settings) -> None:
    samples = run_rounds([(scenario, [BJOERN])], settings, 2, lambda _: None, {"bjoern": "missing: bjoern"})
    (row,) = summarize(samples)
    assert row.errors == ["missing: bjoern", "missing: bjoern"]
    assert row.cpu_us == 0


def test_an_interpreter_that_is_not_there_is_an_error_of_its_row(scenario: Scenario, settings: Settings) -> None:
    server = Server("bjoern", ("{peer_python}",))
    nowhere = Settings(settings.seconds, settings.warm, peer_python="/nonexistent/python")
    (row,) = summarize(run_rounds([(scenario, [server])], nowhere, 1, lambda _: None))
    assert "cannot be started" in row.errors[0]
