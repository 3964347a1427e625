"""What is published: the source distribution, the wheel built from it, and what an empty environment gets of it."""

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]
MODULES = ("_core", "_task")

pytestmark = [pytest.mark.slow, pytest.mark.one_python]


def run(*command: str | Path, **environment: str) -> str:
    """Runs a command without the build's switches; its output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTSERVE_")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def sdist(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder, ROOT)
    return folder / f"fastserve-{VERSION}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist: Path, folder: Path) -> Path:
    """Built from the source distribution, with no index to be had: llhttp cannot come from anywhere else."""
    with tarfile.open(sdist) as archive:
        # Python 3.11.2, which is Debian 12's, has no filter yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    source = folder / f"fastserve-{VERSION}"
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, source, PIP_NO_INDEX="1")
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, folder: Path) -> Path:
    """The interpreter of an environment that holds the wheel and what it requires."""
    venv.create(folder / "empty", with_pip=True)
    interpreter = folder / "empty" / "bin" / "python"
    run(interpreter, "-m", "pip", "install", "--quiet", wheel)
    return interpreter


def test_the_source_distribution_carries_llhttp_and_no_build_product(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"build/llhttp/include/llhttp.h", "build/llhttp/src/llhttp.c", "build/llhttp/LICENSE-MIT"} <= names
    assert {
        "LICENSE",
        "Makefile",
        "setup.py",
        "ext/core/_core.pyx",
        "tests/test_packaging.py",
        "src/fastserve/_core.pyi",
    } <= names
    assert [name for name in names if name.endswith((".so", ".o", ".pyc"))] == []
    assert [name for name in names if name.startswith("build/") and not name.startswith("build/llhttp")] == []
    assert [name for name in names if name.startswith("ext/core/_") and name.endswith(".c")] == []


def test_the_wheel_holds_the_compiled_modules_their_types_and_no_source(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"fastserve/py.typed", "fastserve/_core.pyi"} <= set(names)
    modules = (path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "fastserve").rglob("*.py"))
    assert sorted(modules) == sorted(name for name in names if name.endswith(".py"))
    assert sorted(name.partition(".")[0] for name in names if name.endswith(".so")) == [
        f"fastserve/{m}" for m in MODULES
    ]
    assert [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".pxi"))] == []


def test_the_licences_of_what_is_compiled_in_travel_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"fastserve-{VERSION}.dist-info"
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        named = metadata.get_all("License-File") or []
        texts = {name: archive.read(f"{info}/licenses/{name}").decode() for name in named}
    assert "fastserve authors" in texts["LICENSE"]
    assert "Permission is hereby granted" in texts["build/llhttp/LICENSE-MIT"]
    assert metadata["License-Expression"] == "MIT"


@pytest.mark.parametrize("module", MODULES)
def test_a_compiled_module_exports_its_init_symbol_and_nothing_else(wheel: Path, tmp_path: Path, module: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [
            name for name in archive.namelist() if name.startswith(f"fastserve/{module}.") and name.endswith(".so")
        ]
        library = archive.extract(name, tmp_path)
    symbols = [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]
    assert symbols == [f"PyInit_{module}"]


def test_an_empty_environment_gets_a_working_command(python: Path) -> None:
    assert run(python.parent / "fastserve", "--version").split()[-1] == VERSION
    run(python, "-c", "import fastserve._core, fastserve._task")


def test_the_installed_package_needs_no_more_than_it_says(python: Path) -> None:
    run(python, "-m", "pip", "check")
    assert run(python, "-c", "import fastserve; print(fastserve.__version__)").strip() == VERSION


def test_the_changelog_has_the_version() -> None:
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
