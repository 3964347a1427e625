"""Builds the two compiled modules; everything declarative is in pyproject.toml.

Switches, all by environment:

- FASTSERVE_DEBUG=1: assertions, and the ledger of live objects (macro FS_DEBUG).
- FASTSERVE_SANITIZE=1: AddressSanitizer and UndefinedBehaviorSanitizer; =thread: ThreadSanitizer.
- FASTSERVE_WERROR=1: warnings in the C rooms are errors. Cython's C is not ours to mend and stays out of it.
- FASTSERVE_SYSTEM_LLHTTP=1: the system's llhttp, found by pkg-config, in place of the fetched one.
- FASTSERVE_NO_NGHTTP2=1, FASTSERVE_NO_ZLIB=1: without a library that can be done without, though it is there.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import egg_info
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError, ExecError

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "tools"))

import llhttp_source  # noqa: E402  (a sibling of this file, which no build front end puts on the path)

BUILD = Path("build")
SWITCHES = ("DEBUG", "SANITIZE", "WERROR", "SYSTEM_LLHTTP", "NO_NGHTTP2", "NO_ZLIB")
ON = [name for name in SWITCHES if os.environ.get(f"FASTSERVE_{name}", "0") not in ("", "0")]
DEBUG, SANITIZE, WERROR, SYSTEM_LLHTTP, *_ = (name in ON for name in SWITCHES)

ROOMS = ("ext/base", "ext/net", "ext/proto")

# As -iquote, not -I: <limits.h> must stay libc's. The rooms themselves are not on the path, `ext` is: "proto/limits.h".
QUOTED = ["-iquote", "ext", "-iquote", "ext/core"]

# Line tables are for profiles. Calls into the interpreter go through the GOT without a detour over the PLT. Never
# -march=native: the wheel runs on any machine of its kind.
COMPILE = [*QUOTED, "-std=gnu11", "-fvisibility=hidden", "-fno-plt", "-g1"]
# Link-time optimization inlines across the rooms, the parser and the generated C. clang's needs a linker plug-in that
# is often missing, so it goes without.
LTO = [] if DEBUG or SANITIZE or "clang" in os.environ.get("CC", "") else ["-flto=auto"]
COMPILE += ["-O1", "-UNDEBUG", "-DFS_DEBUG=1"] if DEBUG else ["-O1"] if SANITIZE else ["-O3", *LTO]
SANITIZERS = []
RACES = os.environ.get("FASTSERVE_SANITIZE") == "thread"
if RACES:
    # It does not know fences. The one in status.h orders what other processes read, which it does not see either.
    SANITIZERS = ["-fsanitize=thread", "-fno-omit-frame-pointer", "-Wno-tsan"]
elif SANITIZE:
    SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"]
COMPILE += SANITIZERS
LINK = ["-Wl,-z,now", "-Wl,-z,relro", *(["-O3", *LTO] if LTO else []), *SANITIZERS]

# Cython's own C trips over these through no fault of the .pyx.
QUIET = ["-Wno-unused-function", "-Wno-unused-but-set-variable", "-Wno-sign-compare"]
STRICT = ["-Wall", "-Wextra", *(["-Werror"] if WERROR else [])]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": False,
    "embedsignature": False,
    "freethreading_compatible": False,
}


def variant() -> str:
    """Names the folder of object files that the current interpreter and switches may share."""
    return "-".join([str(sysconfig.get_config_var("SOABI")), *ON, *(["THREAD"] if RACES else [])])


def sources(*patterns: str) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))


def pkg_config(option: str, library: str) -> list[str]:
    try:
        done = subprocess.run(["pkg-config", option, library], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExecError(f"FASTSERVE_SYSTEM_LLHTTP=1: pkg-config finds no {library}: {error}") from error
    return shlex.split(done.stdout)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One build at a time in a checkout: they share their object files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_llhttp() -> None:
    if SYSTEM_LLHTTP:
        return
    try:
        llhttp_source.fetch()
    except llhttp_source.FetchError as error:
        raise ExecError(str(error)) from error


class FetchLlhttp(Command):
    """Fills build/llhttp from the pinned source distribution."""

    description = "fetch llhttp's C source into build/llhttp"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None: ...

    def finalize_options(self) -> None: ...

    def run(self) -> None:
        fetch_llhttp()


class EggInfo(egg_info):
    """Metadata names the licence of what is compiled in, so the source has to be there first."""

    def run(self) -> None:
        fetch_llhttp()
        metadata: Any = self.distribution.metadata
        known = metadata.license_files or []
        extra = [] if SYSTEM_LLHTTP else llhttp_source.licences()
        metadata.license_files = [*known, *(path for path in extra if path not in known)]
        super().run()


class Sdist(sdist):
    """Carries llhttp where a checkout's build puts it, so that a build from the sdist finds it in place."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        if SYSTEM_LLHTTP:
            raise ExecError("a source distribution carries llhttp: unset FASTSERVE_SYSTEM_LLHTTP")
        self.copy_tree(str(llhttp_source.FOLDER), str(Path(base_dir, llhttp_source.FOLDER.relative_to(ROOT))))


