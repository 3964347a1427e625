"""Autobahn's fuzzing client against the server: `python -m conformance.autobahn` runs every case that applies.

The suite is on PyPI and runs on Python 2.7 only. It gets an environment of its own (build/autobahn), made on first use;
PYTHON2 names the interpreter where `python2.7` is not on the PATH or below pyenv's root.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kit.process import Server

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "autobahn"
RELEASE = "autobahntestsuite==25.10.1"
ALL = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*")
QUICK = (
    "1.*",
    "2.*",
    "3.*",
    "4.*",
    "5.*",
    "6.*",
    "7.*",
    "9.1.*",
    "9.3.*",
    "9.7.1",
    "10.*",
    "12.1.*",
    "13.1.1",
    "13.5.1",
)
"""What takes seconds: all but most of the sizes and parameters of 9, 12 and 13."""

TIMEOUT = 1200.0

INFORMATIONAL = {
    "7.1.6": "the RFC leaves open whether a large message is still sent once the close frame has come",
    "7.13.1": "RFC 6455 section 7.4.2 leaves codes from 5000 on undefined",
    "7.13.2": "RFC 6455 section 7.4.2 leaves codes from 5000 on undefined",
}
"""Cases that Autobahn itself does not judge, with the reason."""


class UnavailableError(Exception):
    """There is no Python 2.7, or the suite cannot be installed."""


def interpreter() -> str:
    """Raises UnavailableError, which says what to do."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [
        os.environ.get("PYTHON2", ""),
        *map(str, sorted(pyenv.glob("2.7*/bin/python2.7"))),
        shutil.which("python2.7"),
    ]
    for path in filter(None, found):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    raise UnavailableError(
        "Autobahn's suite runs on Python 2.7: install one (pyenv install 2.7.18), or name it in PYTHON2"
    )


def install() -> Path:
    """The program `wstest`. Raises UnavailableError."""
    program = HOME / "bin" / "wstest"
    if not program.exists():
        command = [interpreter(), "-m", "pip", "install", "--quiet", "--user", "--disable-pip-version-check", RELEASE]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0 or not program.exists():
            raise UnavailableError(f"{RELEASE} cannot be installed: {done.stderr.strip()[-500:]}")
    return program


def run(url: str, cases: tuple[str, ...], folder: Path) -> Mapping[str, str]:
    """Runs the cases against the server at `url`, and leaves Autobahn's report in `folder`.

    Returns what is wrong, by case: nothing where all is right. Raises UnavailableError.
    """
    specification = {
        "outdir": str(folder),
        "servers": [{"agent": "fastserve", "url": url}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fuzzingclient.json").write_text(json.dumps(specification))
    command = [str(install()), "--mode", "fuzzingclient", "--spec", str(folder / "fuzzingclient.json")]
    subprocess.run(command, env=_environment(), stdout=subprocess.DEVNULL, timeout=TIMEOUT, check=True)
    results = json.loads((folder / "index.json").read_text())["fastserve"]
    return {case: fault for case, result in results.items() if (fault := _fault(case, result))}


def count(folder: Path) -> int:
    """How many cases the report in `folder` is of."""
    return len(json.loads((folder / "index.json").read_text())["fastserve"])


def _fault(case: str, result: Mapping[str, str]) -> str:
    allowed = {"OK", "INFORMATIONAL"} if case in INFORMATIONAL else {"OK"}
    said = result["behavior"], result["behaviorClose"]
    return "" if set(said) <= allowed else "{}, close {}".format(*said)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUSERBASE": str(HOME)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", default=ALL, help="such as 1.* or 12.1.3; all without any")
    parser.add_argument("--report", type=Path, default=HOME / "report", help="folder for Autobahn's own report")
    options = parser.parse_args()
    try:
        with Server("scripted:app", ws_deflate_min_size=0, access_log=False) as server:
            faults = run(f"ws://127.0.0.1:{server.port}/echo", tuple(options.cases), options.report)
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 2
    for case, fault in faults.items():
        print(f"{case}: {fault}")
    print(f"{count(options.report)} cases, {len(faults)} of them not as they should be; {options.report}/index.html")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
