"""What is written about the code is made from it, or held to it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import module_table as modules
import state_tables as states

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).resolve().parent.parent


def test_the_diagrams_are_those_of_the_tables() -> None:
    text = states.PAGE.read_text(encoding="utf-8")
    source = states.SOURCE.read_text(encoding="utf-8")
    assert states.tables(source).count("stateDiagram-v2") == 3
    assert states.page(text, source) == text, "run tools/state_tables.py"


def test_the_tables_of_modules_and_parts_are_theirs() -> None:
    text = modules.PAGE.read_text(encoding="utf-8")
    assert modules.modules().count("\n") > 70
    assert modules.parts().count("\n") > 30
    assert modules.page(text) == text, "run tools/module_table.py"


def test_the_pages_name_only_files_that_exist() -> None:
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
    missing = [
        f"{page.name}: {target}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for target in link.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_what_is_written_for_developers_names_only_targets_that_exist() -> None:
    pages = ["CONTRIBUTING.md", ".ci/run", ".pre-commit-config.yaml", ".github/pull_request_template.md"]
    pages += [str(page.relative_to(ROOT)) for page in (ROOT / ".github").glob("*/*")]
    named = re.compile(r"(?:`|run: |entry: |, |\[|^)make ([a-z][a-z-]*)", re.MULTILINE)
    found = {page: set(named.findall((ROOT / page).read_text(encoding="utf-8"))) for page in pages}
    assert {page: names - makefile_targets() for page, names in found.items() if names - makefile_targets()} == {}
    assert {"lint", "test", "fuzz-core", "test-threads"} <= found[".github/workflows/ci.yml"]


def test_every_target_with_a_word_of_help_is_in_contributing() -> None:
    helped = re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [target for target in helped if f"`make {target}" not in text and target not in ("help", "distclean")] == []


def test_continuous_integration_has_every_python_that_wheels_are_built_for() -> None:
    [matrix] = re.findall(r"^ +python: (\[.+\])$", (ROOT / ".github/workflows/ci.yml").read_text("utf-8"), re.MULTILINE)
    wheels = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]["build"]
    tags = ["cp" + version.replace(".", "") + "-*" for version in json.loads(matrix)]
    assert tags == wheels.split()
