"""`--help`: every option in its group, at once."""

import subprocess
import sys

from cli.conftest import Run
from fastserve.config.options import GROUPS, OPTIONS
from kit.waiting import PATIENCE


def test_help_shows_every_option_in_its_group(run: Run) -> None:
    ended = run("--help")
    assert (ended.status, ended.stderr) == (0, "")
    text = ended.stdout
    headings = [text.index(f"\n{group}:\n") for group in GROUPS]
    assert headings == sorted(headings)
    for option in OPTIONS:
        begin = headings[GROUPS.index(option.group)]
        end = ([*headings, len(text)])[GROUPS.index(option.group) + 1]
        assert f"  --{option.flag} " in text[begin:end].replace("\n", " \n")


def test_help_imports_neither_core_nor_event_loop() -> None:
    code = (
        "import sys; from fastserve.cli import command; command.main(['--help'], standalone_mode=False); "
        "print(sorted({'asyncio', 'uvloop', 'fastserve._core'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr == "[]\n"
