"""`python -m fleet`: upgrades three servers behind HAProxy one after the other, and fails if anything is lost."""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from fleet.balancer import program
from fleet.upgrades import Fleet, fleet


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fleet", description="Upgrades a fleet under load.")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="each server is upgraded in both ways at least once"
    )
    parser.add_argument("--connections", type=int, default=2, help="of each habit, in each manner")
    return parser.parse_args()


def rounds(them: Fleet, seconds: float) -> None:
    """Each server by TERM and start, then each by HUP; and again until the time is over."""
    end = time.monotonic() + seconds
    for first in itertools.chain([True], itertools.repeat(False)):
        for how in ("restart", "reload"):
            for each in them.members:
                if not first and time.monotonic() >= end:
                    return
                them.upgrade(each, how)
                print(f"{them.did[-1]:<22} {dict(them.load.answered)}, {len(them.load.failures)} lost", flush=True)


def main() -> int:
    chosen = arguments()
    if program() is None:
        print("make fleet needs HAProxy (apt install haproxy)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        with fleet(Path(folder), chosen.connections) as them:
            rounds(them, chosen.seconds)
        lost = [*them.load.failures, *them.load.done_otherwise_than_once()]
        for each in lost[:50]:
            print(each, file=sys.stderr)
        if lost:
            print(*them.balancer.errors()[-50:], sep="\n", file=sys.stderr)
    print(f"{sum(them.load.answered.values())} answers, {len(them.did)} upgrades, {len(lost)} lost or done twice")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
