"""Clients that make an application fail as often as they like: what is logged has a rate, and is counted."""

import re
import time

import pytest

from kit import Client, request
from kit.client import Address
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write

APPLICATIONS = """
async def app(scope, receive, send):
    if scope["path"] == "/half":
        return
    if scope["path"] != "/":
        raise ValueError("the request is not liked")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] != "/":
        raise ValueError("the request is not liked")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
RATE = 2
BURST = 5 * RATE
REQUESTS = 300


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATIONS)


def fail(address: Address, target: str, count: int) -> None:
    with Client(address, PATIENCE) as client:
        for _ in range(count):
            assert client.exchange(request(target)).status == 500


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("app", ["app", "wsgi"])
def test_tracebacks(supervise: Supervise, app: str, loop: str) -> None:
    options = ("--loop", loop, "--log-rate-limit", str(RATE), "--admin", "unix:admin.sock")
    began = time.monotonic()
    supervised = supervise(f"served:{app}", "--lifespan", "off", *options)
    fail(supervised.address, "/fails", REQUESTS)

    def counted() -> int:
        found = re.search(
            rb"^fastserve_log_left_out_lines_total (\S+)", supervised.admin("/metrics").body, re.MULTILINE
        )
        assert found is not None
        return int(float(found[1]))

    def written() -> int:
        return supervised.log.text.count("ValueError: the request is not liked")

    assert until(lambda: counted() + written() == REQUESTS)
    passed = time.monotonic() - began
    assert BURST <= written() <= BURST + RATE * passed + 1
    assert "others are left out and counted (--log-rate-limit)" in supervised.log.text
    assert supervised.stop() == 0
    said = [int(each) for each in re.findall(r"\((\d+) like it were left out\)", supervised.log.text)]
    said += [int(each) for each in re.findall(r"(\d+) lines like 'exception in .*' were left out", supervised.log.text)]
    assert sum(said) == REQUESTS - written()


def test_another_kind_is_still_said(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--lifespan", "off", "--log-rate-limit", str(RATE))
    fail(supervised.address, "/fails", 50)
    fail(supervised.address, "/half", 1)
    supervised.log.wait_for("ASGI application returned without a response: GET /half")


def test_no_limit(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--lifespan", "off", "--log-rate-limit", "0")
    fail(supervised.address, "/fails", 100)
    supervised.log.wait(lambda text: text.count("ValueError: ") == 100)
