"""Loops for the tests of the task."""

import asyncio
from collections.abc import Iterator

import pytest

from task.loops import LOOPS, Reporter


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Reporter]:
    """Runs a coroutine on each kind of loop."""
    with asyncio.Runner(loop_factory=LOOPS[request.param], debug=False) as runner:
        yield Reporter(runner)


@pytest.fixture(params=[(name, debug) for name in LOOPS for debug in (False, True)], ids=str)
def run_debug(request: pytest.FixtureRequest) -> Iterator[Reporter]:
    """The same, with and without the loop's debug mode."""
    name, debug = request.param
    with asyncio.Runner(loop_factory=LOOPS[name], debug=debug) as runner:
        yield Reporter(runner)
