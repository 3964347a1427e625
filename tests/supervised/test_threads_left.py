"""Threads that the application leaves behind: the process waits for them for a moment, and then no more."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kit import Server

KINDS: dict[str, dict[str, Any]] = {
    "asyncio": {"application": "leaving:app", "loop": "asyncio", "lifespan": "off"},
    "uvloop": {"application": "leaving:app", "loop": "uvloop", "lifespan": "off"},
    "one": {"application": "leaving:wsgi", "threads": 1},
    "eight": {"application": "leaving:wsgi", "threads": 8},
}


@pytest.fixture(params=[False, True], ids=["alone", "supervised"])
def supervised(request: pytest.FixtureRequest) -> bool:
    value: bool = request.param
    return value


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, supervised: bool) -> Iterator[Server]:
    options = {"supervised": supervised, "access_log": False, **KINDS[request.param]}
    with Server(**options, environment={"PYTHONUNBUFFERED": ""}) as server:
        yield server


def left(server: Server, *kinds: str) -> str:
    """Has them left and ends it, tidily and in time; what it has logged."""
    for kind in kinds:
        assert server.get("/" + kind) == b"ok"
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 4
    assert server.stdout.text.startswith("buffered ")
    assert server.stdout.text.endswith("at the end")
    return server.stderr.text


@pytest.mark.parametrize("kind", ["plain", "executor"])
def test_a_thread_that_never_ends(server: Server, kind: str) -> None:
    """It has a moment, and the log its name; what is to be done at the end is done."""
    log = left(server, kind)
    assert log.count("threads that did not end: " + {"plain": "plain-one", "executor": "own_0"}[kind]) == 1


def test_all_threads_have_one_moment(server: Server) -> None:
    kinds = ["plain", "executor"] + ["default"] * ("loop" in server.options)
    log = left(server, *kinds)
    assert log.count("did not end") == 1
    assert "own_0, plain-one" in log


@pytest.mark.parametrize("kind", ["daemon", "idle", "nothing"])
def test_a_thread_that_nobody_waits_for(server: Server, kind: str) -> None:
    """A daemon, and one of an executor that has nothing to do."""
    assert "did not end" not in left(server, kind)


def test_a_thread_that_ends_by_itself(server: Server) -> None:
    assert "did not end" not in left(server, "brief")


def test_a_thread_that_waits_for_the_main_one(server: Server) -> None:
    """As it would be heard of the end by Python itself."""
    assert "did not end" not in left(server, "watcher")
    assert "seen the end " in server.stdout.text


@pytest.mark.parametrize("server", ["asyncio", "uvloop"], indirect=True)
def test_a_job_of_the_loops_executor_that_never_ends(server: Server) -> None:
    assert left(server, "default").count("threads that did not end: ") == 1


@pytest.mark.parametrize("server", ["asyncio", "eight"], indirect=True)
def test_no_graceful_time_leaves_threads_none(supervised: bool, server: Server) -> None:
    """But a little, in which those of executors hear of the end."""
    options: dict[str, Any] = {**server.options, "timeout_graceful_shutdown": 0.2}
    application = "leaving:app" if "loop" in options else "leaving:wsgi"
    with Server(application, **options, supervised=supervised, environment={"PYTHONUNBUFFERED": ""}) as short:
        assert "did not end" not in left(short, "idle")
