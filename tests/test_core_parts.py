"""Parts of ext/core know each other downwards only: every name that one part defines and another one uses is an edge.

_core is one module of many files that Cython reads as one, so no import says who knows whom: this reads Cython for it.
The tables are the architecture. A new edge is a decision, made here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_python

CORE = Path(__file__).resolve().parent.parent / "ext" / "core"

FOLDERS: Mapping[str, set[str]] = {
    "shared": set(),
    "kernel": {"shared"},
    "asgi": {"kernel", "shared"},
    "wsgi": {"kernel", "shared"},
}
"""What each folder may know, each line only of lines above it."""

CIRCLE = "kernel"
"""The folder whose parts know each other: a driver has connections, these have exchanges, and those their driver."""

OWNED: Mapping[str, set[str]] = {
    "kernel/driver.pxi": {
        *("polling", "idle_stack", "turning", "buffer_held", "sweep_scheduled", "closed", "forgotten", "copied"),
    },
    "kernel/connection.pxi": {"flags", "session"},
    "kernel/deadlines.pxi": {"phase", "grace"},
}
"""Fields of the driver and of connections that steer their turns, by the file that alone assigns them: others call
its verbs."""

MARKS = {"CONN_SCHEDULED", "CONN_DEFERRED"}
"""Flags of a connection that say where it stands in the driver's lists: the driver's to set."""

DEFINITIONS = (
    re.compile(r"^(?:cdef )?class (\w+)", re.MULTILINE),
    re.compile(r"^(?:cdef|cpdef|def|async def) [^=\n(:]*?(\w+)\(", re.MULTILINE),
    re.compile(r"^cdef (?!class |enum|extern)[\w\[\], *]*?(\w+)(?:\[\w*\])*\s*(?:=|$)", re.MULTILINE),
    re.compile(r"^(\w+) = ", re.MULTILINE),
)
CONSTANTS = re.compile(r"^cdef enum:\n((?:    .*\n|\n)+)", re.MULTILINE)
CONSTANT = re.compile(r"^    (\w+)", re.MULTILINE)
METHOD = re.compile(r"^    (?:cdef|cpdef|def) [^=\n(:]*?(\w+)\(", re.MULTILINE)
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
NO_CODE = re.compile(r'"""(?:.|\n)*?"""|#.*|b?c?"(?:[^"\\\n]|\\.)*"|' + r"b?c?'(?:[^'\\\n]|\\.)*'")
ASSIGNMENT = re.compile(r"\b(self|\w*connection|\w*driver|here)\.(\w+)(?:, [\w.]+)* *(?:[|&+-]|<<|>>)?= *([^=].*)")


def code_of(path: Path) -> str:
    """Without comments, docstrings and strings."""
    return NO_CODE.sub("", path.read_text(encoding="utf-8"))


def parts() -> dict[str, str]:
    """The code of each part by its place, such as kernel/driver.pxi, with that of the .pxd beside it."""
    found: dict[str, str] = {}
    for path in sorted([*CORE.glob("*/*.pxi"), *CORE.glob("*/*.pxd")]):
        name = path.with_suffix(".pxi").relative_to(CORE).as_posix()
        found[name] = found.get(name, "") + code_of(path) + "\n"
    return found


def defines(code: str) -> Iterator[str]:
    for pattern in DEFINITIONS:
        yield from pattern.findall(code)
    for block in CONSTANTS.findall(code):
        yield from CONSTANT.findall(block)


def edges(sources: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """For each part the parts that it needs, and the names by which it does."""
    home = {name: part for part, code in sources.items() for name in defines(code)}
    found: dict[str, dict[str, set[str]]] = {part: {} for part in sources}
    for part, code in sources.items():
        own = set(METHOD.findall(code))
        for name in set(NAME.findall(code)) - own:
            if home.get(name, part) != part:
                found[part].setdefault(home[name], set()).add(name)
    return found


def forbidden(found: Mapping[str, Mapping[str, Iterable[str]]]) -> list[str]:
    return [
        f"{part} may not know {needed} ({', '.join(sorted(names))})"
        for part, all_needed in found.items()
        for needed, names in all_needed.items()
        if _folder(needed) not in FOLDERS[_folder(part)] | {_folder(part)}
    ]


def circles(found: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Each two parts or more that know each other, directly or by others."""
    reached: dict[str, set[str]] = {part: set(needed) for part, needed in found.items()}
    for middle, further in reached.items():
        for known in reached.values():
            if middle in known:
                known |= further
    return [
        circle
        for part in sorted(reached)
        if part in reached[part]
        and (circle := sorted(other for other in reached[part] if part in reached[other]))[0] == part
    ]


