"""A scene: some clients whose steps are interleaved, while the server runs, stands still, or is late."""

import random
import select
import ssl
import time
from collections.abc import Iterable

from kit.certificates import shared
from stress.client import Client
from stress.process import Broken, Process
from stress.scripts import Draw

PATIENCE = 30.0
"""Seconds that a client stays for an answer, far beyond every deadline of server and application."""

HANDSHAKE_WITHIN = 10.0
FIRST_ACT_WITHIN = 5.0


def contexts() -> dict[str, ssl.SSLContext]:
    """Of the client's side, by what ALPN asks for."""
    return {name: shared().context(name) for name in ("http/1.1", "h2")}


class Stage:
    """Plays scenes on one server. Clients that still wait when their scene is over are looked after in the next.

    only: the clients that play, by name; shown: their scripts are printed.
    """

    def __init__(
        self, process: Process, contexts: dict[str, ssl.SSLContext], only: set[str] | None = None, shown: bool = False
    ) -> None:
        self.process = process
        self.only = only
        self.shown = shown
        self.contexts = contexts
        self.waiting: list[Client] = []
        self.played = 0
        self.requests = 0

    def play(self, draw: Draw) -> None:
        rng = draw.rng
        clients = [draw.client(number) for number in range(rng.choice([1, 2, 3, 5, 8, 12, 12, 30]))]
        if self.only is not None:
            clients = [each for each in clients if each.name in self.only]
        if self.shown:
            print(*map(show, clients), sep="\n", flush=True)
        self.played += 1
        self.requests += sum(len(each.requests) for each in clients)
        late = rng.random() < 0.4
        for each in clients:
            if not late or each.way.value == "tls" or each.before_act:
                self.open(each)
        stalls = rng.random() < 0.5
        over_deadline = rng.choice([0.15, 0.35, 0.65, 1.05]) if rng.random() < 0.25 else 0.0
        self.first_act(clients)
        time.sleep(rng.choice([0.0, 0.0, 0.02, 0.08]))
        try:
            if stalls:
                self.process.stall()
            for each in clients:
                if each.fileno() < 0 and not each.over:
                    self.open(each)
            self.interleave(rng, clients, stalls, over_deadline)
        finally:
            self.process.go_on()
        self.waiting += [each for each in clients if not each.over]
        self.look_after(self.waiting, 0.0)

    def first_act(self, clients: list[Client]) -> None:
        """Plays what comes before the rest: connections that have served once and are idle."""
        until = time.monotonic() + FIRST_ACT_WITHIN
        while (playing := [each for each in clients if each.before_act]) and time.monotonic() < until:
            for each in playing:
                each.step()
            if all(each.waiting for each in playing):
                select.select(readable(playing), writable(playing), [], 0.02)

    def open(self, client: Client) -> None:
        try:
            client.connect(self.process.places, self.contexts[client.alpn[0]])
            deadline = time.monotonic() + HANDSHAKE_WITHIN
            while client.handshaking and not client.over and time.monotonic() < deadline:
                select.select([client], [], [], 0.05)
                client.read(1 << 16)
        except OSError as error:
            if self.process.has_ended(5.0):
                self.process.gone()
            raise Broken(f"client {client.name} ({client.way.value}) cannot connect: {error}") from error

    def interleave(self, rng: random.Random, clients: list[Client], stalled: bool, pause: float) -> None:
        """Steps in a random order, until all are done or wait for answers."""
        active = list(clients)
        lingering = rng.random() < 0.3
        paused_at = rng.randrange(20) if pause else -1
        count = 0
        while active:
            client = rng.choice(active)
            client.step()
            count += 1
            if client.over or client.waiting:
                active.remove(client)
            if count == paused_at or (pause and not active and count < paused_at):
                time.sleep(pause)
            if stalled and rng.random() < 0.05:
                self.process.go_on()
                stalled = False
            if lingering and rng.random() < 0.3:
                time.sleep(rng.choice([0.0005, 0.002, 0.01]))

    def look_after(self, clients: list[Client], seconds: float) -> None:
        """Reads for those that wait, so long or until all are done. Raises Broken where one has waited too long."""
        until = time.monotonic() + seconds
        while clients:
            now = time.monotonic()
            select.select(readable(clients), writable(clients), [], min(0.05, max(0.0, until - now)))
            for client in clients:
                client.flush()
                while not client.over and not client.waiting:
                    client.step()
                client.step()
                self.check(client, now)
            clients[:] = [each for each in clients if not each.over]
            if now >= until:
                return

    def check(self, client: Client, now: float) -> None:
        if client.garbled:
            raise Broken(f"client {client.name} ({client.way.value}): {client.garbled}")
        if not client.over and client.waits_since and now - client.waits_since > PATIENCE:
            open_requests = [each.mark for each in client.requests if each.outcome.value == "open"]
            states = self.process.ask("ended", marks=open_requests)
            raise Broken(
                f"client {client.name} ({client.way.value}) waits in vain: {states}\n"
                f"{self.process.ask('look')}\n{self.process.ask('tasks')}\n{self.process.stacks()}"
            )
        unanswered = client.unanswered() if client.over else []
        if unanswered:
            states = self.process.ask("ended", marks=[each.mark for each in unanswered])
            lost = [mark for mark, state in states.items() if state == "complete"]
            if lost:
                raise Broken(f"client {client.name} ({client.way.value}): closed without the answers to {lost}")


def show(client: Client) -> str:
    """A client's script, long pieces shortened."""
    lines = [f"client {client.name} by {client.way.value}, {'stays' if client.stays else 'leaves'}"]
    for step in client.steps:
        data = repr(step.data) if len(step.data) < 1000 else f"{step.data[:700]!r}... {len(step.data)} bytes"
        lines.append(f"    {step.kind} {data if step.data else step.size or ''}")
    return "\n".join(lines)


def readable(clients: Iterable[Client]) -> list[Client]:
    return [each for each in clients if not each.over]


def writable(clients: Iterable[Client]) -> list[Client]:
    return [each for each in clients if not each.over and each.out]
