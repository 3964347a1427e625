"""The gate against servers with one fault each, and the client that tells whole answers from others."""

import dataclasses
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import cli
from bench.loads import strict_client
from bench.loads.strict_client import BrokenAnswerError, SilentError, StrictClient
from bench.measure.gate import CHECKS, Gate, gated, run_gate
from bench.measure.sample import Settings
from bench.plan import Server, load_plan

FAKE = Path(__file__).with_name("gate_server.py")
PIPELINED, HEAD, COOKIES, INJECTED, BROKEN, HALF_SENT = CHECKS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_client, "TIMEOUT", 2.0)


def fake(fault: str) -> Server:
    return Server(f"fake-{fault}", (sys.executable, str(FAKE), "{port}", fault), interface="asgi")


@pytest.mark.parametrize("fault", ["none", "bare"])
def test_a_server_without_faults_passes_and_leaves_no_process_behind(
    fault: str, children: Callable[[], list[int]]
) -> None:
    before = children()
    gate = run_gate(fake(fault), Settings())
    assert gate == Gate(f"fake-{fault}")
    assert gate.passed
    assert children() == before


@pytest.mark.parametrize(
    ("fault", "check", "what"),
    [
        ("waits", PIPELINED, "waits for the rest of the second"),
        ("head", HEAD, "a body after the head"),
        ("comma", COOKIES, "'a=1, b=2'"),
        ("injects", INJECTED, "reaches the client"),
        ("whole", BROKEN, "as though it were whole"),
        ("open", BROKEN, "left open"),
        ("serial", HALF_SENT, "nobody is served beside"),
    ],
)
def test_a_fault_is_found_by_its_check_alone(fault: str, check: str, what: str) -> None:
    gate = run_gate(fake(fault), Settings())
    assert list(gate.failed) == [check]
    assert what in gate.failed[check]
    assert (gate.crashed, gate.error, gate.passed) == ({}, "", False)
    assert f"failed {check}" in str(gate)


@pytest.mark.parametrize(("fault", "what"), [("dies", "ended with status 3"), ("worker", "a worker has ended")])
def test_a_crash_is_a_crash_and_the_other_checks_are_made_all_the_same(
    fault: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(name: str, check: Callable[[int], None]) -> Callable[[int], None]:
        def run(port: int) -> None:
            made.append(name)
            check(port)

        return run

    for name, check in list(CHECKS.items()):
        monkeypatch.setitem(CHECKS, name, noted(name, check))
    gate = run_gate(fake(fault), Settings())
    assert gate.crashed == {INJECTED: what}
    assert gate.failed == {}
    assert not gate.passed
    assert "CRASHED" in str(gate)
    assert made == list(CHECKS)


def test_a_server_that_does_not_begin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.gate.READY_DEADLINE", 0.2)
    assert "no right answer to an ordinary request" in run_gate(fake("deaf"), Settings()).error
    broken = Server("broken", ("/bin/sh", "-c", "echo no such module; exit 7"))
    assert "no such module" in run_gate(broken, Settings()).error


def test_one_that_is_not_installed_is_not_started() -> None:
    gate = run_gate(Server("absent", ("/nonexistent",)), Settings(), "missing: it is not installed")
    assert str(gate) == "absent                  not tried: missing: it is not installed"


def test_a_gate_is_stored_and_read_back() -> None:
    gate = Gate("bjoern", {BROKEN: "ends"}, {HEAD: "ended by SIGSEGV"})
    assert Gate(**json.loads(json.dumps(dataclasses.asdict(gate)))) == gate


def test_what_loads_no_application_is_not_asked() -> None:
    servers = load_plan().servers
    assert [s.name for s in gated([servers["limit"], servers["nginx"], servers["fastserve"]])] == ["fastserve"]


def test_our_own_servers_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gate", "--servers", "fastserve,fastserve-wsgi-8"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["fastserve", "passed"],
        ["fastserve-wsgi-8", "passed"],
    ]


@contextmanager
def sends(data: bytes, *, then_reset: bool = False) -> Iterator[int]:
    """The port of a server that sends this on its first connection, and ends it; for a reset it waits for a byte, since
    one that comes too soon breaks the connecting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if then_reset:
                    connection.recv(1)
                connection.sendall(data)
                if then_reset:
                    linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "framing", "body"),
    [
        (CHUNKED + b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", "chunked", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "length", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", "close", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "none", b""),
    ],
)
def test_an_answer_ends_where_its_framing_says(wire: bytes, framing: str, body: bytes) -> None:
    with sends(wire) as port, StrictClient(port) as client:
        answer = client.answer()
        assert (answer.framing, answer.body) == (framing, body)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"two\r\nab\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_refused(wire: bytes) -> None:
    with sends(wire) as port, StrictClient(port) as client, pytest.raises(BrokenAnswerError):
        client.answer()


def test_a_reset_breaks_an_answer_that_would_end_with_its_connection() -> None:
    wire = b"HTTP/1.0 200 OK\r\n\r\nabc"
    with sends(wire, then_reset=True) as port, StrictClient(port) as client:
        client.send(b"?")
        with pytest.raises(BrokenAnswerError):
            client.answer()


def test_silence_is_not_an_end() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = StrictClient(listener.getsockname()[1])
    with listener, client, pytest.raises(SilentError, match="nothing for"):
        client.answer()