def circles_outside_the_kernel(sources: Mapping[str, str]) -> list[list[str]]:
    return circles(
        {
            part: [needed for needed in all_needed if _folder(needed) != CIRCLE]
            for part, all_needed in edges(sources).items()
            if _folder(part) != CIRCLE
        }
    )


def _folder(part: str) -> str:
    return part.partition("/")[0]


def strangers(sources: Mapping[str, str]) -> list[str]:
    """Assignments of a field that another file owns."""
    found = []
    for part, code in sources.items():
        for who, field, value in ASSIGNMENT.findall(code):
            owner = next((owner for owner, fields in OWNED.items() if field in fields), None)
            of_driver = owner == "kernel/driver.pxi"
            if owner is None or owner == part or who == "self" or of_driver != who.endswith("driver"):
                continue
            if part == "kernel/driver.pxi" and (any(mark in value for mark in MARKS) or value.strip() == "ENDED"):
                continue
            found.append(f"{part} assigns {who}.{field}, which is {owner}'s")
    return found


def test_every_part_stands_in_a_folder_of_the_table() -> None:
    assert {_folder(part) for part in parts()} == set(FOLDERS)
    of_task = ["inline_runner.pxi"]
    assert [path.name for path in CORE.glob("*.pxi")] == of_task


def test_the_table_of_folders_runs_downwards() -> None:
    seen: set[str] = set()
    for folder, allowed in FOLDERS.items():
        assert allowed <= seen, f"{folder} would know {sorted(allowed - seen)} from below"
        seen.add(folder)


def test_parts_know_each_other_downwards_only() -> None:
    assert forbidden(edges(parts())) == []


def test_the_reader_sees_an_edge_that_is_put_in_by_hand() -> None:
    sources = parts()
    sources["kernel/driver.pxi"] += "\ncdef WSGIExchange first = None\n"
    sources["shared/pieces.pxi"] += "\ncdef int look(Connection connection):\n    return backlog(connection)\n"
    assert forbidden(edges(sources)) == [
        "kernel/driver.pxi may not know wsgi/exchange.pxi (WSGIExchange)",
        "shared/pieces.pxi may not know kernel/connection.pxi (Connection, backlog)",
    ]


def test_no_parts_outside_the_kernel_know_each_other() -> None:
    assert circles_outside_the_kernel(parts()) == []


def test_the_reader_sees_a_circle_that_is_put_in_by_hand() -> None:
    sources = parts()
    sources["wsgi/threads.pxi"] += "\ncdef raises run_first(WSGIExchange exchange) except -1:\n    exchange.perform()\n"
    assert circles_outside_the_kernel(sources) == [["wsgi/application.pxi", "wsgi/exchange.pxi", "wsgi/threads.pxi"]]


def test_driver_and_connection_own_their_flags() -> None:
    assert strangers(parts()) == []


def test_the_reader_sees_an_assignment_that_is_put_in_by_hand() -> None:
    sources = parts()
    sources["wsgi/threads.pxi"] += (
        "\n        driver.polling = True\n        exchange.connection.flags |= CONN_IN_TURN\n"
    )
    assert strangers(sources) == [
        "wsgi/threads.pxi assigns driver.polling, which is kernel/driver.pxi's",
        "wsgi/threads.pxi assigns connection.flags, which is kernel/connection.pxi's",
    ]


def test_no_part_asks_which_protocol_a_connection_speaks() -> None:
    asks = re.compile(r"session is (?:not )?\w|isinstance\([^)]*Session|type\([^)]*session\)")
    assert {part: asks.findall(code) for part, code in parts().items() if asks.search(code)} == {}
