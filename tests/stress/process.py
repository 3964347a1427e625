"""The server's process, seen from outside: started under the sanitizers, asked, stalled, stopped, and judged."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kit.certificates import shared
from stress.client import Places
from stress.marks import FILE_CELL
from stress.setting import Setting

TESTS = Path(__file__).resolve().parent.parent
FILE_SIZE = 300_000
SO_RCVBUFFORCE = 33
START_WITHIN = 60.0
ANSWER_WITHIN = 20.0
"""Seconds in which the one inside answers, on a machine with other things to do."""

REPORT_WITHIN = 3.0
"""Seconds in which a report is complete."""

REPORTS = {
    "a sanitizer's report": re.compile(r"ERROR: AddressSanitizer|runtime error:"),
    "an internal error": re.compile(r"internal error"),
    "a SystemError": re.compile(r"SystemError"),
    "a failed assertion": re.compile(r"Assertion .* failed|Fatal Python error"),
    "an exception that the core could not raise": re.compile(r"Exception ignored in: '?fastserve\."),
    "an exception in a callback of the loop": re.compile(r"Exception in callback (?!.*on_timeout)"),
    "a task that was thrown away": re.compile(r"Task was destroyed but it is pending"),
}
"""What no log may hold."""

OWN_LEAK = re.compile(r"#1 0x[0-9a-f]+ in .* (ext|build/cython)/")


class Broken(Exception):  # noqa: N818 - the server is
    """An invariant does not hold."""


def environment(build: Path, folder: Path) -> dict[str, str]:
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    options = "detect_leaks=1:leak_check_at_exit=0:quarantine_size_mb=2:abort_on_error=0:handle_abort=1"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(build), str(TESTS)]),
        "PYTHONMALLOC": "malloc",
        "PYTHONUNBUFFERED": "1",
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": f"{options}:{os.environ.get('ASAN_OPTIONS', '')}",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1",
        "STRESS_FILE": str(folder / "file"),
        "TMPDIR": str(folder),
    }


def listener(receive_buffer: int) -> socket.socket:
    made = socket.socket()
    if receive_buffer:
        try:
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.bind(("127.0.0.1", 0))
    made.listen(256)
    return made


def leaks_of_ours(text: str) -> list[str]:
    """The leaks in a report whose memory the core itself has taken. What only the frames that are running refer to
    looks leaked too, since the interpreter keeps them in memory that the sanitizer does not look at; and beyond the
    interpreter's functions, which have no frame pointers, the callers are guessed."""
    blocks = [block for block in text.split("\n\n") if "Direct leak of " in block]
    return [shortened(block) for block in blocks if OWN_LEAK.search(block)]


def shortened(report: str) -> str:
    """Without the interpreter's own frames, of which a report has a hundred."""
    inner = re.compile(r" *#\d+ 0x[0-9a-f]+ in .* (Python|Objects|Modules|Include|Parser)/.*")
    return "\n".join(line for line in report.splitlines() if not inner.fullmatch(line))


