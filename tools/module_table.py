#!/usr/bin/env python3
"""Writes two tables into `docs/architecture.md`: the modules of `src/fastserve`, and the parts of `ext/core`.

Each comes with the first words of its own. Run it after a module or a part has come, gone, moved, or got another idea;
a test holds the page and the files together.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "fastserve"
PAGE = ROOT / "docs" / "architecture.md"
CORE = ROOT / "ext" / "core"


def idea(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).removesuffix(".").replace("|", "\\|")


def first_sentence(path: Path) -> str:
    """That of the comment which a part of the core begins with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return (" ".join(lines) + " ").partition(". ")[0].strip().removesuffix(".").replace("|", "\\|")


def link(path: Path) -> str:
    return f"[{path.stem}](../{path.relative_to(ROOT).as_posix()})"


def rows(head: str, entries: list[tuple[str, Path, str]]) -> str:
    """A folder stands in the first of its rows alone."""
    lines, before = [head, "| --- | --- | --- |"], ""
    for folder, path, words in entries:
        lines.append(f"| {folder if folder != before else ''} | {link(path)} | {words} |")
        before = folder
    return "\n".join(lines)


def modules() -> str:
    """Packages by their names, and at the end the modules that are in none."""
    paths = [path for path in SOURCE.rglob("*.py") if path.read_bytes()]
    entries = [
        ("at the top" if path.parent == SOURCE else f"`{path.parent.name}`", path, idea(path))
        for path in sorted(paths, key=lambda path: (path.parent == SOURCE, path))
    ]
    return rows("| package | module | its one idea |", entries)


def parts() -> str:
    paths = sorted(
        CORE.glob("*/*.pxi"), key=lambda path: (("kernel", "asgi", "wsgi", "shared").index(path.parent.name), path)
    )
    entries = [(f"`{path.parent.name}`", path, first_sentence(path)) for path in paths]
    return rows("| folder | part | its one idea |", entries)


def page(text: str) -> str:
    """The page with the tables that belong to these files."""
    for name, table in (("modules", modules()), ("parts", parts())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    return text


def main() -> int:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
