#!/usr/bin/env python3
"""Fetches llhttp's C source into `build/llhttp`, for the build and for the C tests.

llhttp is not committed to this repository. It is taken from the source distribution of httptools, which is pinned by
version and SHA-256 and comes through pip, so that the user's own index configuration is honoured.

Run as a script, it fills the folder if need be and prints its path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "llhttp"

REQUIREMENT = "httptools==0.9.0"
SHA256 = "d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6"
INSIDE = PurePosixPath("vendor/llhttp")

# A whole folder is put in place by one rename, and this file names the archive that it came from.
STAMP = "SHA256"

ADVICE = f"""\
llhttp's source could not be fetched. It comes from the source distribution of {REQUIREMENT}, by
    {Path(sys.executable).name} -m pip download --no-deps --no-binary httptools {REQUIREMENT}
Without a network, either
  - download httptools-0.9.0.tar.gz elsewhere and set FASTSERVE_LLHTTP_SDIST=/path/to/httptools-0.9.0.tar.gz,
  - build from fastserve's own source distribution, which carries llhttp, or
  - install llhttp (with its pkg-config file) and set FASTSERVE_SYSTEM_LLHTTP=1."""


class FetchError(Exception):
    """llhttp's source could not be had; the message says what to do."""


def filled() -> bool:
    """Whether `build/llhttp` holds the pinned source."""
    stamp = FOLDER / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii").strip() == SHA256


def fetch() -> Path:
    """Fills `build/llhttp` unless it is filled.

    Returns: the folder, with `include/`, `src/` and the licence files.
    Raises FetchError when the archive cannot be downloaded or is not the pinned one.
    """
    if not filled():
        with tempfile.TemporaryDirectory(prefix="fastserve-llhttp-") as folder:
            archive = _given() or _download(Path(folder))
            _verify(archive)
            _unpack(archive)
    return FOLDER


def licences() -> list[str]:
    """The licence files of the fetched source, relative to the project's root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in FOLDER.glob("LICENSE*"))


def _given() -> Path | None:
    path = os.environ.get("FASTSERVE_LLHTTP_SDIST")
    if not path:
        return None
    if not Path(path).is_file():
        raise FetchError(f"FASTSERVE_LLHTTP_SDIST names no file: {path}")
    return Path(path)


def _download(folder: Path) -> Path:
    # For a source distribution pip prepares metadata, for which it builds an isolated environment. Where that cannot be
    # had (an index that lacks httptools' build requirements), the current environment's setuptools serves as well.
    errors = []
    for isolation in ([], ["--no-build-isolation"]):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "httptools"]
        command += [*isolation, "--dest", str(folder), REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = sorted(folder.glob("httptools-*.tar.gz"))
        if done.returncode == 0 and archives:
            return archives[0]
        errors.append(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
    raise FetchError("\n\n".join([*errors, ADVICE]))


def _verify(archive: Path) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise FetchError(f"{archive}: SHA-256 is {found}, expected {SHA256}; this is not {REQUIREMENT}'s source.")


def _wanted(name: str) -> PurePosixPath | None:
    """Where a member of the archive goes below `build/llhttp`; None: it is not needed."""
    below = PurePosixPath(*PurePosixPath(name).parts[1:])
    if not below.is_relative_to(INSIDE):
        return None
    path = below.relative_to(INSIDE)
    if path.parts and (path.parts[0] in ("include", "src") or path.name.startswith("LICENSE")):
        return path
    return None


def _unpack(archive: Path) -> None:
    FOLDER.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llhttp-", dir=FOLDER.parent) as scratch:
        tree = Path(scratch) / "llhttp"
        with tarfile.open(archive) as tar:
            for member in tar:
                path = _wanted(member.name)
                content = tar.extractfile(member) if path and member.isfile() else None
                if path and content:
                    target = tree / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
        (tree / STAMP).write_text(SHA256 + "\n", encoding="ascii")
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        tree.rename(FOLDER)


if __name__ == "__main__":
    try:
        print(fetch())
    except FetchError as error:
        sys.exit(str(error))
