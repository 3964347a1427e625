"""Imports run downwards: every #include, cimport and import is read, and an edge that is not in its table fails.

The tables are the architecture. A new edge is a decision, made here.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).resolve().parent.parent
EXT = ROOT / "ext"
PACKAGE = ROOT / "src" / "fastserve"

# What each room of ext/ may know. The C rooms know neither Python nor each other; `base` is what both need.
ROOMS: Mapping[str, set[str]] = {
    "base": {"libc"},
    "net": {"base", "libc"},
    "proto": {"base", "libc", "llhttp", "nghttp2", "zlib", "compiler"},
    "core": {"base", "libc", "net", "proto", "llhttp", "python"},  # llhttp: its version number, nothing else
}

# The protocols of ext/proto, by the prefixes of their files. None knows another.
PROTOCOLS = ("h1", "h2", "ws")

# What each package of src/fastserve, and each module at its top, may import of it, each line only from lines above it.
# Only workers have the core.
PACKAGES: Mapping[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "_core": set(),
    "core_tables": set(),
    "config": {"core_tables", "errors"},
    "app": {"config", "errors"},
    "host": {"config", "errors"},
    "observe": {"config", "core_tables", "errors", "host", "version"},
    "tls": {"app", "config", "errors", "host"},
    "sockets": {"config", "errors", "tls"},
    "ipc": {"app", "config", "host", "observe", "sockets"},
    "worker": {"_core", "app", "config", "errors", "host", "ipc", "observe", "sockets", "version"},
    "supervisor": {"app", "config", "errors", "host", "ipc", "observe", "sockets", "worker"},
    "standard_streams": {"app", "observe"},
    "process": {
        "app",
        "config",
        "errors",
        "host",
        "ipc",
        "observe",
        "sockets",
        "standard_streams",
        "supervisor",
        "worker",
    },
    "check": {"app", "config", "errors", "host", "observe", "sockets", "worker"},
    "embed": {"app", "config", "errors", "host", "ipc", "observe", "sockets", "worker"},
    "__init__": {"config", "embed", "errors", "observe", "process", "version"},
    "cli": {"__init__", "check", "config", "errors", "host", "ipc", "process", "standard_streams"},
    "__main__": {"cli"},
}

# What is imported where it is needed and not before, by whom: who prints the help needs no event loop, and a
# supervisor pays no memory for what its workers alone need.
LATE: Mapping[str, set[str]] = {
    "sockets": {"tls"},
    "supervisor": {"worker"},
    "process": {"supervisor", "worker"},
    "cli": {"check", "process"},
    "__init__": {"config", "embed", "process", "version"},
}

# What comes from PyPI, by the one module that knows it.
THIRD_PARTY: Mapping[str, set[str]] = {
    "cli": {"click"},
    "host.environment_file": {"dotenv"},
    "tls.certificate": {"cryptography"},
    "observe.logs": {"yaml"},
    "observe.metrics": {"prometheus_client"},
    "host.title": {"setproctitle"},
    "host.source_watch": {"watchfiles"},
    "worker.asgi": {"uvloop"},
}

# What each folder of bench/ may import of it, each line only from lines above it. Every folder stands on the
# modules `plan` and `process`; the others at its top are what is run by name.
BENCH = ROOT / "bench"
BENCH_FOLDERS: Mapping[str, set[str]] = {
    "apps": set(),
    "process": set(),
    "plan": set(),
    "loads": {"plan", "process"},
    "measure": {"loads", "plan", "process"},
    "field": {"loads", "measure", "plan", "process"},
    "profile": {"apps", "loads", "measure", "plan", "process"},
    "cli": {"apps", "field", "loads", "measure", "plan", "process"},
    "micro": {"profile"},
    "perf": {"profile"},
    "__main__": {"cli"},
}

LIBC = re.compile(
    r"(assert|ctype|errno|fcntl|inttypes|limits|malloc|netdb|poll|pthread|signal|stdarg|stdatomic|stdbool|stddef|stdint|"
    r"stdio|stdlib|string|strings|time|unistd|(sys|netinet|arpa|linux)/\w+)\.h"
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
EXTERN = re.compile(r"""^\s*cdef\s+extern\s+from\s+["'](<?)([^"'>]+)>?["']""", re.MULTILINE)
CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+cimport\b|cimport\s+([\w.]+))", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\b|import\s+([\w.]+))", re.MULTILINE)
PXI = re.compile(r"""^\s*include\s+["']([^"']+)["']""", re.MULTILINE)


def header_room(quoted: bool, name: str, folder: Path) -> str:
    """The room that a header belongs to, seen from the room in `folder`; its own name where nobody knows it."""
    room = name.partition("/")[0]
    if quoted and ".." not in name and (folder / name).is_file():
        return folder.name
    if quoted and room in ROOMS and (EXT / name).is_file():
        return room
    if name in ("llhttp.h", "nghttp2/nghttp2.h", "zlib.h"):
        return name.rpartition("/")[2].removesuffix(".h")
    if name in ("Python.h", "structmember.h"):
        return "python"
    if name in ("emmintrin.h", "immintrin.h"):
        return "compiler"
    return "libc" if LIBC.fullmatch(name) else name


def module_room(name: str) -> str:
    """The room of what a Cython file cimports or imports."""
    top = name.partition(".")[0]
    if top in ROOMS or top == "libc":
        return top
    if top in ("cpython", "cython") or top in sys.stdlib_module_names:
        return "python"
    return "core" if name in ("fastserve._core", "fastserve._task") else name


def needs(text: str, folder: Path, suffix: str) -> set[str]:
    """The rooms that a file of ext/ needs."""
    headers = [(quote == '"', name) for quote, name in INCLUDE.findall(text)]
    if suffix in (".c", ".h"):
        return {header_room(quoted, name, folder) for quoted, name in headers}
    headers += [(not bracket, name) for bracket, name in EXTERN.findall(text)]
    headers += [(True, name) for name in PXI.findall(text)]
    modules = [first or second for first, second in CIMPORT.findall(text) + IMPORT.findall(text)]
    return {header_room(quoted, name, folder) for quoted, name in headers} | {module_room(name) for name in modules}


def ext_files() -> list[Path]:
    """The sources of ext/; C that Cython made of a .pyx is not one."""
    found = [path for path in EXT.glob("**/*") if path.suffix in (".c", ".h", ".pyx", ".pxd", ".pxi")]
    return sorted(path for path in found if not (path.suffix == ".c" and path.with_suffix(".pyx").exists()))


def imports(source: str, *, loaded_only: bool = False) -> Iterator[str]:
    """The dotted names that a Python file imports, wherever in it; `from a import b` gives a.b.

    loaded_only: leaves out what stands in functions, or is for the checker of types.
    """
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif loaded_only and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ):
            continue
        todo.extend(ast.iter_child_nodes(node))


def own_package(name: str) -> str | None:
    """The package of src/fastserve, or the module at its top, that an imported name means; None: it is not of it."""
    top, *rest = name.split(".")
    if top != "fastserve":
        return None
    return rest[0] if rest and rest[0] in PACKAGES else "__init__"


def python_files() -> list[Path]:
    return sorted(PACKAGE.glob("**/*.py"))


def package_of(path: Path) -> str:
    """The row of a file of src/fastserve in the table."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """The name of a module below `fastserve`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def assert_no_circle(graph: Mapping[str, Iterable[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("text", "suffix", "room", "expected"),
    [
        ('#include "h1.h"\n#  include <limits.h>\n', ".c", "proto", {"proto", "libc"}),
        ("#include <Python.h>", ".h", "net", {"python"}),
        ('#include "proto/h1.h"', ".c", "net", {"proto"}),
        ('#include "../proto/h1.h"', ".c", "net", {"../proto/h1.h"}),
        ("#include <nghttp2/nghttp2.h>", ".c", "proto", {"nghttp2"}),
        ('cdef extern from "<poll.h>":\n    """\n    #include <Python.h>\n    """', ".pyx", "core", {"libc", "python"}),
        ('cdef extern from "net/wheel.h" nogil:\n    pass', ".pxd", "core", {"net"}),
        (
            "from libc.string cimport memcpy\nfrom fastserve._task cimport Task\ncimport cython",
            ".pyx",
            "core",
            {"libc", "core", "python"},
        ),
        ("import asyncio\n\ndef f():\n    import uvloop", ".pyx", "core", {"python", "uvloop"}),
        ("from fastserve.config import Config", ".pyx", "core", {"fastserve.config"}),
    ],
)
def test_the_reader_sees_every_kind_of_edge(text: str, suffix: str, room: str, expected: set[str]) -> None:
    assert needs(text, EXT / room, suffix) == expected


@pytest.mark.parametrize("path", ext_files(), ids=lambda path: path.relative_to(EXT).as_posix())
def test_a_file_of_ext_needs_only_what_its_room_may_know(path: Path) -> None:
    room = path.relative_to(EXT).parts[0]
    unknown = needs(path.read_text(encoding="utf-8"), EXT / room, path.suffix) - ROOMS[room] - {room}
    assert not unknown, f"ext/{room} may not know {sorted(unknown)}"


def protocol(file: str) -> str | None:
    """The protocol that a file of ext/proto belongs to, by its name; None: it serves all of them."""
    first = Path(file).stem.partition("_")[0]
    return first if first in PROTOCOLS else None


def protocols_known(name: str, text: str) -> set[str]:
    """The protocols whose headers a file of ext/proto includes, beside its own."""
    included = {protocol(header) for quote, header in INCLUDE.findall(text) if quote == '"'}
    return {found for found in included if found} - {protocol(name)}


def test_the_reader_tells_a_protocol_by_its_name() -> None:
    assert [protocol(name) for name in ("h1.c", "h1_parse.h", "ws_utf8.c", "stream.h", "h2x.c")] == [
        *("h1", "h1", "ws", None, None),
    ]
    text = '#include "h1_state.h"\n#include "proto/h2.h"\n#include "head.h"\n#include <ws.h>\n'
    assert protocols_known("h1_write.c", text) == {"h2"}
    assert protocols_known("refusal.c", text) == {"h1", "h2"}


@pytest.mark.parametrize("path", sorted((EXT / "proto").glob("*.[ch]")), ids=lambda path: path.name)
def test_a_protocol_knows_no_other_and_what_they_share_knows_none(path: Path) -> None:
    assert not protocols_known(path.name, path.read_text(encoding="utf-8"))


def test_headers_of_the_rooms_include_each_other_in_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in ext_files():
        if path.suffix == ".h":
            quoted = [name for quote, name in INCLUDE.findall(path.read_text(encoding="utf-8")) if quote == '"']
            near = [path.parent / name for name in quoted]
            graph[str(path)] = {str(header) for header in near if header.is_file()}
    assert graph
    assert_no_circle(graph)


def test_the_table_of_packages_runs_downwards() -> None:
    seen: set[str] = set()
    for package, allowed in PACKAGES.items():
        assert allowed <= seen, f"{package} would import {sorted(allowed - seen)} from below"
        seen.add(package)


@pytest.mark.parametrize("path", python_files(), ids=dotted)
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    package = package_of(path)
    assert package in PACKAGES, f"{package} is not in the table of packages"
    for name in imports(path.read_text(encoding="utf-8")):
        own = own_package(name)
        if own is not None:
            assert own in PACKAGES[package] | {package}, f"{package} may not import {own}"
        elif (top := name.partition(".")[0]) not in sys.stdlib_module_names:
            assert top in THIRD_PARTY.get(dotted(path), set()), f"{dotted(path)} may not import {top}"


@pytest.mark.parametrize("path", [path for path in python_files() if package_of(path) in LATE], ids=dotted)
def test_what_is_imported_late_is_imported_by_no_module_as_it_is_loaded(path: Path) -> None:
    package = package_of(path)
    loaded = {own_package(name) for name in imports(path.read_text(encoding="utf-8"), loaded_only=True)}
    assert not loaded & LATE[package], f"{package} imports {sorted(LATE[package])} within functions only"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=dotted)
def test_a_package_loads_nothing_by_itself(path: Path) -> None:
    assert path.read_bytes() == b""


def test_the_tables_name_no_package_or_module_that_is_gone() -> None:
    assert set(PACKAGES) - {"_core"} == {package_of(path) for path in python_files()}
    assert set(THIRD_PARTY) <= {dotted(path) for path in python_files()}
    used = {
        (package_of(path), own_package(name))
        for path in python_files()
        for name in imports(path.read_text(encoding="utf-8"))
    }
    for table in (PACKAGES, LATE):
        unused = {(package, other) for package, others in table.items() for other in others} - used
        assert not unused, f"nobody imports so any more: {sorted(unused)}"


def test_modules_import_each_other_in_no_circle() -> None:
    sources = {dotted(path): path.read_text(encoding="utf-8") for path in python_files()}
    known = {*sources, "_core"}
    graph = {module: {module_named(name, known) for name in imports(source)} for module, source in sources.items()}
    assert graph
    assert_no_circle({module: others - {""} for module, others in graph.items()})


def module_named(name: str, known: set[str]) -> str:
    """The module of src/fastserve that an imported name means, or is in; empty: none."""
    top, _, rest = name.partition(".")
    if top != "fastserve":
        return ""
    while rest and rest not in known:
        rest = rest.rpartition(".")[0]
    return rest or "__init__"


def test_the_table_of_benchs_folders_runs_downwards() -> None:
    seen: set[str] = set()
    for folder, allowed in BENCH_FOLDERS.items():
        assert allowed - {folder} <= seen, f"{folder} would import {sorted(allowed - seen)} from below"
        seen.add(folder)


def bench_files() -> list[Path]:
    return sorted(path for path in BENCH.glob("**/*.py") if ".venv-peers" not in path.parts)


@pytest.mark.parametrize("path", bench_files(), ids=lambda path: path.relative_to(BENCH).as_posix())
def test_a_file_of_bench_imports_only_what_its_folder_may(path: Path) -> None:
    part = path.relative_to(BENCH).parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imports(path.read_text(encoding="utf-8")) if name.startswith("bench.")}
    assert used <= BENCH_FOLDERS.get(part, set()) | {part}, f"bench/{part} may not import {sorted(used)}"


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file that git tracks. The source distribution is not a repository and leaves these tests out."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_file_names_a_path_of_one_machine(tracked: list[Path]) -> None:
    places = [r"/root/", r"/home/\w+/", r"/Users/\w+/"]
    if len(ROOT.parts) > 2:  # a checkout in /src, say, would match too much
        places.append(re.escape(f"{ROOT}/"))
    machine = re.compile(rf"(?<![\w.:/)}}])(?:{'|'.join(places)})")
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in tracked for match in machine.finditer(text_of(path))]
    assert [line for line in found if not line.startswith("tests/test_architecture.py")] == []


def test_no_third_party_source_is_tracked(tracked: list[Path]) -> None:
    assert tracked
    names = re.compile(r"(^|/)(vendor|third_party|(llhttp|nghttp2|http_parser)[^/]*\.[ch]$)")
    notice = re.compile(r"copyright\s+(\(c\)|©|\d{4})", re.IGNORECASE)
    ours = {"LICENSE", "tests/test_architecture.py"}
    for path in tracked:
        name = path.relative_to(ROOT).as_posix()
        assert not names.search(name), name
        assert name in ours or not notice.search(text_of(path)), f"{name} carries somebody's copyright notice"
