"""What a table in C says is nowhere repeated by hand: what is derived from the tables agrees with them."""

import logging
import re
from pathlib import Path

import pytest

import core_tables as tool
from fastserve import _core, core_tables
from kit.driving import hello_wsgi

pytestmark = pytest.mark.one_python

CORE = Path(__file__).resolve().parent.parent / "ext" / "core"
MEMBER = re.compile(r"^ {8}(\w+) (\w+)$", re.MULTILINE)


def test_the_module_is_what_the_tool_makes_of_the_tables() -> None:
    assert tool.TABLES.read_text(encoding="ascii") == tool.render(*tool.read()), "run tools/core_tables.py"


def test_the_module_says_what_the_compiled_core_does() -> None:
    assert list(core_tables.LIMITS.items()) == list(_core.LIMITS.items())
    assert core_tables.STATUS_FIELDS == _core.STATUS_FIELDS
    counts = _core.Driver(_core.WSGI(hello_wsgi), logger=logging.getLogger()).counters()
    assert {f"error_{name.replace('-', '_')}" for name in core_tables.ERRORS} <= counts.keys()


def declared(pxd: str, struct: str) -> dict[str, str]:
    """The members that a .pxd declares of a struct, by name, with their types."""
    text = (CORE / pxd).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"    ctypedef struct {struct}:")
    assert found, f"{pxd} declares no {struct}"
    return {name: kind for kind, name in MEMBER.findall(rest.partition("\n\n")[0])}


def read_by_the_core(name: str) -> bool:
    parts = [path.read_text(encoding="utf-8") for path in CORE.glob("**/*.p[xy][ix]")]
    return any(re.search(rf"\.{name}\b", text) for text in parts)


@pytest.mark.parametrize(("pxd", "struct"), [("proto.pxd", "fs_limits"), ("_core.pxd", "fs_status")])
def test_cython_declares_only_the_members_that_it_uses(pxd: str, struct: str) -> None:
    members = declared(pxd, struct)
    assert members
    assert [name for name in members if not read_by_the_core(name)] == []


def test_cython_gives_limits_the_types_of_the_table() -> None:
    table = (CORE.parent / "proto" / "limits.h").read_text(encoding="utf-8")
    types = {name: kind for kind, name in re.findall(r"^    X\((\w+), (\w+), ", table, re.MULTILINE)}
    assert types.keys() == _core.LIMITS.keys()
    members = declared("proto.pxd", "fs_limits")
    assert members == {name: types[name] for name in members}
