"""The configured addresses together: which of them count, and that one which fails takes the others with it."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets import endpoint
from fastserve.sockets.listeners import check
from unit.sockets.opening import Open, accepts, reason


@pytest.mark.parametrize("main", [{"port": 81}, {"bind": [":80", "127.0.0.1:81"]}, {"host": "127.0.0.1", "port": 81}])
def test_an_address_that_is_to_be_plain_and_not(main: dict[str, Any]) -> None:
    config = Config("a:b", **main, insecure_bind=["127.0.0.1:81"], ssl_certfile=["a.pem"])
    with pytest.raises(StartError, match=r"^insecure_bind: 127\.0\.0\.1:81 is served with TLS; a plain address needs "):
        endpoint.configured(config, None)


def test_a_path_that_is_to_be_plain_and_not() -> None:
    config = Config("a:b", uds="/server", insecure_bind=["unix:/server"], ssl_certfile=["a.pem"])
    with pytest.raises(StartError, match=r"^insecure_bind: unix:/server is served with TLS; "):
        endpoint.configured(config, None)


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
