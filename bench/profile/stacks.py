"""Sampled call stacks: out of what `perf script` prints, folded, and the functions in which the time was spent.

The names are made readable: those that Cython gives become the ones of the source, and the copies that the compiler
makes of a function count as that function.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

KERNEL = "[kernel]"
UNKNOWN = "[unknown]"

_FRAME = re.compile(r"\s+[0-9a-f]+ (?P<name>.*) \((?P<module>[^()]*(?:\([^()]*\))?)\)$")
_COPY = re.compile(r"(\.(lto_priv|part|cold|constprop|isra|llvm)(\.\d+)*)+$")
_CYTHON = re.compile(r"__pyx_(?P<kind>[a-z_]+?)_9fastserve_5_(?:core|task)_(?P<rest>\w+)$")


class Frame(NamedTuple):
    """A function, and the file that it was loaded from: its name alone, or KERNEL."""

    name: str
    module: str


Stack = tuple[Frame, ...]  # the outermost function first; before it, without a module, the thread's name
Stacks = Counter[Stack]


def parse(text: str) -> Stacks:
    """From `perf script -F comm,ip,sym,dso`: a line with the thread's name, then the innermost frame first."""
    return Counter(_samples(text))


def _samples(text: str) -> Iterator[Stack]:
    thread, frames = "", list[Frame]()
    for line in [*text.splitlines(), ""]:
        if match := _FRAME.match(line):
            frames.append(_frame(match["name"], match["module"]))
        elif line.strip():
            thread = line.strip()
        elif frames:
            yield (Frame(thread, ""), *reversed(frames))
            frames = []


def _frame(name: str, module: str) -> Frame:
    kernel = module.startswith(("[kernel", "[guest.kernel")) or module.endswith(".ko")
    return Frame(readable(name), KERNEL if kernel else module.rpartition("/")[2])


def readable(symbol: str) -> str:
    """`ScopeBuilder.build` for `__pyx_f_9fastserve_5_core_12ScopeBuilder_build.lto_priv.0`."""
    symbol = _COPY.sub("", symbol)
    match = _CYTHON.match(symbol)
    if match is None:
        return symbol
    rest = match["rest"]
    if length := re.match(r"\d+", rest):  # of the name of the class, which the method's follows
        rest = rest[length.end() :]
        owner, method = rest[: int(length[0])], rest[int(length[0]) + 1 :]
        rest = f"{owner}.{method.lstrip('0123456789')}"
    return f"{rest} ({match['kind']})" if match["kind"].startswith("tp_") else rest


def fold(stacks: Stacks) -> str:
    """One line a stack, `outermost;...;innermost count`, which other tools draw flame graphs from."""
    lines = (f"{';'.join(frame.name for frame in stack)} {count}\n" for stack, count in stacks.items())
    return "".join(sorted(lines))


def innermost(stacks: Stacks) -> Counter[Frame]:
    """In how many samples each function was the one that ran."""
    found: Counter[Frame] = Counter()
    for stack, count in stacks.items():
        found[stack[-1]] += count
    return found


def top(stacks: Stacks, n: int) -> str:
    """A table of the `n` functions that ran in most samples."""
    total = stacks.total()
    lines = [
        f"{count / total:7.2%}  {frame.name:<44} {frame.module}" for frame, count in innermost(stacks).most_common(n)
    ]
    return "\n".join(lines)
