"""Calls that keep the processor busy for 5 ms and never let the GIL go by themselves.

The work is a number of turns: a loop that watched the clock would do less work where threads get in each other's way,
and hide what is measured. The benchmark finds the number once and hands it to every server in WSGI_CPU_TURNS, so that
they all have the same work whatever the machine did while one of them started.
"""

import os
import time
from typing import Any

BUSY = 0.005
PROBE = 50_000
TRIES = 100


def burn(turns: int) -> int:
    total = 0
    for turn in range(turns):
        total += turn
    return total


def calibrate() -> int:
    """Turns that take BUSY seconds; by the fastest of many tries, as all that disturbs one makes it slower."""
    times = []
    for _ in range(TRIES):
        start = time.thread_time()
        burn(PROBE)
        times.append(time.thread_time() - start)
    return round(PROBE * BUSY / min(times))


TURNS = int(os.environ.get("WSGI_CPU_TURNS") or calibrate())


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    burn(TURNS)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
