"""What is written about the code is made from it, or held to it."""

import re
from pathlib import Path

import pytest

import state_tables as states

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).resolve().parent.parent


def test_the_diagrams_are_those_of_the_tables() -> None:
    text = states.PAGE.read_text(encoding="utf-8")
    source = states.SOURCE.read_text(encoding="utf-8")
    assert states.tables(source).count("stateDiagram-v2") == 3
    assert states.page(text, source) == text, "run tools/state_tables.py"


def test_the_pages_name_only_files_that_exist() -> None:
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
    missing = [
        f"{page.name}: {target}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for target in link.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []
