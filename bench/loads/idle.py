"""Idle connections, held by a process of its own on the load's core for as long as they are wanted."""

import contextlib
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator

from bench.plan import HERE, Scenario
from bench.process import cores, on_core

SPARE_DESCRIPTORS = 200
CLIENT_DEADLINE = 10.0
OPEN_DEADLINE = 30.0  # a server with one connection at a time would take hours for all of them


class IdleError(Exception):
    """The server answered wrongly, refused or closed a connection; or this many are not possible."""


@contextlib.contextmanager
def idle_connections(scenario: Scenario, port: int, count: int) -> Iterator[None]:
    """`count` connections that have been answered once, idle when the block begins. Raises IdleError."""
    command = [sys.executable, "-m", "bench.loads.idle_client", str(port), str(count)]
    command.append("--websocket" if scenario.websocket else scenario.answer.text)
    with on_core(cores()[1]):
        client = subprocess.Popen(
            command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stderr is not None
    overdue = threading.Timer(OPEN_DEADLINE, client.kill)
    overdue.start()
    try:
        if client.stdout.readline() != b"ready\n":
            late = "" if overdue.is_alive() else f"not all open after {OPEN_DEADLINE:.0f} s"
            raise IdleError(late or last_line(client.stderr.read()))
        overdue.cancel()
        yield
    finally:
        overdue.cancel()
        client.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(CLIENT_DEADLINE)
        client.kill()
        client.wait()
        client.stdout.close()
        client.stderr.close()


def raise_descriptor_limit(connections: int) -> None:
    """For this process and the servers and clients it starts. Raises IdleError where the hard limit forbids it."""
    wanted = connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise IdleError(f"needs {wanted} open files; the hard limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def last_line(output: bytes) -> str:
    """What a client that has failed has said last."""
    lines = output.decode(errors="replace").strip().splitlines()
    return f"client: {lines[-1]}" if lines else "client ended without a word"
