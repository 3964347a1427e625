"""Fixtures for supervisors: the applications they serve, and how they are started and ended."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from supervised.supervised import Supervised

HERE = Path(__file__).parent
WHOLE = os.environ.get("SOAK") == "1"
"""`make soak` runs the long way what the suite runs the short way."""

APPLICATION = '''
"""Says by which process it was served; IMPORT is how many seconds its import takes."""
import os, time
time.sleep(float(os.environ.get("IMPORT", "0")))
VERSION = "1"

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{VERSION} {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()}".encode()]
'''

CONNECTIONS = 32 if WHOLE else 12
"""Of a load; they share the machine's cores with those whom they load."""

KINDS = {
    "asyncio": ("served:app", "--lifespan", "off", "--loop", "asyncio"),
    "uvloop": ("served:app", "--lifespan", "off", "--loop", "uvloop"),
    "one thread": ("served:wsgi", "--threads", "1"),
    "threads": ("served:wsgi", "--threads", "8"),
}
"""How the module `served` is served: by its application, and the loop or the threads."""

Supervise = Callable[..., Supervised]
Write = Callable[[str], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for each in items:
        if WHOLE and each.path.parent == HERE:
            each.add_marker(pytest.mark.timeout(900))


def amount(short: int, whole: int) -> int:
    """How often something is done: in the suite, and in `make soak`."""
    return whole if WHOLE else short


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return KINDS[request.param]


@pytest.fixture(params=[(), ("--no-supervisor",)], ids=["supervised", "alone"])
def way(request: pytest.FixtureRequest) -> tuple[str, ...]:
    value: tuple[str, ...] = request.param
    return value


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the module `served`, which the command serves."""

    seconds = itertools.count(int(time.time()))

    def written(source: str) -> Path:
        path = tmp_path / "served.py"
        path.write_text(source)
        # Python tells a source from the one that it has compiled by whole seconds and the size.
        second = next(seconds)
        os.utime(path, (second, second))
        return path

    written(APPLICATION)
    return written


@pytest.fixture
def supervise(write: Write, tmp_path: Path) -> Iterator[Supervise]:
    """Starts the command: supervise("served:app", "--workers", "2", VARIABLE="value")."""
    started: list[Supervised] = []

    def new(*arguments: str, listens: bool = True, wrapper: Sequence[str] = (), **variables: str) -> Supervised:
        quiet = () if "--access-log" in arguments else ("--no-access-log",)
        supervised = Supervised(
            *arguments, *quiet, directory=tmp_path, variables=variables, listens=listens, wrapper=wrapper
        )
        started.append(supervised)
        return supervised

    yield new
    for each in started:
        each.kill()
        print(each.log.text)  # shown where the test has failed
