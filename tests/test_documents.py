"""What is written about the code is made from it, or held to it."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagrams_are_those_of_the_tables() -> None:
    states = tool("state_tables")
    text = states.PAGE.read_text(encoding="utf-8")
    source = states.SOURCE.read_text(encoding="utf-8")
    assert states.tables(source).count("stateDiagram-v2") == 3
    assert states.page(text, source) == text, "run tools/state_tables.py"


def test_the_pages_name_only_files_that_exist() -> None:
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not (page.parent / link).exists():
                missing.append(f"{page.name}: {link}")
    assert missing == []
