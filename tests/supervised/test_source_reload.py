"""--reload: what is edited is served, what is broken is not, and nobody waits for the streams of the old version."""

import os
import signal

import pytest

from kit.script import request
from kit.waiting import Stopwatch, until
from supervised.conftest import Supervise, Write
from supervised.session import empty
from supervised.supervised import Supervised

APPLICATION = """
import asyncio, os

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"piece\\n", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"VERSION"})
"""
OPTIONS = ("served:app", "--lifespan", "off", "--reload")


def version(number: int) -> str:
    return APPLICATION.replace("VERSION", "x" * number)  # another size: a compiled file must not look current


def serves(supervised: Supervised, number: int) -> bool:
    return until(lambda: supervised.get() == b"x" * number)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_edits(supervise: Supervise, write: Write, workers: str) -> None:
    write(version(1))
    supervised = supervise(*OPTIONS, "--workers", workers)
    assert serves(supervised, 1)
    before = supervised.wait_for_workers(int(workers))
    write(version(2))
    assert serves(supervised, 2)
    supervised.log.wait_for("reloaded\n")
    served = supervised.wait_for_workers(int(workers))
    assert set(served.values()).isdisjoint(before.values())
    write("def app(:")
    log = supervised.log.wait_for(
        "the reload failed, the workers go on as they are: cannot import 'served': SyntaxError"
    )
    assert log.count("the reload failed") == 1
    assert supervised.get() == b"xx"
    assert supervised.wait_for_workers(int(workers)) == served
    write(version(3))
    assert serves(supervised, 3)


def test_first_start_is_broken(supervise: Supervise, write: Write) -> None:
    write("import absent")
    supervised = supervise(*OPTIONS, listens=False)
    supervised.log.wait_for("worker 0 did not start, waiting for a change: cannot import 'served': ModuleNotFoundError")
    write("import absent  # still")
    supervised.log.wait(lambda text: text.count("ModuleNotFoundError: No module named 'absent'\nTraceback") == 2)
    write(version(1))
    supervised.log.wait_for("listening on ")
    supervised.address = supervised.addresses()[0]
    assert serves(supervised, 1)
    assert supervised.stop() == 0


def test_ctrl_c_while_it_waits_for_a_change(supervise: Supervise, write: Write) -> None:
    write("import absent")
    supervised = supervise(*OPTIONS, listens=False)
    supervised.log.wait_for("waiting for a change")
    os.killpg(supervised.pid, signal.SIGINT)
    assert supervised.wait() == 130
    assert empty(supervised.pid)


def test_open_stream_delays_nothing(supervise: Supervise, write: Write) -> None:
    write(version(1))
    supervised = supervise(*OPTIONS)
    (old,) = supervised.wait_for_workers(1).values()
    with supervised.connect().send(request("/stream")) as client:
        assert b"piece" in client.receive_once()
        write(version(2))
        supervised.log.wait_for("reloading\n")
        watch = Stopwatch()
        assert serves(supervised, 2)
        assert until(lambda: old not in supervised.workers().values() and supervised.wait_for_workers(1) != {})
        assert watch.charged() < 5
        assert client.gone()
    assert "Traceback" not in supervised.log.text


def test_ctrl_c_with_an_open_stream(supervise: Supervise, write: Write) -> None:
    write(version(1))
    supervised = supervise(*OPTIONS)
    with supervised.connect().send(request("/stream")) as client:
        assert b"piece" in client.receive_once()
        watch = Stopwatch()
        os.killpg(supervised.pid, signal.SIGINT)
        assert supervised.wait() == 0
        assert watch.charged() < 5
    assert empty(supervised.pid)
    assert "Traceback" not in supervised.log.text
