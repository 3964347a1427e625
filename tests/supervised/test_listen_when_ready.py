"""--listen-when-ready: the addresses are bound at once, and connections refused until a first worker can answer."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from kit.client import Client
from kit.waiting import PATIENCE, until
from supervised.conftest import Supervise, Write
from supervised.supervised import Load, Supervised

APPLICATION = """
import os, sys, time
from pathlib import Path

def wait_for(name):
    sys.stderr.write(f"waits for {name}\\n")  # at once: other workers write too
    while not Path(name).exists():
        time.sleep(0.01)

wait_for("gate" + os.environ.get("FASTSERVE_SLOT", "0"))

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
WHEN_READY = "--listen-when-ready"


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def refused(address: tuple[str, int] | str) -> bool:
    try:
        with Client(address, PATIENCE):
            return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True


def starting(supervise: Supervise, *options: str) -> Supervised:
    """With a worker, or the process itself, in the middle of its import."""
    supervised = supervise(*options, listens=False)
    supervised.log.wait_for("waits for gate0\n")
    return supervised


@pytest.mark.parametrize("way", [(), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_connections_are_refused_until_somebody_can_answer(
    supervise: Supervise, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    port = free_port()
    path = str(tmp_path / "server")
    server = starting(supervise, *kind, *way, WHEN_READY, "--bind", f"127.0.0.1:{port}", "--bind", f"unix:{path}")
    for address in (("127.0.0.1", port), path):
        assert refused(address)
    (tmp_path / "gate0").touch()
    for address in (("127.0.0.1", port), path):
        assert until(lambda address=address: not refused(address))  # type: ignore[misc]
        server.get("/", address)
    assert server.stop() == 0


def test_by_default_they_wait(supervise: Supervise, tmp_path: Path) -> None:
    port = free_port()
    server = starting(supervise, "served:wsgi", "--bind", f"127.0.0.1:{port}")
    with Client(("127.0.0.1", port), PATIENCE) as client:
        (tmp_path / "gate0").touch()
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.answer().status == 200
    assert server.stop() == 0


@pytest.mark.parametrize("way", [(), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_address_that_is_taken_is_told_at_once(supervise: Supervise, way: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = supervise("served:wsgi", WHEN_READY, "--bind", f"127.0.0.1:{port}", *way, listens=False)
        assert server.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in server.log.text
    assert "waits for" not in server.log.text


@pytest.mark.parametrize("way", [("--workers", "2"), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_address_that_somebody_takes_meanwhile(supervise: Supervise, tmp_path: Path, way: tuple[str, ...]) -> None:
    """A socket that does not listen yet can be overtaken by one with SO_REUSEADDR; that is no start in silence."""
    port = free_port()
    server = starting(supervise, "served:wsgi", WHEN_READY, "--bind", f"127.0.0.1:{port}", *way)
    with socket.create_server(("127.0.0.1", port)):
        for slot in range(2):
            (tmp_path / f"gate{slot}").touch()
        assert server.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in server.log.text
    assert "listening on" not in server.log.text


def test_two_servers_that_start_at_the_same_time(supervise: Supervise, tmp_path: Path) -> None:
    """Neither shares the address with the other, though both share it among their workers."""
    port = free_port()
    options = ("served:wsgi", WHEN_READY, "--bind", f"127.0.0.1:{port}", "--workers", "2")
    servers = [starting(supervise, *options) for _ in range(2)]
    for slot in range(2):
        (tmp_path / f"gate{slot}").touch()
    assert until(lambda: any(server.process.poll() is not None for server in servers))
    ended = [server for server in servers if server.process.poll() is not None]
    assert [server.wait() for server in ended] == [1]
    (other,) = set(servers) - set(ended)
    other.wait_for_workers(2)
    assert {int(other.get("/", ("127.0.0.1", port))) for _ in range(30)} <= set(other.workers().values())
    assert other.stop() == 0


@pytest.mark.parametrize("app", ["served:app", "served:wsgi"])
def test_workers_that_get_ready_in_another_order(supervise: Supervise, tmp_path: Path, app: str) -> None:
    """The slots' sockets begin to listen in their order all the same: that is what the kernel's steering counts by."""
    port = free_port()
    server = starting(supervise, app, "--lifespan", "auto", WHEN_READY, "--bind", f"127.0.0.1:{port}", "--workers", "3")
    assert refused(("127.0.0.1", port))
    (tmp_path / "gate2").touch()
    assert until(lambda: not refused(("127.0.0.1", port)))
    assert until(lambda: 2 in server.workers("serving"))
    first = server.workers("serving")[2]
    assert {int(server.get("/", ("127.0.0.1", port))) for _ in range(30)} == {first}
    for slot in (1, 0):
        (tmp_path / f"gate{slot}").touch()
    server.log.wait_for("listening on")
    workers = server.wait_for_workers(3)
    assert until(lambda: int(server.get("/", ("127.0.0.1", port))) == workers[1])
    with Load(("127.0.0.1", port), 8) as load:
        for left in (2, 1):
            server.signal(signal.SIGTTOU).wait_for_workers(left)
        seen = load.end_without_loss()
    assert str(workers[0]) in seen["bodies"]
    assert server.stop() == 0


def test_address_that_a_reload_adds(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    file = tmp_path / "fastserve.toml"
    file.write_text(f"app = 'served:wsgi'\nlisten-when-ready = true\nbind = ['127.0.0.1:{ports[0]}']")
    server = starting(supervise, "--config", "fastserve.toml")
    (tmp_path / "gate0").touch()
    server.log.wait_for("listening on")
    before = server.wait_for_workers(1)[0]
    file.write_text(file.read_text().replace("]", f", '127.0.0.1:{ports[1]}']"))
    write(APPLICATION.replace('"gate"', '"later"'))
    server.signal(signal.SIGHUP).log.wait_for("waits for later0\n")
    assert refused(("127.0.0.1", ports[1]))
    assert int(server.get("/", ("127.0.0.1", ports[0]))) == before
    (tmp_path / "later0").touch()
    server.log.wait_for("reloaded\n")
    assert until(lambda: server.wait_for_workers(1)[0] != before)
    after = server.wait_for_workers(1)[0]
    for port in ports:
        assert until(lambda port=port: int(server.get("/", ("127.0.0.1", port))) == after)  # type: ignore[misc]
    assert server.stop() == 0


def test_address_that_a_reload_cannot_have(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    file = tmp_path / "fastserve.toml"
    file.write_text(f"app = 'served:wsgi'\nlisten-when-ready = true\nbind = ['127.0.0.1:{ports[0]}']")
    server = starting(supervise, "--config", "fastserve.toml")
    (tmp_path / "gate0").touch()
    server.log.wait_for("listening on")
    before = server.wait_for_workers(1)
    file.write_text(file.read_text().replace("]", f", '127.0.0.1:{ports[1]}']"))
    write(APPLICATION.replace('"gate"', '"later"'))
    server.signal(signal.SIGHUP).log.wait_for("waits for later0\n")
    with socket.create_server(("127.0.0.1", ports[1])):
        (tmp_path / "later0").touch()
        server.log.wait_for("the reload failed, the workers go on as they are: cannot listen on ")
    assert server.wait_for_workers(1) == before
    assert server.stop() == 0


BIND = """
import os, socket, sys
bound = socket.socket()
bound.bind(("127.0.0.1", int(os.environ["BOUND"])))
os.dup2(bound.fileno(), 9)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("way", [(), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_inherited_socket_that_does_not_listen_yet(supervise: Supervise, tmp_path: Path, way: tuple[str, ...]) -> None:
    address = ("127.0.0.1", free_port())
    wrapper = (sys.executable, "-c", BIND)
    options = ("served:wsgi", WHEN_READY, "--fd", "9", *way)
    server = supervise(*options, wrapper=wrapper, listens=False, BOUND=str(address[1]))
    server.log.wait_for("waits for gate0\n")
    assert refused(address)
    (tmp_path / "gate0").touch()
    assert until(lambda: not refused(address))
    server.get("/", address)
    assert server.stop() == 0
