"""Instructions, counted by valgrind's callgrind: the same program on the same input gives the same figure again.

They are those of the processor's user side; what the kernel does for a system call is not seen. Functions that the
compiler has inlined count for the ones that they went into.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MISSING = "instructions are not counted: valgrind is not on the PATH (apt install valgrind)"
DEADLINE = 300.0

_NAME = re.compile(r"c?fn=\((\d+)\)(?: (.*))?")
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


class CallgrindError(Exception):
    """The program has failed under callgrind, or the function to be counted was not called as often as it should."""


@dataclass(frozen=True)
class Calls:
    """Of one function: how often it was called, and the instructions that it took with all that it has called."""

    count: int
    instructions: int


@dataclass(frozen=True)
class Counts:
    """Of one run of a program."""

    total: int
    text: str

    def calls(self, part: str, caller: str = "") -> Calls:
        """Those of the function whose name contains `part`, by one whose name contains `caller`.

        None are counted for a function that was inlined or is not there: the caller knows how many there should be.
        """
        found = [calls for by, name, calls in _calls(self.text) if part in name and caller in by]
        return Calls(sum(calls.count for calls in found), sum(calls.instructions for calls in found))


def available() -> bool:
    return shutil.which("valgrind") is not None


@contextmanager
def counted(command: list[str], **options: Any) -> Iterator[tuple["subprocess.Popen[str]", list[Counts]]]:
    """Run `command` until it ends, which the block has to bring about; the list has one item when the block has ended.

    `options` are subprocess.Popen's. Raises CallgrindError.
    """
    counts: list[Counts] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = Path(scratch) / "out"
        valgrind = ["valgrind", "--tool=callgrind", "--dump-line=no", f"--callgrind-out-file={path}"]
        process = subprocess.Popen(
            [*valgrind, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        with process:
            try:
                yield process, counts
                _, said = process.communicate(timeout=DEADLINE)
            finally:
                process.kill()
        if process.returncode != 0:
            raise CallgrindError(f"{command[0]} ended with status {process.returncode}: {said.strip()[-500:]}")
        counts.append(parse(path.read_text()))


def count(command: list[str]) -> Counts:
    """Of a program that ends by itself. Raises CallgrindError."""
    with counted(command) as (_, counts):
        pass
    return counts[0]


def parse(text: str) -> Counts:
    """Of a callgrind.out file with one event. Raises CallgrindError."""
    total = _TOTAL.search(text)
    if total is None:
        raise CallgrindError("callgrind has written no total")
    return Counts(int(total[1]), text)


def _calls(text: str) -> Iterator[tuple[str, str, Calls]]:
    """Every edge of the call graph, with the names of both ends. A name stands where its number comes first."""
    names: dict[str, str] = {}
    caller, called, times = "", "", 0
    for line in text.splitlines():
        if match := _NAME.match(line):
            name = names.setdefault(match[1], match[2] or "")
            if line.startswith("c"):
                called = name
            else:
                caller = name
        elif line.startswith("calls="):
            times = int(line.removeprefix("calls=").split()[0])
        elif times:
            yield caller, called, Calls(times, int(line.split()[1]))
            times = 0
