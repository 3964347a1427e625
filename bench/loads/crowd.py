"""A crowd of slow clients beside the load, in a process of its own on the load's core."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.loads.counted import LoadError
from bench.loads.idle import last_line
from bench.plan import HERE, Crowd
from bench.process import cores, on_core

END_DEADLINE = 30.0


@dataclass
class CrowdCount:
    """What the crowd says at its end: the bytes that have come, and how many got less than half of their pace."""

    moved: int = 0
    behind: int = 0


@contextlib.contextmanager
def slow_crowd(port: int, crowd: Crowd) -> Iterator[CrowdCount]:
    """All of them have asked when the block begins; the count is filled in when it ends.

    Raises LoadError where an answer is wrong, or the server refuses or closes a connection.
    """
    words = (port, crowd.connections, crowd.path, crowd.bytes, crowd.per_second)
    count = CrowdCount()
    with on_core(cores()[1]):
        client = subprocess.Popen(
            [sys.executable, "-m", "bench.loads.crowd_client", *map(str, words)],
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    with client:
        assert client.stdout is not None
        try:
            if client.stdout.readline() == b"ready\n":
                yield count
            output, complaint = client.communicate(timeout=END_DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"the crowd did not end within {error.timeout:.0f} s") from error
        finally:
            client.kill()
    if client.returncode != 0:
        raise LoadError(f"crowd's {last_line(complaint)}")
    count.moved, count.behind = map(int, output.split())
