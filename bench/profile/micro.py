"""`python -m bench.micro`: nanoseconds and instructions of single things, in the C rooms and in the core.

Nanoseconds are the least of many averages; they still depend on the machine and on what else it does. Instructions do
not: the same build gives the same figures again, within a thousandth where Python has a part in them.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from pathlib import Path

from bench.measure.cputime import VanishedError
from bench.plan import HERE
from bench.profile import c_rooms, callgrind, core_cases
from bench.profile.c_rooms import Cost

HEAD = "{:<46}{:>12}{:>14}"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 when something could not be built or did not run."""
    options = _parser().parse_args(arguments)
    machine = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_average": list(os.getloadavg()),
    }
    print(f"Linux {platform.release()}, {platform.machine()}, load average {os.getloadavg()[0]:.2f} before the run")
    if not callgrind.available():
        print(callgrind.MISSING)
    print("\n" + HEAD.format("", "ns", "instructions"))
    costs: list[Cost] = []
    try:
        for measured in (c_rooms.costs(options.milliseconds), core_cases.costs(options.milliseconds)):
            for cost in measured:
                costs.append(cost)
                print(line(cost), flush=True)
    except (c_rooms.BuildError, callgrind.CallgrindError, core_cases.CoreError, VanishedError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    path: Path = options.json or HERE / "results" / time.strftime("micro-%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "costs": [dataclasses.asdict(cost) for cost in costs]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nall figures in {path}")
    return 0


def line(cost: Cost) -> str:
    figures = (cost.nanoseconds, cost.instructions)
    return HEAD.format(cost.name, *("-" if figure is None else f"{figure:,.1f}" for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description=__doc__)
    parser.add_argument("--milliseconds", type=int, default=300, help="for which each thing is timed")
    parser.add_argument(
        "--json", type=Path, help="where the result is written; bench/results/micro-<time>.json by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
