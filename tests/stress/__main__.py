"""`python -m stress`: random clients against a sanitized server, for some time or for one seed.

python -m stress --build build/sanitized --seconds 600
python -m stress --build build/sanitized --seed 17.3 --interface asgi      one run again
python -m stress --build build/sanitized --seed 17.3 --scenes 24-36        and of it these scenes only
python -m stress --build build/sanitized --seed 17.3 --scenes 24 --show    with what the clients do
"""

import argparse
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from stress.run import Part, Result, Run
from stress.setting import INTERFACES, LOOPS, THREADS, Setting, draw_setting

A_RUN = 20.0
"""Seconds of one server."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stress", description="Random clients against a sanitized server.")
    parser.add_argument("--build", type=Path, required=True, help="folder with the package, built with both switches")
    parser.add_argument("--seconds", type=float, default=600.0, help="in total; a seed with a dot is one run of that")
    parser.add_argument(
        "--seed", default="", help="N for a series of runs, N.I for one of them; drawn where it is left out"
    )
    parser.add_argument("--scenes", default="", help="of one run: FIRST-LAST")
    parser.add_argument("--clients", default="", help="of these scenes: only those, SCENE.NUMBER,...")
    parser.add_argument("--show", action="store_true", help="print the clients' scripts")
    parser.add_argument("--interface", choices=INTERFACES, help="only this one")
    parser.add_argument("--loop", choices=LOOPS, help="only this one")
    parser.add_argument("--threads", type=int, choices=THREADS, help="only this many threads of a WSGI application")
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, help="only with it, only without")
    parser.add_argument("--without", default="", help="letters of the application's steps that are left out")
    parser.add_argument("--no-leaks", dest="leaks", action="store_false", help="memory that nobody holds is no failure")
    parser.add_argument("--calm", action="store_true", help="the log's handlers do not raise")
    parser.add_argument("--a-run", type=float, default=A_RUN, help="seconds of one server")
    parser.add_argument("--keep", type=Path, default=Path("build/stress"), help="folder for the logs of what failed")
    parser.add_argument("--first", action="store_true", help="end with the first run that fails")
    return parser.parse_args()


class Series:
    """Runs one after the other, each with a seed of its own."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.failed: list[Result] = []
        self.runs = self.scenes = self.requests = 0
        self.part = Part(shown=chosen.show, without=chosen.without, leaks=chosen.leaks)
        if chosen.scenes:
            first, _, last = chosen.scenes.partition("-")
            self.part.first, self.part.last = int(first), int(last or first)
        if chosen.clients:
            self.part.clients = set(chosen.clients.split(","))

    def setting(self, seed: str, number: int) -> Setting:
        """Takes the combinations in turn, so that a short series has seen each."""
        chosen = self.chosen
        kinds = [("asgi", "asyncio", 8), ("wsgi", "asyncio", 8), ("asgi", "uvloop", 8), ("wsgi", "asyncio", 1)]
        interface, loop, threads = kinds[number % len(kinds)]
        return draw_setting(
            seed,
            chosen.interface or interface,
            chosen.loop or loop,
            chosen.threads or threads,
            chosen.tls,
        )

    def run(self, seed: str, number: int, seconds: float) -> None:
        chosen = self.chosen
        setting = self.setting(seed, number)
        if chosen.calm:
            setting = replace(setting, handler_raises=0.0)
        result = Run(setting, chosen.build.resolve(), seconds, self.part)(chosen.keep)
        self.runs += 1
        self.scenes += result.scenes
        self.requests += result.requests
        print(f"{seed}: {setting.name}: {result.scenes} scenes, {result.requests} requests", flush=True)
        if result.broken:
            self.failed.append(result)
            print(
                f"FAILED: --seed {seed}, scenes {result.between[0]}-{result.between[1]}, {setting.quirks()}", flush=True
            )
            print(result.broken, flush=True)

    def all(self) -> int:
        chosen = self.chosen
        if "." in chosen.seed:
            self.run(chosen.seed, int(chosen.seed.partition(".")[2]), chosen.seconds)
        else:
            seed = chosen.seed or str(random.SystemRandom().randrange(1_000_000))
            print(f"seed {seed}, {chosen.seconds:g} seconds", flush=True)
            until = time.monotonic() + chosen.seconds
            number = 0
            while (left := until - time.monotonic()) > 0 and not (chosen.first and self.failed):
                self.run(f"{seed}.{number}", number, min(left, chosen.a_run))
                number += 1
        print(
            f"{self.runs} runs, {self.scenes} scenes, {self.requests} requests, {len(self.failed)} failed", flush=True
        )
        return 1 if self.failed else 0


if __name__ == "__main__":
    sys.exit(Series(arguments()).all())
