#!/usr/bin/env python3
"""Writes the table of the modules of `src/fastserve` into `docs/architecture.md`: each with the first words of its own.

Run it after a module has come, gone, moved, or got another idea; a test holds the page and the modules together.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "fastserve"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"


def idea(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).removesuffix(".").replace("|", "\\|")


def table() -> str:
    """Packages by their names, and at the end the modules that are in none."""
    paths = [path for path in SOURCE.rglob("*.py") if path.read_bytes()]
    lines, package = ["| package | module | its one idea |", "| --- | --- | --- |"], ""
    for path in sorted(paths, key=lambda path: (path.parent == SOURCE, path)):
        own = "at the top" if path.parent == SOURCE else f"`{path.parent.name}`"
        link = f"[{path.stem}](../{path.relative_to(ROOT).as_posix()})"
        lines.append(f"| {own if own != package else ''} | {link} | {idea(path)} |")
        package = own
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table that belongs to these modules."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
