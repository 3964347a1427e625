"""A worker that stands in for a sibling whose sockets nobody serves: with TLS where they have it, plain where not."""

import os
import re
import signal
import socket

from kit.certificates import shared
from kit.script import request
from kit.waiting import FAR, PATIENCE
from supervised.conftest import Supervise, Write

SECURE = re.compile(r"listening on https://127.0.0.1:(\d+)\n")
PLAIN = re.compile(r"listening on http://127.0.0.2:(\d+)\n")


def test_sockets_of_a_dead_sibling_keep_their_kind(supervise: Supervise, write: Write) -> None:
    certificate, key = shared().standing()
    supervised = supervise(
        *("served:app", "--workers", "2", "--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)),
        *("--insecure-bind", "127.0.0.2:0"),
        listens=False,
    )
    secure = ("127.0.0.1", int(supervised.log.wait_for_match(SECURE)[1]))
    open_to_all = ("127.0.0.2", int(supervised.log.wait_for_match(PLAIN)[1]))
    workers = supervised.wait_for_workers(2)
    write(f"import time\ntime.sleep({FAR})")  # the one that follows does not come to serve
    os.kill(workers[0], signal.SIGKILL)
    answers = [each for _ in range(12) for each in (_ask_secure(secure), _ask(open_to_all))]
    assert supervised.workers("serving") == {1: workers[1]}, "the sibling has followed, nobody had to stand in"
    assert all(each.endswith(f"1 {workers[1]}".encode()) for each in answers), answers


def _ask_secure(address: tuple[str, int]) -> bytes:
    with (
        socket.create_connection(address, PATIENCE) as plain,
        shared().context().wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(request("/"))
        return wire.recv(1000)


def _ask(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, PATIENCE) as wire:
        wire.sendall(request("/"))
        return wire.recv(1000)
