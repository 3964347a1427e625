"""What a run's server is like, drawn from the run's seed."""

import random
from dataclasses import dataclass, field, replace

INTERFACES = ("asgi", "wsgi")
LOOPS = ("asyncio", "uvloop")
THREADS = (1, 8)


@dataclass(frozen=True)
class Setting:
    seed: str
    interface: str
    loop: str
    threads: int
    tls: bool
    options: dict[str, str] = field(default_factory=dict)
    receive_buffer: int = 0
    """SO_RCVBUF of the listener, and so of its connections; 0 leaves it to the kernel."""
    gc_threshold: int = 0
    switch_interval: float = 0.0
    handler_raises: float = 0.0
    """The share of log records whose handler raises."""
    busy_stop: bool = False
    """The server is stopped with clients that are at it."""

    @property
    def name(self) -> str:
        how = self.loop if self.interface == "asgi" else f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.interface} {how} {'TLS' if self.tls else 'plain'}"

    @property
    def application(self) -> str:
        return f"stress.{self.interface}_application:app"

    def arguments(self, known: str) -> list[str]:
        """The command line, but for the addresses. `known`: the text of the table that has all options; those of today
        are left out where a package of yesterday is stressed."""
        found = ["--no-supervisor", "--interface", "wsgi" if self.interface == "wsgi" else "asgi3"]
        found += ["--loop", self.loop, "--threads", str(self.threads)]
        found += ["--asgi-extensions", "early_hint,pathsend,trailers,zerocopysend"]
        for name, value in self.options.items():
            if name.replace("-", "_").removeprefix("no_") not in known:
                continue
            found += [f"--{name}", value] if value else [f"--{name}"]
        return found

    def quirks(self) -> dict[str, object]:
        """What makes the interpreter and the log harder than they are."""
        return {
            "seed": self.seed,
            "gc_threshold": self.gc_threshold,
            "switch_interval": self.switch_interval,
            "handler_raises": self.handler_raises,
        }


def draw_options(rng: random.Random) -> dict[str, str]:
    """Deadlines of a second and less; every other limit at its default or small."""
    seconds = ["0.3", "0.6", "1"]
    options = {
        "timeout-first-byte": rng.choice(seconds),
        "timeout-request-head": rng.choice(seconds),
        "timeout-keep-alive": rng.choice(["0.1", "0.3", "1"]),
        "timeout-request-body": rng.choice(seconds),
        "timeout-write": rng.choice(["0.6", "1"]),
        "timeout-request": rng.choice(["0", "0", "0.4", "1"]),
        "h2-ping-interval": rng.choice(seconds),
        "h2-ping-timeout": rng.choice(seconds),
        "ws-ping-interval": rng.choice(seconds),
        "ws-ping-timeout": rng.choice(seconds),
        "ws-handshake-timeout": "1",
        "ws-close-timeout": rng.choice(seconds),
        "ws-drain-timeout": "0.3",
        "timeout-graceful-shutdown": "2",
        "ssl-handshake-timeout": "1",
        "limit-concurrency": rng.choice(["0", "0", "0", "4", "20"]),
        "limit-pipelined": rng.choice(["1", "2", "64"]),
        "limit-keep-alive-requests": rng.choice(["0", "0", "3"]),
        "limit-request-body": rng.choice(["1G", "200K"]),
        "body-buffer-size": rng.choice(["4K", "64K", "512K"]),
        "h2-max-streams": rng.choice(["4", "128"]),
        "h2-stream-window": rng.choice(["64K", "256K"]),
        "ws-max-queue": rng.choice(["1", "32"]),
        "ws-max-size": rng.choice(["64K", "16M"]),
        "ws-deflate-min-size": rng.choice(["0", "256"]),
        "log-level": rng.choice(["info", "debug"]),
        "limit-buffered": rng.choice(["256M", "256M", "1M"]),
        "limit-body-files": rng.choice(["1G", "1G", "2M"]),
        "timeout-response-idle": rng.choice(["0", "0", "0.5"]),
        "timeout-response": rng.choice(["0", "0", "0.7"]),
        "timeout-client-gone": rng.choice(["0", "0.2"]),
        "limit-queue": rng.choice(["0", "0", "1", "8"]),
        "queue-timeout": rng.choice(["0", "0", "0.05", "0.3"]),
        "log-rate-limit": "0",
        "proxy-protocol": "",
        "proxy-allow-from": "127.0.0.2",
    }
    if options["limit-concurrency"] == "0":
        options["limit-queue"] = "0"
    if rng.random() < 0.5:
        options["no-access-log"] = ""
    return options


def draw_setting(
    seed: str,
    interface: str | None = None,
    loop: str | None = None,
    threads: int | None = None,
    tls: bool | None = None,
) -> Setting:
    """The setting of this seed; what is given is taken as it is, and changes nothing of the rest."""
    rng = random.Random(f"{seed} setting")
    drawn = Setting(
        seed=seed,
        interface=rng.choice(INTERFACES),
        loop=rng.choice(LOOPS),
        threads=rng.choice(THREADS),
        tls=rng.random() < 0.5,
        options=draw_options(rng),
        receive_buffer=rng.choice([0, 0, 4 << 20, 8192]),
        gc_threshold=rng.choice([0, 0, 1]),
        switch_interval=rng.choice([0.0, 1e-6]),
        handler_raises=rng.choice([0.0, 0.0, 0.0, 0.1, 1.0]),
        busy_stop=rng.random() < 0.3,
    )
    return replace(
        drawn,
        interface=interface or drawn.interface,
        loop=loop or drawn.loop,
        threads=threads or drawn.threads,
        tls=drawn.tls if tls is None else tls,
    )