class Process:
    """A server of this setting, in a folder of its own.

    build: where the sanitized package lies.
    """

    def __init__(self, setting: Setting, build: Path, folder: Path) -> None:
        self.setting = setting
        self.folder = folder
        (folder / "file").write_bytes(FILE_CELL * (FILE_SIZE // len(FILE_CELL)))
        self.log = folder / "log"
        self.judged = 0
        self.stopped = False
        self._waited: dict[str, float] = {}
        self.socket, inner = socket.socketpair()
        self.socket.settimeout(ANSWER_WITHIN)
        self.unread = b""
        plain, secure = listener(setting.receive_buffer), listener(setting.receive_buffer)
        path = folder / "socket"
        self.places = Places(plain.getsockname()[1], secure.getsockname()[1], str(path))
        table = build / "fastserve" / "config" / "options.py"
        if not table.exists():  # a package of yesterday
            table = build / "fastserve" / "options.py"
        options = table.read_text()
        arguments = setting.arguments(options) + self.addresses(plain, secure, path)
        command = [sys.executable, "-m", "stress.served", str(inner.fileno()), json.dumps(setting.quirks())]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, setting.application, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[inner.fileno(), plain.fileno(), secure.fileno()],
                env=environment(build, folder),
                cwd=folder,
            )
        for each in (inner, plain, secure):
            each.close()

    def addresses(self, plain: socket.socket, secure: socket.socket, path: Path) -> list[str]:
        if not self.setting.tls:
            return ["--bind", f"fd://{plain.fileno()}", "--bind", f"unix:{path}"]
        certificate, key = shared().standing()
        found = ["--bind", f"fd://{secure.fileno()}", "--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
        return [*found, "--insecure-bind", f"fd://{plain.fileno()}", "--insecure-bind", f"unix:{path}"]

    def wait_until_it_serves(self) -> None:
        self.socket.settimeout(START_WITHIN)
        self.ask("look")
        self.socket.settimeout(ANSWER_WITHIN)

    # ---- what it says

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def judge(self) -> None:
        """Looks through what was logged since the last time. Raises Broken."""
        text = self.since()
        for what, pattern in REPORTS.items():
            if pattern.search(text) is None:
                continue
            with suppress_gone():
                self.process.wait(REPORT_WITHIN)  # a sanitizer says more before it ends the process
            text = self.since()
            found = pattern.search(text)
            assert found
            raise Broken(f"{what}:\n{shortened(text[max(0, found.start() - 1000) :])[:8000]}")
        if ours := leaks_of_ours(text):
            raise Broken("memory that nothing refers to:\n" + "\n\n".join(ours)[:8000])
        self.judged += len(text.encode(errors="replace"))

    def since(self) -> str:
        """What was logged and not yet judged."""
        with self.log.open("rb") as log:
            log.seek(self.judged)
            return log.read().decode(errors="replace")

    def ask(self, what: str, **values: Any) -> Any:
        try:
            self.socket.sendall(json.dumps({"do": what, **values}).encode() + b"\n")
            while b"\n" not in self.unread:
                data = self.socket.recv(1 << 20)
                if not data:
                    raise ConnectionResetError
                self.unread += data
        except TimeoutError:
            raise Broken(f"the server does not turn any more\n{self.stacks()}") from None
        except OSError:
            self.gone()
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def has_ended(self, within: float) -> bool:
        with suppress_gone():
            self.process.wait(within)
        return self.process.poll() is not None

    def gone(self) -> None:
        """It has ended, though nobody asked it to. Raises Broken, with the reason as far as it is known."""
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            status = -1
        self.judge()
        raise Broken(f"the server has ended with {status}:\n{self.text()[-6000:]}")

    def stacks(self) -> str:
        """Where its threads are."""
        before = len(self.text())
        with suppress_gone():
            os.kill(self.process.pid, signal.SIGCONT)
            os.kill(self.process.pid, signal.SIGUSR2)
            time.sleep(1)
        return self.text()[-4000:] + self.text()[before:]

    def serves(self) -> None:
        """An ordinary request is answered. Raises Broken."""
        data = b""
        try:
            with socket.create_connection(("127.0.0.1", self.places.port), ANSWER_WITHIN) as client:
                client.sendall(b"GET /run/ordinary HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                while piece := client.recv(65536):
                    data += piece
        except OSError as error:
            raise Broken(f"an ordinary request: {error}, {data!r}\n{self.stacks()}") from error
        if not data.startswith(b"HTTP/1.1 200 "):
            raise Broken(f"an ordinary request: {data!r}")

    # ---- what is done to it

    def stall(self) -> None:
        self.kill(signal.SIGSTOP)

    def go_on(self) -> None:
        self.kill(signal.SIGCONT)

    def kill(self, number: signal.Signals) -> None:
        if self.process.poll() is not None:
            self.gone()
        os.kill(self.process.pid, number)

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def waited(self) -> float:
        """Seconds that it was ready to run and did not, since others had the processors."""
        with suppress_gone():
            for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
                self._waited[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
        return sum(self._waited.values())

    def stop(self, within: float) -> None:
        """SIGTERM; the end comes within that many seconds of its own time. Raises Broken."""
        self.stopped = True
        begun = time.monotonic()
        before = self.waited()
        os.kill(self.process.pid, signal.SIGTERM)
        while self.process.poll() is None:
            self.waited()
            if time.monotonic() - begun > within + 30:
                raise Broken(f"the server does not stop\n{self.stacks()}")
            time.sleep(0.005)
        taken = time.monotonic() - begun - (sum(self._waited.values()) - before)
        self.judge()
        if self.process.returncode not in (0, 3):
            raise Broken(f"the server has ended with {self.process.returncode}:\n{self.text()[-6000:]}")
        if taken > within:
            raise Broken(f"a stop took {taken:.2f} s, of {within:g} s:\n{self.text()[-3000:]}")

    def end(self) -> None:
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.socket.close()


@contextmanager
def suppress_gone() -> Iterator[None]:
    with suppress(ProcessLookupError, FileNotFoundError, subprocess.TimeoutExpired):
        yield
