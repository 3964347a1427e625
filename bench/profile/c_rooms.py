"""What single things cost in the C rooms: bench/profile/rooms/*.c, built with the very flags of the extension."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.plan import HERE
from bench.process import cores, on_core
from bench.profile import callgrind

ROOT = HERE.parent
BUILD = HERE / "build"
PROGRAM = BUILD / "rooms"
SEATS = 32  # all that they hold stays in the first cache
BATCHES = 4
ASK = (
    "import json, os, shlex, sysconfig, setuptools\n"
    "from distutils.core import run_setup\n"
    "core = run_setup('setup.py', stop_after='init').ext_modules[0]\n"
    "first = os.environ.get('CC') or sysconfig.get_config_var('CC')\n"
    "python = f\"{first} {sysconfig.get_config_var('CFLAGS')} {sysconfig.get_config_var('CCSHARED')}\"\n"
    "include = [f'-I{folder}' for folder in core.include_dirs]\n"
    "print(json.dumps([[*shlex.split(python), *core.extra_compile_args, *include], core.extra_link_args]))"
)


class BuildError(Exception):
    """The flags could not be asked for, or the program not be compiled."""


@dataclass(frozen=True)
class Cost:
    """Of one thing, done once. None: it cannot be had by itself, or not here."""

    name: str
    nanoseconds: float | None
    instructions: float | None


def build_rooms() -> Path:
    """The program, compiled when a source or a flag has changed. Raises BuildError."""
    compile_flags, link_flags = json.loads(_run([sys.executable, "-c", ASK]).splitlines()[-1])
    folders = ["bench/profile/rooms", "ext/base", "ext/net", "ext/proto"]
    if "-Ibuild/llhttp/include" in compile_flags:  # not the system's
        folders.append("build/llhttp/src")
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*.c"))]
    sources = [path for path in found if not path.stem.endswith("_absent")]  # what a build without a library has
    command = [
        *compile_flags,
        f"-DSEATS={SEATS}",
        *(str(path.relative_to(ROOT)) for path in sources),
        *link_flags,
        "-lz",
        "-o",
        str(PROGRAM),
    ]
    stamp = BUILD / "rooms.command"
    headers = [path for folder in ("ext", "bench/profile/rooms") for path in (ROOT / folder).rglob("*.h")]
    if not _up_to_date([*sources, *headers]) or not stamp.exists() or stamp.read_text() != json.dumps(command):
        BUILD.mkdir(exist_ok=True)
        _run(command)
        stamp.write_text(json.dumps(command))
    return PROGRAM


def times(program: Path, milliseconds: int) -> dict[str, float]:
    """Nanoseconds by case; each is measured for `milliseconds`."""
    with on_core(cores()[0]):
        done = subprocess.run([str(program), str(milliseconds)], capture_output=True, text=True, check=True)
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return {name: float(nanoseconds) for nanoseconds, name in lines}


def instructions(program: Path, name: str) -> float:
    """Of one case, without the loop around it. Raises CallgrindError."""
    own, case = (callgrind.count([str(program), which, str(BATCHES)]).calls("measured") for which in ("nothing", name))
    if (own.count, case.count) != (BATCHES, BATCHES):
        raise callgrind.CallgrindError(f"{name} was measured {case.count} times and not {BATCHES}")
    return (case.instructions - own.instructions) / (BATCHES * SEATS)


def costs(milliseconds: int) -> Iterable[Cost]:
    """Each as soon as it is known."""
    program = build_rooms()
    for name, nanoseconds in times(program, milliseconds).items():
        yield Cost(name, nanoseconds, instructions(program, name) if callgrind.available() else None)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{error}: a C compiler is needed") from error
    if done.returncode != 0:
        raise BuildError(f"{command[0]} ended with status {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def _up_to_date(sources: list[Path]) -> bool:
    return PROGRAM.exists() and PROGRAM.stat().st_mtime >= max(path.stat().st_mtime for path in sources)
