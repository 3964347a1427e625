#!/usr/bin/env python3
"""Makes `src/fastserve/core_tables.py`: what the core's tables in C say, for Python code that does not load the core.

The limits with their defaults are those of `ext/proto/limits.h`, the names of the status block's words those of
`ext/core/status.h`, the errors those of `ext/proto/error.c`. Run it after a change of any; a test holds them together.
It needs a C compiler, no build.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "src" / "fastserve" / "core_tables.py"

PROGRAM = r"""
#include "proto/error.c"
#include "proto/limits.h"
#include "core/status.h"

#include <stdio.h>

int main(void)
{
#define LIMIT(type, name, normal) printf("limit %s %llu\n", #name, (unsigned long long)(normal));
    FS_LIMITS(LIMIT)
    for (int i = 0; i < FS_STATUS_COUNT; i++)
        printf("status %s\n", fs_status_names[i]);
    for (int i = 1; i < ROWS; i++)
        printf("error %s %d\n", TABLE[i].name, TABLE[i].code);
    return 0;
}
"""


TEMPLATE = '''\
"""The tables of the compiled core, for code that does not load it. Made by tools/core_tables.py."""

from collections.abc import Mapping

LIMITS: Mapping[str, int] = {{
{limits}
}}
"""The limits' defaults, from `ext/proto/limits.h`: bytes, numbers and milliseconds. The same as `_core.LIMITS`."""

STATUS_FIELDS = (
{status}
)
"""The words of the status block in their order, from `ext/core/status.h`. The same as `_core.STATUS_FIELDS`."""

ERRORS: Mapping[str, int] = {{
{errors}
}}
"""Why requests and connections end badly, by the names of `ext/proto/error.c`: the words of a block's third page."""
'''


def read() -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Limits, names of words, and errors, as a C compiler sees them."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "tables.c"), Path(folder, "tables")
        source.write_text(PROGRAM, encoding="ascii")
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-std=gnu11", "-iquote", str(ROOT / "ext"), "-o", program, source], check=True)
        said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return (
        {row[1]: int(row[2]) for row in rows if row[0] == "limit"},
        [row[1] for row in rows if row[0] == "status"],
        {row[1]: -int(row[2]) for row in rows if row[0] == "error"},
    )


def render(limits: Mapping[str, int], status: Iterable[str], errors: Mapping[str, int]) -> str:
    return TEMPLATE.format(
        limits="\n".join(f'    "{name}": {value},' for name, value in limits.items()),
        status="\n".join(f'    "{name}",' for name in status),
        errors="\n".join(f'    "{name}": {at},' for name, at in errors.items()),
    )


def main() -> int:
    TABLES.write_text(render(*read()), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
