"""The limit program answers every request and only those, however they are cut; else it would be no floor."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.loads.floor import build_limit
from bench.measure.check_answer import WrongAnswerError, check_answer
from bench.measure.sample import Settings, server_command
from bench.plan import HERE, Scenario, load_plan
from bench.process import cores, free_port, started

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

PLAN = load_plan()
GET = b"GET / HTTP/1.1\r\nHost: limit\r\n\r\n"


def limit(name: str, folder: Path) -> Iterator[tuple[Scenario, int]]:
    scenario, port = PLAN.scenarios[name], free_port()
    settings = Settings(limit=str(build_limit()))
    command = server_command(scenario, PLAN.servers["limit"], settings, port, folder)
    with started(command, port, cores()[0], folder / "log", HERE.parent):
        yield scenario, port


@pytest.mark.parametrize(
    "name", [name for name, each in PLAN.scenarios.items() if not (each.websocket or each.tls or each.http2)]
)
def test_it_gives_the_answer_of_every_scenario(name: str, tmp_path: Path) -> None:
    for scenario, port in limit(name, tmp_path):
        check_answer(scenario, port)
        wrong = replace(scenario, answer=replace(scenario.answer, headers={"content-type": "image/png"}))
        with pytest.raises(WrongAnswerError, match="content-type"):
            check_answer(wrong, port)


def test_a_head_may_be_cut_anywhere(tmp_path: Path) -> None:
    for scenario, port in limit("hello", tmp_path):
        answer = scenario.answer.on_the_wire()
        with connect(port) as connection:
            for cut in range(1, len(GET)):
                connection.sendall(GET[:cut])
                connection.sendall(GET[cut:])
                assert receive(connection, len(answer)) == answer
            for byte in GET * 2:
                connection.sendall(bytes([byte]))
            assert receive(connection, 2 * len(answer)) == 2 * answer
            assert_silent(connection)


@pytest.mark.parametrize("depth", [2, 16, 63, 64, 65, 500])
def test_pipelined_requests_are_counted(depth: int, tmp_path: Path) -> None:
    for scenario, port in limit("pipelined", tmp_path):
        answer = scenario.answer.on_the_wire()
        with connect(port) as connection:
            connection.sendall(GET * depth)
            assert receive(connection, depth * len(answer)) == depth * answer
            assert_silent(connection)


def test_an_upload_is_answered_at_its_last_byte(tmp_path: Path) -> None:
    for scenario, port in limit("upload", tmp_path):
        answer = scenario.answer.on_the_wire()
        with connect(port) as connection:
            for length in (1, 1000, 300_000):
                connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length + b"x" * (length - 1))
                assert_silent(connection)
                connection.sendall(b"x")
                assert receive(connection, len(answer)) == answer


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5.0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        assert piece, f"closed after {len(data)} of {length} bytes"
        data += piece
    return data


def assert_silent(connection: socket.socket) -> None:
    """Nothing comes within 50 ms."""
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(5.0)
