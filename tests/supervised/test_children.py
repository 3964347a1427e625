"""Processes that the application forks: they keep nothing of the server's, and the server goes on as without them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kit import tcp_table
from kit.client import Client
from kit.descriptors import opened
from kit.process import Output, environment
from kit.script import request
from kit.waiting import PATIENCE, UNHURRIED, until
from supervised.conftest import KINDS, Supervise, Write, amount
from supervised.session import empty, members
from supervised.supervised import Load, Supervised, acquainted, children, listening

APPLICATION = """
import ctypes, json, multiprocessing, os, signal, subprocess, sys, threading, time
from pathlib import Path

fork = multiprocessing.get_context("fork")
spawn = multiprocessing.get_context("spawn")
forkserver = multiprocessing.get_context("forkserver")
children = []

def sleep():
    time.sleep(3600)

def sleep_and_say(pipe):
    pipe.send("sleeps")
    while True:
        time.sleep(0.05)
        # Looks for signals, which Python 3.13 and newer do nowhere else in a process that a thread has forked.
        signal.pthread_sigmask(signal.SIG_BLOCK, [])

def exits():
    sys.exit(7)

def grandchild():
    '''A child of a child: what the child has opened meanwhile, under the numbers of what it has closed, stays open.'''
    files = [open(__file__, "rb") for _ in range(40)]
    pid = os.fork()
    if pid == 0:
        intact = [each.read() for each in files] == [Path(__file__).read_bytes()] * len(files)
        os._exit(0 if intact and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL else 1)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

def started(context, target, **options):
    child = context.Process(target=target, **options)
    child.start()
    children.append(child)
    return child

def joined(child):
    child.join(30)
    return child.exitcode

def do(path):
    match path:
        case "/fork":
            return started(fork, sleep, daemon=True).pid
        case "/fork-in-thread":
            thread = threading.Thread(target=started, args=(fork, sleep), kwargs={"daemon": True})
            thread.start()
            thread.join()
            return children[-1].pid
        case "/terminate":
            for child in children:
                child.terminate()
            return [joined(child) for child in children]
        case "/interrupt":
            ours, theirs = fork.Pipe()
            child = started(fork, sleep_and_say, args=(theirs,), daemon=True)
            ours.recv()  # one that comes during the fork is lost, by Python
            os.kill(child.pid, signal.SIGINT)
            return joined(child)
        case "/exits":
            return [joined(started(context, exits)) for context in (fork, spawn, forkserver)]
        case "/grandchild":
            return joined(started(fork, grandchild))
        case "/programs":
            echo = [sys.executable, "-c", "print(7)"]
            plain = subprocess.run(echo, capture_output=True).stdout.decode()
            prepared = subprocess.run(echo, capture_output=True, preexec_fn=os.getpid).stdout.decode()
            return [plain, prepared]
        case "/back":
            return os.fork()
        case "/unseen":
            pid = ctypes.CDLL(None).fork()
            if pid == 0:
                while True:
                    ctypes.CDLL(None).pause()
            return pid
        case "/reap":
            return [os.waitstatus_to_exitcode(os.wait()[1])]
        case "/slow":
            time.sleep(0.5)
    return os.getpid()

