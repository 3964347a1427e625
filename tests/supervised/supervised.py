"""A supervisor as a real process, its workers as /proc shows them, and a load beside it that counts what is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kit import tcp_table
from kit.answer import Answer
from kit.client import Address, Client
from kit.descriptors import opened
from kit.process import Output, ServerProcess
from kit.script import request
from kit.waiting import PATIENCE, UNHURRIED, until

TESTS = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "fastserve"]
ADMIN = "admin.sock"
WORKER = re.compile(r"fastserve: worker (\d+) \((\w+)\)")


class Supervised(ServerProcess):
    """The command with a supervisor, as the first process of a group, which ends with it.

    arguments: of the command; `--port 0` is added where no address is given.
    directory: the working directory, where the application's module is.
    variables: beside those of this process.
    wrapper: a command that ends in becoming the one that follows it.
    """

    def __init__(
        self,
        *arguments: str,
        directory: Path,
        variables: Mapping[str, str] | None = None,
        listens: bool = True,
        wrapper: Sequence[str] = (),
    ) -> None:
        addressed = {"--port", "--bind", "--uds", "--fd", "--config"} & set(arguments)
        super().__init__(
            [*wrapper, *COMMAND, *arguments, *([] if addressed else ["--port", "0"])],
            {**os.environ, "PYTHONUNBUFFERED": "1", **UNHURRIED, **(variables or {})},
            directory=directory,
            group=True,
        )
        if listens:
            self.wait_until_it_listens()

    @property
    def log(self) -> Output:
        return self.stderr

    def workers(self, state: str | None = None) -> dict[int, int]:
        """The workers by their titles: process IDs by slot; of several in one slot, any."""
        found = {}
        for pid in children(self.pid):
            match = WORKER.match(title(pid))
            if match is not None and state in (None, match[2]):
                found[int(match[1])] = pid
        return found

    def wait_for_workers(self, count: int, state: str = "serving", timeout: float = PATIENCE) -> dict[int, int]:
        """Waits until exactly this many workers are in that state, and there is no other worker: the supervisor
        has heard of those that have ended."""
        assert until(lambda: len(self.workers(state)) == count == len(self._all_workers()), timeout), (
            f"never {count} workers that are {state}: {[title(pid) for pid in children(self.pid)]}\n{self.log.text}"
        )
        return self.workers(state)

    def _all_workers(self) -> list[int]:
        return [pid for pid in children(self.pid) if WORKER.match(title(pid)) or ended(pid)]

    def connect(self, timeout: float = PATIENCE) -> Client:
        return Client(self.address, timeout)

    def get(self, target: str = "/", address: Address | None = None) -> bytes:
        """The body of a GET on a connection of its own; the status must be 200."""
        answer = _ask(self.address if address is None else address, target)
        assert answer.status == 200, answer
        return answer.body

    def admin(self, target: str) -> Answer:
        """What the admin address says, which has to be the Unix socket ADMIN in the working directory."""
        return _ask(str(self.directory / ADMIN), target)

    def seen(self) -> list[dict[str, Any]]:
        """The workers as /workers shows them."""
        found: list[dict[str, Any]] = json.loads(self.admin("/workers").body)
        return found

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        return self.signal(signal.SIGTERM).wait()


class Load:
    """A closed loop of connections in a process of its own; `end` gives what it saw."""

    def __init__(self, address: Address, connections: int = 32, target: str = "/") -> None:
        where = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kit.closed_loop", where, str(connections), target],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "running\n"
        return self

    def end(self) -> dict[str, Any]:
        """Ends the load: `answered`, `failures`, `bodies`, `slowest`."""
        output, _ = self._process.communicate(timeout=PATIENCE)
        seen: dict[str, Any] = json.loads(output)
        return seen

    def end_without_loss(self) -> dict[str, Any]:
        """The same; AssertionError when anything was lost."""
        seen = self.end()
        assert not seen["failures"], "\n".join(seen["failures"][:20])
        assert seen["answered"] > 0
        return seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def _ask(address: Address, target: str) -> Answer:
    with Client(address) as client:
        return client.exchange(request(target, "Connection: close"))


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def ended(pid: int) -> bool:
    """Whether a process has ended, and its parent has not taken its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def begun(supervised: Supervised, target: str) -> Client:
    """Sends a request, and waits until the application has it: it writes "in the application"."""
    start = len(supervised.log.text)
    client = supervised.connect().send(request(target))
    supervised.log.wait_for("in the application\n", start=start)
    return client


def listening(pid: int) -> set[tuple[int, str]]:
    """The ports that a process listens on, each with the socket's inode."""
    ports = {row.inode: row.local for row in tcp_table.rows() if row.state == tcp_table.LISTEN}
    sockets = [re.fullmatch(r"socket:\[(\d+)\]", each) for each in opened(pid).values()]
    return {(ports[match[1]], match[1]) for match in sockets if match is not None and match[1] in ports}


def acquainted(pids: Iterable[int]) -> bool:
    """Whether workers know each other: each has its channel, its mailbox, and a way to that of each sibling."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    packets = {f"socket:[{line[6]}]" for line in lines if int(line[4], 16) == socket.SOCK_SEQPACKET}
    workers = list(pids)
    return all(sum(link in packets for link in opened(pid).values()) == 2 + len(workers) - 1 for pid in workers)
