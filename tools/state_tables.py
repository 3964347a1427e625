#!/usr/bin/env python3
"""Draws the HTTP/1 machine's tables (`ext/proto/h1_state.c`) as Mermaid diagrams into `docs/architecture.md`.

Run it after a change of the tables; a test holds the page and the tables together.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "ext" / "proto" / "h1_state.c"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- states: begin -->", "<!-- states: end -->"

TABLE = re.compile(r"const uint8_t fs_h1_(\w+)_table\[[^=]*= \{\s*/\*\s*([A-Z_ ]+?)\s*\*/(.*?)\n\};", re.DOTALL)
ROW = re.compile(r"\[\w\((\w+)\)\]\s*=\s*\{(.*?)\}")
ENDS = {"reading": "DISCARD", "writing": "BROKEN", "keep": "CLOSED"}


def diagram(name: str, inputs: list[str], rows: dict[str, list[str]]) -> str:
    """One machine. What leads to its last state is drawn only where it is expected, by STOP, ABORT or SHUT."""
    lines = [f"*{name}*", "", "```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(rows))}"]
    for state, targets in rows.items():
        for event, target in zip(inputs, targets, strict=True):
            unexpected = target == ENDS[name] and event not in ("STOP", "ABORT", "SHUT", "RESPONSE_END")
            if target != state and not unexpected:
                lines.append(f"    {state} --> {target}: {event}")
    return "\n".join([*lines, "```"])


def tables(source: str) -> str:
    machines = []
    for name, inputs, body in TABLE.findall(source):
        rows = {state: re.findall(r"\((\w+)\)", targets) for state, targets in ROW.findall(body)}
        machines.append(diagram(name, inputs.split(), rows))
    return "\n\n".join(machines)


def page(text: str, source: str) -> str:
    """The page with the diagrams that belong to these tables."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(source)}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page(text, SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
