"""The harness with a fake server of known cost in place of the real ones."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.measure.sample import Settings
from bench.plan import Answer, Scenario, Server

HERE = Path(__file__).parent
FAKE = HERE / "fake_server.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for each in items:
        if each.path.parent == HERE:
            each.add_marker(pytest.mark.one_python)


@pytest.fixture
def scenario() -> Scenario:
    answer = Answer(headers={"content-type": "text/plain"}, text="Hello, World!")
    return Scenario("hello", "hello world", "hello", answer, connections=4)


@pytest.fixture
def settings() -> Settings:
    return Settings(seconds=1, warm=0)


@pytest.fixture
def fake() -> Callable[[str, int], Server]:
    """A fake server by mode and cost of a request in nanoseconds."""

    def make(mode: str, cost_ns: int) -> Server:
        return Server(f"fake-{mode}", (sys.executable, str(FAKE), "{port}", mode, str(cost_ns)))

    return make


@pytest.fixture
def children() -> Callable[[], list[int]]:
    """Returns the processes that this one has started and that still exist, dead ones too that nobody has reaped."""

    def mine() -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (entry / "stat").exists():
                try:
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if int(after_name[1]) == os.getpid():
                    found.append(int(entry.name))
        return found

    return mine