class Library(NamedTuple):
    """A library that can be done without: `X_absent.c` is compiled then, in place of X.c and X_*.c."""

    switch: str
    header: str
    package: str
    library: str
    source: str
    consequence: str


OPTIONAL = (
    Library("NO_ZLIB", "zlib.h", "zlib1g-dev", "z", "ws_deflate", "WebSocket messages will not be compressed"),
    Library("NO_NGHTTP2", "nghttp2/nghttp2.h", "libnghttp2-dev", "nghttp2", "h2", "HTTP/2 is not spoken"),
)


def room_sources(absent: Collection[str]) -> list[str]:
    """The C rooms, with what stands in for the machines whose library is absent."""

    def wanted(name: str) -> bool:
        machine, stands_in, _ = name.partition("_absent")
        if stands_in:
            return machine in absent
        return not any(name == each or name.startswith(f"{each}_") for each in absent)

    return [path for path in sources(*(f"{room}/*.c" for room in ROOMS)) if wanted(Path(path).stem)]


class BuildExt(build_ext):
    """Compiles what is stale, file by file, each kind of source with its own flags.

    setuptools compiles all sources of an extension anew when one has changed, and all with the same flags.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        # An editable install would build in a folder that is thrown away, and everything anew each time.
        self.build_temp = str(BUILD / "obj" / variant())

    def run(self) -> None:
        with exclusive(BUILD / ".lock"):
            fetch_llhttp()
            super().run()

    def build_extension(self, ext: Extension) -> None:
        objects = []
        if ext.name == "fastserve._core":  # the rooms first: their mistakes show before the long compilation
            there = [each for each in OPTIONAL if self.has(each)]
            ext.libraries += [each.library for each in there]
            absent = [each.source for each in OPTIONAL if each not in there]
            objects += self.compile_stale(ext, room_sources(absent), STRICT)
            objects += self.compile_stale(ext, [] if SYSTEM_LLHTTP else sources("build/llhttp/src/*.c"), [])
        objects += self.compile_stale(ext, [self.translate(ext)], QUIET)
        ext.sources, ext.depends, ext.extra_objects = [], objects, objects
        self.force = self.compiler.force = True  # linking is quick, and the library in place may be another variant's
        super().build_extension(ext)

    def has(self, wanted: Library) -> bool:
        """Whether a library that can be done without is there."""
        if wanted.switch in ON:
            return False
        probe = Path(self.build_temp, f"probe_{wanted.source}.c")
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text(f"#include <{wanted.header}>\n")
        try:
            self.compiler.compile([str(probe)])
        except CompileError:
            self.warn(f"{wanted.header} is not there ({wanted.package}): {wanted.consequence}")
            return False
        return True

    def translate(self, ext: Extension) -> str:
        from Cython.Build import cythonize

        [translated] = cythonize(  # type: ignore[no-untyped-call]
            [Extension(ext.name, ext.sources)],
            build_dir=str(BUILD / "cython"),
            include_path=["ext/core", self.cimport_path()],
            compiler_directives=DIRECTIVES,
        )
        [path] = translated.sources
        return str(path)

    def cimport_path(self) -> str:
        """A folder in which ext/core goes by the name `fastserve`, for `from fastserve._task cimport Task`."""
        link = BUILD / "cimport" / "fastserve"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path("../../ext/core"), target_is_directory=True)
        return str(link.parent)

    def compile_stale(self, ext: Extension, paths: list[str], flags: list[str]) -> list[str]:
        depends = [__file__, *sources("ext/**/*.h", "build/llhttp/include/*.h")]
        newest = max(Path(path).stat().st_mtime for path in depends)
        objects = self.compiler.object_filenames(paths, output_dir=self.build_temp)
        arguments = [*ext.extra_compile_args, *flags]
        for path, made in zip(paths, map(Path, objects), strict=True):
            if not made.exists() or made.stat().st_mtime <= max(newest, Path(path).stat().st_mtime):
                self.compiler.compile([path], self.build_temp, include_dirs=ext.include_dirs, extra_postargs=arguments)
        return list(objects)


CORE = Extension("fastserve._core", ["ext/core/_core.pyx"], extra_compile_args=[*COMPILE], extra_link_args=[*LINK])
TASK = Extension("fastserve._task", ["ext/core/_task.pyx"], extra_compile_args=[*COMPILE], extra_link_args=[*LINK])
if SYSTEM_LLHTTP:
    CORE.extra_compile_args += pkg_config("--cflags", "libllhttp")
    CORE.extra_link_args += pkg_config("--libs", "libllhttp")
else:
    CORE.include_dirs.append("build/llhttp/include")

setup(
    ext_modules=[CORE, TASK],
    cmdclass={"build_ext": BuildExt, "egg_info": EggInfo, "sdist": Sdist, "fetch_llhttp": FetchLlhttp},
)
