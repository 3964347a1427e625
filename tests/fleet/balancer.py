"""HAProxy as `examples/deploy` configures it, with addresses of this machine and in a quicker time."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from kit.process import Output
from kit.waiting import PATIENCE

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "deploy"
ALSO = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where HAProxy may be that is on nobody's path but root's."""

FASTER = 5
"""The times between health checks are a fifth of the example's, and so is the servers' drain delay."""

DRAIN_DELAY = 5 / FASTER
PROXY = "127.0.0.9"
"""The address from which HAProxy connects where it sends a PROXY protocol header."""

HTTP, H2, PROXIED, TCP = MANNERS = ("http", "h2", "proxied", "tcp")
"""HTTP/1.1 to the servers, HTTP/2, HTTP/1.1 after a PROXY header, and connections that are passed on after one."""


def program() -> str | None:
    return shutil.which("haproxy", path=f"{os.environ['PATH']}:{ALSO}")


class Balancer:
    """A context manager; leaving it ends HAProxy.

    servers: their addresses, which differ in the host alone.
    port: of the servers.
    admin: the port of their admin addresses.
    """

    def __init__(self, folder: Path, hosts: Iterable[str], port: int, admin: int) -> None:
        self._folder = folder
        self._hosts = list(hosts)
        self._port, self._admin = port, admin
        self._stack = ExitStack()
        self._listeners: dict[str, socket.socket] = {}
        self.log: Output

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._listeners = {each: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for each in MANNERS}
            path = self._folder / "haproxy.cfg"
            path.write_text(self._configuration())
            command = program()
            assert command is not None, "HAProxy is not installed"
            process = stack.enter_context(
                subprocess.Popen(
                    [command, "-db", "-f", str(path)],
                    pass_fds=[each.fileno() for each in self._listeners.values()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
            assert process.stdout is not None
            self.log = Output(process.stdout)
            stack.callback(self.log.wait_for_the_end)
            stack.callback(process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def address(self, manner: str) -> tuple[str, int]:
        host, port = self._listeners[manner].getsockname()
        return host, port

    def sees(self, server: int) -> set[str]:
        """The states in which the backends have a server: UP, DOWN, or on its way between the two."""
        lines = [line.split(",") for line in self._ask("show stat").splitlines()]
        status = lines[0].index("status")
        return {line[status] for line in lines[1:] if len(line) > status and line[1] == f"shop{server + 1}"}

    def errors(self) -> list[str]:
        """Lines of the log about requests that HAProxy has answered itself, or whose connection broke off."""
        return [
            line
            for line in self.log.text.splitlines()
            if re.search(r" (5\d\d|-1) \d+ - - (?!-)|\b[SCPLRIDUK][RQCHDLTL]\b", line)
        ]

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(PATIENCE)
            asked.connect(str(self._folder / "haproxy.sock"))
            asked.sendall(command.encode() + b"\n")
            answer = b""
            while piece := asked.recv(1 << 16):
                answer += piece
            return answer.decode()

    # ---- the configuration

    def _configuration(self) -> str:
        """The examples, and of that for HTTP two more: with HTTP/2 to the servers, and with a PROXY header."""
        http, tcp = ((EXAMPLES / name).read_text() for name in ("haproxy.cfg", "haproxy-tcp.cfg"))
        common, _, service = http.partition("frontend web\n")
        service = "frontend web\n" + service
        return "\n".join(
            [
                self._of_this_machine(common),
                self._named(HTTP, service),
                self._named(H2, service, "proto h2"),
                self._named(PROXIED, service, f"send-proxy-v2 source {PROXY}"),
                self._named(TCP, tcp[tcp.index("defaults\n") :], f"source {PROXY}"),
            ]
        )

    def _named(self, manner: str, text: str, server: str = "") -> str:
        """A service under the name of its manner, with more words for each server."""
        text = re.sub(r"^frontend web$", f"frontend {manner}", text, flags=re.MULTILINE)
        text = re.sub(r"^( *default_backend|backend) shop$", rf"\1 {manner}", text, flags=re.MULTILINE)
        text = re.sub(r"^( *default-server .*)$", rf"\1 {server}", text, flags=re.MULTILINE)
        text = text.replace("bind :8080\n", f"bind fd@{self._listeners[manner].fileno()}\n")
        return self._of_this_machine(text)

    def _of_this_machine(self, text: str) -> str:
        for number, host in enumerate(self._hosts):
            text = text.replace(f"192.0.2.{17 + number}:8000", f"{host}:{self._port}")
        text = text.replace("check port 9000 ", f"check port {self._admin} ")
        text = text.replace("maxconn 20000\n", "maxconn 2000\n")  # which has to be below the limit of descriptors
        text = text.replace("/run/haproxy/admin.sock", str(self._folder / "haproxy.sock"))
        return re.sub(r"\binter (\d+)s\b", lambda found: f"inter {int(found[1]) * 1000 // FASTER}ms", text)
