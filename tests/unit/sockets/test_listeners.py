"""Listening sockets: addresses, names, Unix sockets, inherited descriptors, and why one cannot be had."""

import errno
import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets import endpoint
from fastserve.sockets.inherited import activation
from fastserve.sockets.listeners import PLAIN, Listeners, SlotSockets, check, open_listeners
from kit.process import environment
from kit.waiting import PATIENCE

Open = Callable[..., Listeners]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def listen() -> Iterator[Open]:
    """Opens listeners by options; they are closed afterwards."""
    opened: list[Listeners] = []

    def new(**options: Any) -> Listeners:
        listeners = open_listeners(Config("a:b", **options))
        opened.append(listeners)
        return listeners

    yield new
    for each in opened:
        each.close()


def accepts(listener: socket.socket, family: int, place: Any) -> None:
    """Fails unless a connection to `place` arrives at the listener."""
    listener.settimeout(PATIENCE)
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(place)
        listener.accept()[0].close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def reason(**options: Any) -> str:
    with pytest.raises(StartError) as caught:
        open_listeners(Config("a:b", **options))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_port_0_is_a_free_one(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    host, port = listener.getsockname()
    assert host == "127.0.0.1"
    assert port != 0
    assert PLAIN.address(listener) == f"http://127.0.0.1:{port}"
    accepts(listener, socket.AF_INET, (host, port))


def test_sockets_do_not_block_and_are_not_inherited(listen: Open) -> None:
    (listener,) = listen(port=0).sockets
    assert listener.getblocking() is False
    assert listener.get_inheritable() is False


def test_port_is_free_again_after_a_connection(listen: Open) -> None:
    first = listen(port=0)
    place = first.sockets[0].getsockname()
    with socket.create_connection(place) as client:
        first.sockets[0].settimeout(PATIENCE)
        accepted, _ = first.sockets[0].accept()
        accepted.close()  # our side closes first and stays behind in TIME_WAIT
        assert client.recv(1) == b""
    first.close()
    assert listen(port=place[1]).sockets[0].getsockname() == place


@ipv6
def test_ipv6_address(listen: Open) -> None:
    for host in ("::1", "[::1]"):
        (listener,) = listen(host=host, port=0).sockets
        assert PLAIN.address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        accepts(listener, socket.AF_INET6, listener.getsockname())


@ipv6
def test_unspecified_ipv6_address_takes_ipv4_too(listen: Open) -> None:
    (listener,) = listen(host="::", port=0).sockets
    port = listener.getsockname()[1]
    accepts(listener, socket.AF_INET6, ("::1", port))
    accepts(listener, socket.AF_INET, ("127.0.0.1", port))


@ipv6
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("other", ["0.0.0.0", "127.0.0.1"])
def test_unspecified_ipv6_address_beside_one_of_ipv4(listen: Open, other: str, order: int) -> None:
    """It takes IPv6 alone then, whichever is written first, as by --bind 0.0.0.0:80 --bind [::]:80."""
    port = free_port()
    listeners = listen(bind=[f"{other}:{port}", f"[::]:{port}"][::order])
    sockets = {each.family: each for each in listeners.sockets}
    assert set(sockets) == {socket.AF_INET, socket.AF_INET6}
    accepts(sockets[socket.AF_INET], socket.AF_INET, ("127.0.0.1", port))
    accepts(sockets[socket.AF_INET6], socket.AF_INET6, ("::1", port))
    listeners.close()
    check(Config("a:b", bind=[f"{other}:{port}", f"[::]:{port}"]))


@ipv6
def test_unspecified_ipv6_address_that_comes_with_a_reload(listen: Open) -> None:
    port = free_port()
    with closing(SlotSockets.open(Config("a:b", bind=[f"0.0.0.0:{port}"]), 2)) as sockets:
        more = sockets.reopened(Config("a:b", bind=[f"0.0.0.0:{port}", f"[::]:{port}"]))
        assert more.addresses == (f"http://0.0.0.0:{port}", f"http://[::]:{port}")
        for each in (*more.of_slot(0), *more.of_slot(1)):
            if each.family == socket.AF_INET6:
                assert each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        more.close()


@ipv6
def test_other_ports_are_no_reason(listen: Open) -> None:
    first, second = free_port(), free_port()
    listener = listen(bind=[f"0.0.0.0:{first}", f"[::]:{second}"]).sockets[1]
    accepts(listener, socket.AF_INET, ("127.0.0.1", second))


@ipv6
def test_empty_host_is_every_interface(listen: Open) -> None:
    sockets = {each.family: each for each in listen(host="", port=0).sockets}
    assert set(sockets) == {socket.AF_INET, socket.AF_INET6}
    port = sockets[socket.AF_INET].getsockname()[1]
    accepts(sockets[socket.AF_INET], socket.AF_INET, ("127.0.0.1", port))
    accepts(sockets[socket.AF_INET6], socket.AF_INET6, ("::1", port))


def resolves_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    real = socket.getaddrinfo

    def several(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "several.test":
            return real(host, *rest, **more)
        return [found for each in hosts for found in real(each, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", several)


def test_every_address_of_a_name_with_one_port(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.1")
    first, second = (each.getsockname() for each in listen(host="several.test", port=0).sockets)
    assert (first[0], second[0]) == ("127.0.0.1", "127.0.0.2")
    assert first[1] == second[1]


def test_an_address_that_this_machine_has_not_is_left_out(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "192.0.2.1", "127.0.0.1")
    (listener,) = listen(host="several.test", port=0).sockets
    assert listener.getsockname()[0] == "127.0.0.1"


def test_one_address_in_use_is_an_error_and_closes_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = f"cannot listen on 127.0.0.1:{port}: address already in use"
        assert reason(host="several.test", port=port) == expected
        with socket.socket() as again:
            again.bind(("127.0.0.2", port))


def test_port_in_use(listen: Open) -> None:
    port = listen(port=0).sockets[0].getsockname()[1]
    assert reason(port=port) == f"cannot listen on 127.0.0.1:{port}: address already in use"


@pytest.mark.parametrize("main", [{"port": 81}, {"bind": [":80", "127.0.0.1:81"]}, {"host": "127.0.0.1", "port": 81}])
def test_an_address_that_is_to_be_plain_and_not(main: dict[str, Any]) -> None:
    config = Config("a:b", **main, insecure_bind=["127.0.0.1:81"], ssl_certfile=["a.pem"])
    with pytest.raises(StartError, match=r"^insecure_bind: 127\.0\.0\.1:81 is served with TLS; a plain address needs "):
        endpoint.configured(config, None)


def test_a_path_that_is_to_be_plain_and_not() -> None:
    config = Config("a:b", uds="/server", insecure_bind=["unix:/server"], ssl_certfile=["a.pem"])
    with pytest.raises(StartError, match=r"^insecure_bind: unix:/server is served with TLS; "):
        endpoint.configured(config, None)


def test_address_of_another_machine() -> None:
    assert reason(host="192.0.2.1", port=0) == "cannot listen on 192.0.2.1:0: cannot assign requested address"


def test_refused_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, _address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refusing)
    assert reason(port=80) == "cannot listen on 127.0.0.1:80: permission denied"


@pytest.mark.parametrize("host", ["no host", "a" * 64 + ".test", "x..y"])
def test_name_that_is_none(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(host=host, port=0).startswith(f"cannot listen on {host}: ")


def test_unix_socket(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert listeners.addresses[0] == f"unix:{path}"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))
    listeners.close()
    assert not path.exists()
    listeners.close()


def test_stale_unix_socket_is_replaced_and_keeps_its_mode(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen()
    path.chmod(0o600)
    listeners = listen(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_in_use(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    listeners = listen(uds=str(path))
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"
    accepts(listeners.sockets[0], socket.AF_UNIX, str(path))


def test_unix_socket_with_a_full_backlog_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        assert reason(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"


def test_another_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: there is a file that is not a socket"
    assert path.read_text() == "precious"


def test_unix_socket_in_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "none" / "server.sock"
    assert reason(uds=str(path)) == f"cannot listen on unix:{path}: no such file or directory"


def test_unix_socket_with_too_long_a_path() -> None:
    path = "/" + "x" * 200
    assert reason(uds=path) == f"cannot listen on unix:{path}: AF_UNIX path too long"


def test_a_successors_unix_socket_is_left_alone(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    mine = listen(uds=str(path))
    path.rename(tmp_path / "moved")
    theirs = listen(uds=str(path))
    mine.close()
    accepts(theirs.sockets[0], socket.AF_UNIX, str(path))


def test_mode_of_a_unix_socket(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    path.chmod(0o600)
    listen(uds=str(path), uds_mode="660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("1:2", (1, 2)),
        ("1", (1, 0)),
        (":2", (0, 2)),
        ("nobody", (pwd.getpwnam("nobody").pw_uid, 0)),
        ("root:root", (0, 0)),
    ],
)
def test_owner_of_a_unix_socket(listen: Open, tmp_path: Path, owner: str, expected: tuple[int, int]) -> None:
    path = tmp_path / "server.sock"
    listen(uds=str(path), uds_owner=owner)
    found = path.stat()
    assert (found.st_uid, found.st_gid) == expected
    assert stat.S_IMODE(found.st_mode) == 0o666


@pytest.mark.parametrize("owner", ["no-such-user", ":no-such-group", "4294967295"])
def test_owner_that_nobody_is(tmp_path: Path, owner: str) -> None:
    path = tmp_path / "server.sock"
    expected = f"--uds-owner {owner}: there is no such user or group"
    assert reason(uds=str(path), uds_owner=owner) == expected
    assert not path.exists()
    with pytest.raises(StartError, match=re.escape(expected)):
        check(Config("a:b", uds=str(path), uds_owner=owner))


def test_refused_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "server.sock"
    expected = f"cannot give unix:{path} to 1:1: operation not permitted"
    assert reason(uds=str(path), uds_owner="1:1") == expected
    assert not path.exists()


def test_abstract_unix_socket(listen: Open, tmp_path: Path) -> None:
    name = f"@{tmp_path}"
    listeners = listen(bind=(f"unix:{name}",))
    assert listeners.addresses[0] == f"unix:{name}"
    accepts(listeners.sockets[0], socket.AF_UNIX, f"\0{tmp_path}")
    assert reason(bind=(f"unix:{name}",)) == f"cannot listen on unix:{name}: address already in use"


def test_abstract_unix_socket_cannot_be_protected(tmp_path: Path) -> None:
    name = f"@{tmp_path}"
    expected = f"cannot listen on unix:{name}: an abstract name has neither mode nor owner; give a path"
    assert reason(uds=name, uds_mode="600") == expected


def test_several_addresses(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    inherited = socket.create_server(("127.0.0.1", 0))
    place = inherited.getsockname()
    listeners = listen(bind=("127.0.0.2:0", f"unix:{path}", f"fd://{inherited.detach()}", "127.0.0.1:0"))
    first, unix, third, last = listeners.sockets
    assert (first.getsockname()[0], third.getsockname(), last.getsockname()[0]) == ("127.0.0.2", place, "127.0.0.1")
    accepts(first, socket.AF_INET, first.getsockname())
    accepts(unix, socket.AF_UNIX, str(path))
    accepts(third, socket.AF_INET, place)
    accepts(last, socket.AF_INET, last.getsockname())
    listeners.close()
    assert not path.exists()
    assert all(each.fileno() == -1 for each in listeners.sockets)


@pytest.mark.parametrize("instead", ["uds", "fd"])
@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"host": "::1"}, "--host is not used: "),
        ({"host": "::1", "port": 80}, "--host and --port are not used: "),
        ({"port": 80}, "--port is not used: "),
        ({}, None),
    ],
)
def test_an_address_that_gives_way_is_named(
    listen: Open,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    instead: str,
    given: dict[str, Any],
    line: str | None,
) -> None:
    """As in uvicorn it is not listened on; somebody may have meant it."""
    if instead == "uds":
        listeners = listen(uds=str(tmp_path / "server.sock"), **given)
    else:
        listeners = listen(fd=socket.create_server(("127.0.0.1", 0)).detach(), **given)
    assert len(listeners.sockets) == 1
    expected = [] if line is None else [f"{line}--{instead} is given"]
    assert [each.getMessage() for each in caplog.records if each.name == "fastserve"] == expected


def test_one_address_that_fails_closes_all_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = {each.name for each in Path("/proc/self/fd").iterdir()}
        bind = (f"unix:{tmp_path}/server.sock", "127.0.0.1:0", f"127.0.0.1:{port}")
        assert reason(bind=bind) == f"cannot listen on 127.0.0.1:{port}: address already in use"
        assert {each.name for each in Path("/proc/self/fd").iterdir()} == before
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("listening", [True, False])
def test_inherited_descriptor(listen: Open, listening: bool) -> None:
    original = socket.socket()
    original.bind(("127.0.0.1", 0))
    if listening:
        original.listen()
    place = original.getsockname()
    listeners = listen(fd=original.detach())
    assert listeners.addresses[0] == f"http://127.0.0.1:{place[1]}"
    accepts(listeners.sockets[0], socket.AF_INET, place)


def test_descriptor_that_is_closed() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    assert reason(fd=reader) == f"cannot listen on descriptor {reader}: bad file descriptor"


def test_descriptor_that_is_no_socket() -> None:
    reader, writer = os.pipe()
    try:
        assert reason(fd=reader) == f"cannot listen on descriptor {reader}: socket operation on non-socket"
    finally:
        os.close(reader)
        os.close(writer)


def test_descriptor_of_a_datagram_socket() -> None:
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as datagram:
        assert reason(fd=datagram.fileno()) == f"cannot listen on descriptor {datagram.fileno()}: not a stream socket"
        datagram.getsockname()


def test_descriptor_of_a_connection() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server, closing(socket.socket()) as client:
        client.connect(server.getsockname())
        assert re.fullmatch(r"cannot listen on descriptor \d+: invalid argument", reason(fd=client.fileno()))
        client.getsockname()


# ---- --check


def bad(**options: Any) -> str:
    with pytest.raises(StartError) as caught:
        check(Config("a:b", **options))
    return str(caught.value)


def test_check_of_what_can_be_had_leaves_nothing_behind(tmp_path: Path) -> None:
    before = {each.name for each in Path("/proc/self/fd").iterdir()}
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        check(Config("a:b", bind=("127.0.0.1:0", f"unix:{tmp_path}/server.sock", f"fd://{inherited.fileno()}")))
        assert inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    assert {each.name for each in Path("/proc/self/fd").iterdir()} == before
    assert list(tmp_path.iterdir()) == []


def test_check_does_not_disturb_what_runs(listen: Open, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    tcp, unix = listen(bind=("127.0.0.1:0", f"unix:{path}")).sockets
    port = tcp.getsockname()[1]
    assert bad(port=port) == f"cannot listen on 127.0.0.1:{port}: address already in use"
    assert bad(uds=str(path)) == f"cannot listen on unix:{path}: address already in use"
    accepts(tcp, socket.AF_INET, tcp.getsockname())
    accepts(unix, socket.AF_UNIX, str(path))


def test_check_keeps_a_dead_servers_socket(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    check(Config("a:b", uds=str(path)))
    assert path.is_socket()


def test_check_of_what_cannot_be_had(tmp_path: Path) -> None:
    assert bad(host="192.0.2.1") == "cannot listen on 192.0.2.1:8000: cannot assign requested address"
    assert bad(uds=f"{tmp_path}/none/s") == f"cannot listen on unix:{tmp_path}/none/s: no such file or directory"
    reader, writer = os.pipe()
    try:
        assert bad(fd=reader) == f"cannot listen on descriptor {reader}: socket operation on non-socket"
    finally:
        os.close(reader)
        os.close(writer)


# ---- systemd's socket activation

ACTIVATED = """
import json, os, sys
descriptors, options, variables = json.loads(sys.argv[1])
for number, fd in enumerate(descriptors, 50):
    os.dup2(fd, number)
for number in range(len(descriptors)):
    os.dup2(50 + number, 3 + number)
os.environ.update({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": "a:b"})
os.environ.update(variables)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], json.dumps(options)])
"""

SERVICE = """
import json, logging, os, sys
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets.listeners import PLAIN, SlotSockets, open_listeners

logging.basicConfig(format="%(message)s", stream=sys.stdout)
options = json.loads(sys.argv[1])
slots, clients = options.pop("slots"), options.pop("clients")
try:
    if slots:
        owner = SlotSockets.open(Config("a:b", **options), slots)
        sockets = owner.shared
        assert not any(owner.of_slot(index) for index in range(slots))
    else:
        owner = open_listeners(Config("a:b", **options))
        sockets = owner.sockets
except StartError as error:
    sys.exit(f"error: {error}")
print(*(PLAIN.address(each) for each in sockets), flush=True)
print(*(each.fileno() for each in sockets), any(each.get_inheritable() for each in sockets))
print(*sorted(name for name in os.environ if name.startswith("LISTEN_")))
if slots and sockets:
    print(owner.reopened(Config("a:b", **options)).shared == sockets, list(owner.for_exec()[0]))
for each in sockets[:clients]:
    each.settimeout(60)
    each.accept()[0].sendall(b"activated")
"""


def activated(
    sockets: list[socket.socket], slots: int, clients: tuple[socket.socket, ...] = (), **options: Any
) -> "subprocess.CompletedProcess[str]":
    """A process that opens its listeners as systemd would start it; each client gets an answer of it."""
    fds = [each.fileno() for each in sockets]
    variables = options.pop("variables", {})
    arguments = [fds, {"slots": slots, "clients": len(clients), **options}, variables]
    done = subprocess.run(
        [sys.executable, "-c", ACTIVATED, json.dumps(arguments), SERVICE],
        env=environment(),
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0 or not clients, done.stderr
    for client in clients:
        assert client.recv(100) == b"activated"
    return done


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """What systemd would pass."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "service.sock"))
        unix.listen()
        yield [tcp, unix]


@pytest.mark.parametrize("slots", [0, 2])
def test_sockets_that_systemd_passes_stand_for_the_default(passed: list[socket.socket], slots: int) -> None:
    tcp, unix = passed
    with socket.create_connection(tcp.getsockname(), PATIENCE) as one, socket.socket(socket.AF_UNIX) as other:
        other.settimeout(PATIENCE)
        other.connect(unix.getsockname())
        done = activated(passed, slots, (one, other))
    assert (done.returncode, done.stderr) == (0, "")
    expected = [f"http://127.0.0.1:{tcp.getsockname()[1]} unix:{unix.getsockname()}", "3 4 False", ""]
    assert done.stdout.splitlines() == [*expected, *(["True ['LISTEN_FDS']"] if slots else [])]
    assert Path(unix.getsockname()).is_socket()  # systemd's, and stays


def test_sockets_that_systemd_passes_give_way_to_an_address(passed: list[socket.socket], tmp_path: Path) -> None:
    done = activated(passed, 0, uds=f"{tmp_path}/own.sock")
    assert (done.returncode, done.stderr) == (0, "")
    warning, addresses, *_ = done.stdout.splitlines()
    assert warning == "the sockets that systemd passes (LISTEN_FDS) are not used: an address is configured"
    assert addresses == f"unix:{tmp_path}/own.sock"


def test_what_systemd_passes_has_to_be_listeners(passed: list[socket.socket]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:
        done = activated([passed[0], datagram], 1)
    assert (done.returncode, done.stderr) == (1, "error: cannot listen on descriptor 4: not a stream socket\n")


def test_a_number_of_descriptors_that_is_none(passed: list[socket.socket]) -> None:
    done = activated(passed, 1, variables={"LISTEN_FDS": "two"})
    assert (done.returncode, done.stderr) == (1, "error: LISTEN_FDS: 'two' is not a number of descriptors\n")


def test_what_is_passed_to_another_process_is_not_taken() -> None:
    assert activation({}) is None
    assert activation({"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1"}) is None
    assert activation({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) is None
    found = activation({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})
    assert found is not None
    assert found.fds == (3, 4)