async def app(scope, receive, send):
    body = json.dumps(do(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def wsgi(environ, start_response):
    body = json.dumps(do(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""
TWO_KINDS = pytest.mark.parametrize("kind", [KINDS["uvloop"], KINDS["threads"]], ids=["asgi", "wsgi"])


@pytest.fixture(autouse=True)
def application(write: Write) -> None:
    write(APPLICATION)


def ask(server: Supervised, target: str) -> Any:
    return json.loads(server.get(target))


def lives(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def of_the_server(pid: int) -> list[str]:
    """What a process has open that is the server's: addresses, connections, the channel, the driver's epoll."""
    found = list(opened(pid).values())
    tcp = {row.inode for row in tcp_table.rows()}
    inodes = [each.removeprefix("socket:[").removesuffix("]") for each in found if each.startswith("socket:")]
    sockets = [inode for inode in inodes if inode in tcp]
    return [*sockets, *(each for each in found if "timerfd" in each or "fastserve" in each)]


def what_there_is(server: Supervised) -> Counter[str]:
    """How many processes there are of a server with two workers, and descriptors in them, by their kind."""
    server.wait_for_workers(2)
    found: Counter[str] = Counter()
    for pid in sorted(members(server.pid)):
        role = "supervisor" if pid == server.pid else "worker" if pid in children(server.pid) else "child"
        with suppress(FileNotFoundError, ProcessLookupError):
            links = opened(pid).values()
            found.update([role, *(re.sub(r"\d+", "", f"{role}: {each}") for each in links)])
    return found


def alone(server: Supervised, worker: int) -> bool:
    return set(members(server.pid)) == {server.pid, worker}


LOOPBACK = "0100007F:"
"""127.0.0.1 as /proc/net/tcp has it."""


def sockets_at(port: int) -> list[str]:
    """Lines of /proc/net/tcp with a socket of that port that some process might have: none in TIME_WAIT.

    At the server's own address: a client of another test may have the same port at another one.
    """
    found = [row for row in tcp_table.rows() if row.local == port and row.state != tcp_table.TIME_WAIT]
    return [row.line for row in found if row.line.split()[1].startswith(LOOPBACK)]


# ---- connections


def test_connections_come_to_their_end(supervise: Supervise, kind: tuple[str, ...], way: tuple[str, ...]) -> None:
    """Though a child lives that was forked while they were open."""
    server = supervise(*kind, *way, "--timeout-keep-alive", "5")
    with server.connect() as idle, server.connect() as closing, server.connect() as forking:
        assert idle.exchange(request("/")).status == 200
        assert closing.exchange(request("/")).status == 200
        child = json.loads(forking.exchange(request("/fork")).body)
        assert until(lambda: of_the_server(child) == [])
        assert closing.exchange(request("/", "Connection: close")).closes
        assert closing.closed()
        assert forking.closed()
        assert idle.closed()
        assert lives(child)
    assert server.stop() == 0


def test_child_that_a_thread_has_forked(supervise: Supervise, kind: tuple[str, ...]) -> None:
    server = supervise(*kind)
    child = ask(server, "/fork-in-thread")
    assert until(lambda: of_the_server(child) == [])
    assert ask(server, "/terminate") == [-signal.SIGTERM]
    assert server.stop() == 0


@TWO_KINDS
def test_connections_come_to_their_end_whatever_else_has_them(supervise: Supervise, kind: tuple[str, ...]) -> None:
    """A fork of a C library's calls no hook. Where the application forks, copies like that are reckoned with."""
    server = supervise(*kind, "--timeout-keep-alive", "5")
    with server.connect() as idle, server.connect() as forking:
        assert idle.exchange(request("/")).status == 200
        ask(server, "/fork")
        child = json.loads(forking.exchange(request("/unseen")).body)
        try:
            assert of_the_server(child) != []
            assert idle.closed()
            assert forking.closed()
        finally:
            os.kill(child, signal.SIGKILL)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


# ---- signals


def test_child_can_be_ended(supervise: Supervise, kind: tuple[str, ...], way: tuple[str, ...]) -> None:
    """And nobody else with it: its signals are not the server's."""
    server = supervise(*kind, *way)
    before = ask(server, "/")
    for _ in range(3):
        ask(server, "/fork")
    assert ask(server, "/terminate") == [-signal.SIGTERM] * 3
    assert ask(server, "/interrupt") == 1  # KeyboardInterrupt
    assert ask(server, "/") == before
    assert server.stop() == 0
    for text in ("stopping at once", "somebody else", "given up", "CRITICAL"):
        assert text not in server.log.text


def test_stop_with_a_child_that_lives(supervise: Supervise, kind: tuple[str, ...], way: tuple[str, ...]) -> None:
    """A daemon is ended by the exit handlers of multiprocessing; the address is free at once."""
    server = supervise(*kind, *way)
    child = ask(server, "/fork")
    assert server.stop() == 0
    assert until(lambda: not lives(child))
    assert empty(server.pid)
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_child_that_is_killed_during_the_stop_of_nobody(supervise: Supervise, kind: tuple[str, ...]) -> None:
    """SIGTERM to a child while a request of its parent's is at work: with one thread it is that thread's copy."""
    server = supervise(*kind, "--no-supervisor")
    child = ask(server, "/fork")
    with server.connect() as slow:
        slow.send(request("/slow"))
        os.kill(child, signal.SIGTERM)
        assert slow.answer().status == 200
    assert until(lambda: not lives(child))
    assert ask(server, "/reap") == [-signal.SIGTERM]
    assert server.stop() == 0


# ---- other children


def test_children_of_every_kind(supervise: Supervise, kind: tuple[str, ...], way: tuple[str, ...]) -> None:
    server = supervise(*kind, *way)
    before = ask(server, "/")
    assert ask(server, "/exits") == [7, 7, 7]
    assert ask(server, "/grandchild") == 0
    assert ask(server, "/programs") == ["7\n", "7\n"]
    assert ask(server, "/") == before
    assert server.stop() == 0


def test_child_that_comes_back(
    supervise: Supervise, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    """It is no second server: it ends, and the one answer is the parent's."""
    server = supervise(*kind, *way, "--pid", "server.pid", "--bind", "unix:server", listens=False)
    assert until((tmp_path / "server").exists)
    address = str(tmp_path / "server")
    server.log.wait_for("listening on")
    with Client(address, PATIENCE) as client:
        child = json.loads(client.exchange(request("/back")).body)
        assert child > 0
        assert json.loads(client.exchange(request("/reap")).body) == [1]
        assert client.exchange(request("/")).status == 200
    server.log.wait_for("process that the application has forked came back into the server: it ends here\n")
    assert (tmp_path / "server.pid").exists()
    assert (tmp_path / "server").exists()
    assert server.stop() == 0
    assert "Traceback" not in server.log.text


# ---- workers that come and go


@TWO_KINDS
def test_fewer_workers_while_children_live(supervise: Supervise, kind: tuple[str, ...]) -> None:
    """A child would keep the socket of a slot that is closed in the kernel's group, and connections would go astray."""
    server = supervise(*kind, "--workers", "2")
    server.wait_for_workers(2)
    forked: set[int] = set()
    while len(forked) < 6:
        forked.add(ask(server, "/fork"))
    with Load(server.address, 12) as load:
        for _ in range(amount(1, 10)):
            server.signal(signal.SIGTTOU).wait_for_workers(1)
            server.signal(signal.SIGTTIN).wait_for_workers(2)
            ask(server, "/fork")
        load.end_without_loss()
    assert server.stop() == 0
    assert empty(server.pid)


POOL = """
import atexit, concurrent.futures

if os.environ["POOL"] == "multiprocessing":
    pool = fork.Pool(2)
    work = lambda number: pool.apply(abs, (number,))
else:
    executor = concurrent.futures.ProcessPoolExecutor(2, fork)
    work = lambda number: executor.submit(abs, number).result()
assert work(-1) == 1
asked = 0

def do(path):
    '''Every tenth request is the pool's, which is at work whenever the worker is.'''
    global asked
    asked += 1
    if asked % 10 == 0:
        assert work(-asked) > 0
    return "served"
"""
OF_A_POOL = APPLICATION.replace("\nasync def app", POOL + "\nasync def app")


def all_have_begun(there: Counter[str]) -> bool:
    """Whether each process of the pools has got to its work.

    multiprocessing opens /dev/null in place of its input before that: those that have and those that have not differ by
    one. One of each pool has, or its worker would not serve.
    """
    return there["child: /dev/null"] % there["child"] == 0


@pytest.mark.parametrize("pool", ["multiprocessing", "futures"])
@TWO_KINDS
def test_a_pool_in_each_worker(supervise: Supervise, write: Write, kind: tuple[str, ...], pool: str) -> None:
    """Through reloads, scaling and recycling: nothing is lost, nothing is left."""
    write(OF_A_POOL)
    recycling = ("--max-requests", "300", "--max-requests-jitter", "200", "--log-level", "debug")
    server = supervise(*kind, "--workers", "2", *recycling, POOL=pool)
    assert until(lambda: acquainted(server.wait_for_workers(2).values()))
    assert until(lambda: all_have_begun(what_there_is(server)))
    before = what_there_is(server)
    with Load(server.address, 12) as load:
        for _ in range(amount(2, 20)):
            start = len(server.log.text)
            server.signal(signal.SIGHUP).log.wait_for("reloaded\n", start=start)
            server.signal(signal.SIGTTIN)
            assert until(lambda: 2 in server.workers("serving"))
            server.signal(signal.SIGTTOU)
            assert until(lambda: 2 not in server.workers())
            server.log.wait_for("is replaced: max requests", start=start)
        seen = load.end_without_loss()
    assert seen["bodies"].keys() == {'"served"'}
    assert until(lambda: what_there_is(server) <= before), f"too many: {what_there_is(server) - before}"
    assert server.stop() == 0
    assert empty(server.pid)
    assert sockets_at(server.port) == []
    with socket.create_server(("127.0.0.1", server.port)):
        pass
    assert "ERROR" not in server.log.text
    assert "Traceback" not in server.log.text


SLEEPS = OF_A_POOL + "\n(Path(__file__).parent / 'pooled').touch()\nsleep()\n"
SWALLOWS = OF_A_POOL + "\n(Path(__file__).parent / 'pooled').touch()\ntry:\n    sleep()\nexcept:\n    pass\n"


@pytest.mark.parametrize("pool", ["multiprocessing", "futures"])
@pytest.mark.parametrize("source", [SLEEPS, SWALLOWS], ids=["ends", "swallows"])
@TWO_KINDS
def test_a_worker_that_is_ended_during_its_import(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], source: str, pool: str
) -> None:
    """By a reload that overtakes another, and by a stop: its pool ends with it."""
    server = supervise(*kind, POOL=pool)
    write(source)
    server.signal(signal.SIGHUP)
    assert until((tmp_path / "pooled").exists)
    (tmp_path / "pooled").unlink()
    write(APPLICATION)
    start = len(server.log.text)
    server.signal(signal.SIGHUP).log.wait_for("reloaded\n", start=start)
    [worker] = server.wait_for_workers(1).values()
    assert until(partial(alone, server, worker))
    write(source)
    server.signal(signal.SIGHUP)
    assert until((tmp_path / "pooled").exists)
    assert server.stop() == 0
    assert empty(server.pid)
    assert "Traceback" not in server.log.text


BUSY = """
import concurrent.futures
executor = concurrent.futures.ProcessPoolExecutor(2, fork)

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()

def do(path):
    if path == "/pool":
        executor.submit(sleep)
        executor.submit(abs, 1).result()
    elif path == "/process":
        started(fork, sleep)
    elif path == "/stubborn":
        started(fork, stubborn)
    return os.getpid()
"""


@pytest.mark.parametrize("target", ["/pool", "/process", "/stubborn"])
@TWO_KINDS
def test_stop_while_a_process_is_at_work(
    supervise: Supervise, write: Write, kind: tuple[str, ...], way: tuple[str, ...], target: str
) -> None:
    """Python would wait for it as long as it lasts."""
    write(APPLICATION.replace("\nasync def app", BUSY + "\nasync def app"))
    server = supervise(*kind, *way)
    ask(server, target)
    assert server.stop() == 0
    assert "processes that did not end: " in server.log.text
    assert empty(server.pid)


AFTER_THE_IMPORT = """
import asyncio
from fastserve.worker import wsgi as threaded_worker

def late(call):
    def called(*arguments, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return call(*arguments, **named)
    return called

started(fork, sleep, daemon=True)
asyncio.Runner.__enter__ = late(asyncio.Runner.__enter__)
threaded_worker.room_for_bodies = late(threaded_worker.room_for_bodies)
"""


@TWO_KINDS
def test_a_worker_that_is_ended_between_its_import_and_its_first_connection(
    supervise: Supervise, write: Write, kind: tuple[str, ...]
) -> None:
    server = supervise(*kind)
    write(APPLICATION + AFTER_THE_IMPORT)
    server.signal(signal.SIGHUP).log.wait_for("the reload failed, the workers go on as they are: SIGTERM has ended it")
    [worker] = server.wait_for_workers(1).values()
    assert until(partial(alone, server, worker))
    assert server.stop() == 0


# ---- an application that is imported before the fork


AT_IMPORT = (
    "\nchild = started(fork, sleep, daemon=True)\n(Path(__file__).parent / 'child').write_text(str(child.pid))\n"
)


@pytest.mark.parametrize("way", [("--preload",), ("--preload", "--workers", "2"), (), ("--no-supervisor",)])
@TWO_KINDS
def test_fork_at_the_import(
    supervise: Supervise, write: Write, tmp_path: Path, kind: tuple[str, ...], way: tuple[str, ...]
) -> None:
    write(APPLICATION.replace("\nasync def app", AT_IMPORT + "\nasync def app"))
    server = supervise(*kind, *way)
    server.get("/")
    child = int((tmp_path / "child").read_text())
    assert until(lambda: of_the_server(child) == [])
    assert until(lambda: listening(child) == set())
    os.kill(child, signal.SIGTERM)
    assert until(lambda: not lives(child))
    server.get("/")
    assert server.stop() == 0
    assert "somebody else" not in server.log.text


# ---- embedded


PROGRAM = (
    APPLICATION
    + """
import asyncio
import fastserve

def ended():
    print("the program heard", flush=True)

async def main():
    kind, loop, handlers = sys.argv[1:]
    if handlers == "loop":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended)
    config = fastserve.Config(globals()[kind], port=0, lifespan="auto", timeout_keep_alive=3)
    server = fastserve.Server(config)
    task = asyncio.create_task(server.serve())
    await server.wait_started()
    print(server.addresses[0].rpartition(":")[2], flush=True)
    print("ended", await task, flush=True)

if __name__ == "__main__":
    if sys.argv[2] == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
"""
)


@pytest.mark.parametrize("handlers", ["none", "loop"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("app", ["app", "wsgi"])
def test_embedded(tmp_path: Path, app: str, loop: str, handlers: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), app, loop, handlers]
    with subprocess.Popen(
        command, env={**environment(), **UNHURRIED}, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as program:
        assert program.stdout is not None
        output = Output(program.stdout)
        try:
            port = int(output.wait(lambda text: "\n" in text).split()[0])
            with Client(("127.0.0.1", port), PATIENCE) as client:
                child = json.loads(client.exchange(request("/fork")).body)
                assert until(lambda: of_the_server(child) == [])
                assert client.closed()
            with Client(("127.0.0.1", port), PATIENCE) as client:
                assert json.loads(client.exchange(request("/terminate")).body) == [-signal.SIGTERM]
                assert json.loads(client.exchange(request("/interrupt")).body) == 1
                assert json.loads(client.exchange(request("/grandchild")).body) == 0
                assert json.loads(client.exchange(request("/")).body) == program.pid
            assert "the program heard" not in output.text
            program.send_signal(signal.SIGTERM)
            assert program.wait(PATIENCE) == (0 if handlers == "loop" else -signal.SIGTERM)
            assert empty(program.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
