"""The rule of this folder: a module is tested by itself in the file that has its name."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "src" / "fastserve"


@pytest.mark.parametrize("package", ["config", "sockets", "supervisor", "tls"])
def test_each_module_has_a_file(package: str) -> None:
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    tested = {path.stem.removeprefix("test_") for path in (HERE / package).glob("test_*.py")}
    assert modules
    assert modules <= tested, f"no tests/unit/{package}/test_*.py of {', '.join(sorted(modules - tested))}"


def test_each_folder_is_a_package() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {path.name for path in HERE.iterdir() if (path / "__init__.py").exists()} <= packages
