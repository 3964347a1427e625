"""Three servers, each upgraded as docs/deployment.md says, while the others serve."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fleet.balancer import DRAIN_DELAY, MANNERS, PROXY, Balancer
from fleet.load import Load
from kit.answer import BrokenAnswer
from kit.client import Client
from kit.script import request
from kit.waiting import PATIENCE, until
from supervised.supervised import Supervised

TESTS = Path(__file__).resolve().parent.parent
HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
KINDS = (
    ("fleet.application:asgi", "--loop", "asyncio"),
    ("fleet.application:asgi", "--loop", "uvloop"),
    ("fleet.application:wsgi", "--threads", "16"),
)
WORKERS = 2


class Member:
    """One server of the fleet, as whoever deploys it handles it."""

    def __init__(self, number: int, port: int, admin: int, folder: Path) -> None:
        self.number = number
        self._port, self._admin = port, admin
        self._folder = folder
        self.server: Supervised | None = None

    def start(self) -> None:
        """Waits until it is ready."""
        host = HOSTS[self.number]
        self.server = Supervised(
            *KINDS[self.number],
            *("--app-dir", str(TESTS), "--workers", str(WORKERS), "--no-access-log"),
            *("--bind", f"{host}:{self._port}", "--admin", f"{host}:{self._admin}", "--drain-delay", str(DRAIN_DELAY)),
            *("--proxy-protocol", "--proxy-allow-from", PROXY),
            directory=self._folder,
            variables={"CHANGES": str(self._folder / "changes")},
        )
        assert until(self._ready), self.server.log.text

    def _ready(self) -> bool:
        try:
            with Client((HOSTS[self.number], self._admin), PATIENCE) as client:
                return client.exchange(request("/readyz", "Connection: close")).status == 200
        except (BrokenAnswer, OSError):
            return False

    def restart(self) -> None:
        """By TERM, and another start."""
        assert self.server is not None
        status = self.server.stop()
        assert status == 0, f"exit status {status}\n{self.server.log.text}"
        self._check_log()
        self.start()

    def reload(self) -> None:
        """By HUP; the old workers are gone at the end."""
        assert self.server is not None
        start = len(self.server.log.text)
        self.server.signal(signal.SIGHUP).log.wait_for("reloaded\n", start=start)
        self.server.wait_for_workers(WORKERS)

    def end(self) -> None:
        if self.server is not None:
            self._check_log()
            self.server.kill()

    def _check_log(self) -> None:
        assert self.server is not None
        for text in ("ERROR", "WARNING", "Traceback"):
            assert text not in self.server.log.text, self.server.log.text


@dataclass
class Fleet:
    """What runs together."""

    members: list[Member]
    balancer: Balancer
    load: Load
    did: list[str] = field(default_factory=list)

    def upgrade(self, member: Member, how: str) -> None:
        """One server, by `restart` or `reload`, until HAProxy sees it again in all manners."""
        getattr(member, how)()
        self._wait_until_up(member)
        self.did.append(f"{how} of server {member.number + 1}")

    def _wait_until_up(self, member: Member) -> None:
        assert until(lambda: self.balancer.sees(member.number) == {"UP"}), self.balancer.sees(member.number)


@contextmanager
def fleet(folder: Path, connections: int) -> Iterator[Fleet]:
    """Under load from its beginning to its end."""
    port, admin = free_ports(2)
    with ExitStack() as stack:
        members = [Member(number, port, admin, folder) for number in range(len(HOSTS))]
        for each in members:
            stack.callback(each.end)
            each.start()
        balancer = stack.enter_context(Balancer(folder, HOSTS, port, admin))
        addresses = {each: balancer.address(each) for each in MANNERS}
        assert until((folder / "haproxy.sock").exists), balancer.log.text
        assert until(lambda: all(balancer.sees(each.number) == {"UP"} for each in members)), balancer.log.text
        with Load(addresses, folder / "changes", connections) as load:
            yield Fleet(members, balancer, load)


def free_ports(count: int) -> list[int]:
    """Ports that all the hosts have. Nobody takes them in between: what connects somewhere does so from 127.0.0.1."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            first = stack.enter_context(socket.create_server((HOSTS[0], 0)))
            port = first.getsockname()[1]
            try:
                for host in HOSTS[1:]:
                    stack.enter_context(socket.create_server((host, port)))
            except OSError:
                continue
            found.append(port)
        return found
