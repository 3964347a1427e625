"""A worker that hangs takes no new connections with it: a sibling takes them while it does."""

import re
import time
from contextlib import ExitStack

import pytest

from kit.client import Client
from kit.script import request
from kit.waiting import until
from supervised.conftest import Supervise, Write
from supervised.supervised import listening

APPLICATION = """
import os, sys, time

def answer(path):
    if path == "/block":
        sys.stderr.write("in the application\\n")
        time.sleep(2)
    return str(os.getpid()).encode()

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer(scope["path"])})

def wsgi(environ, start_response):
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


@pytest.mark.alone
@pytest.mark.parametrize("options", [("served:app", "--lifespan", "off"), ("served:wsgi", "--threads", "1")])
def test_new_connections_go_to_the_worker_that_turns(supervise: Supervise, options: tuple[str, ...]) -> None:
    supervised = supervise(*options, "--workers", "2")
    workers = supervised.wait_for_workers(2)
    assert until(lambda: all(len(listening(pid)) == 1 for pid in workers.values()))  # nobody stands in for another
    with supervised.connect() as blocked, ExitStack() as stack:
        blocked.send(request("/block"))
        supervised.log.wait_for("in the application\n")
        begun = time.monotonic()
        clients: list[Client] = [stack.enter_context(supervised.connect()) for _ in range(16)]
        for client in clients:
            client.send(request("/"))
        answered = {client.answer().body for client in clients}
        print(f"16 connections answered in {time.monotonic() - begun:.3f} s")
        assert not blocked.readable(), "they have waited for the one that hangs"
        hung = blocked.answer().body
        assert answered == {str(pid).encode() for pid in workers.values()} - {hung}
        assert re.search(r"has not turned", supervised.log.text) is None
    # It turns again, and serves its own socket alone.
    assert until(lambda: all(len(listening(pid)) == 1 for pid in workers.values()))
    seen = set()

    def both_serve() -> bool:
        with supervised.connect() as client:
            seen.add(client.exchange(request("/")).body)
        return len(seen) == 2

    assert until(both_serve)
