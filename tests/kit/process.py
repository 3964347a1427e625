"""The server under test: a real process, watched through its output and stopped by its pid."""

import codecs
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from kit.certificates import shared
from kit.client import Address, Client
from kit.waiting import PATIENCE, UNHURRIED, until

APPS = Path(__file__).parent / "apps"
LISTENING = re.compile(r"listening on (?:https?://(\S+):(\d+)|unix:(\S+))\n")
TRACEBACK = "Traceback (most recent call last)"
FIRST = re.compile(
    r"((?:During handling of the above exception|The above exception was the direct cause).*\s+)?"
    + re.escape(TRACEBACK)
)
Option = str | int | float | bool | list[str]


def default_command(application: str, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "fastserve", application, "--app-dir", str(APPS), *options]


UNLIMITED = {"FASTSERVE_LOG_RATE_LIMIT": "0"}
"""Variables for a server whose tracebacks tests count."""

OVER: ContextVar[str] = ContextVar("over", default="plain")
"""What servers are reached over that do not say otherwise: plain, tls, or h2 (likewise, by clients that know it)."""


def flags(options: Mapping[str, Option]) -> list[str]:
    """Keyword arguments as flags: True is a bare flag, False its --no- form, a list repeats it."""
    result = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            result.append(flag if value else "--no-" + flag[2:])
        else:
            for item in value if isinstance(value, list) else [value]:
                result += [flag, str(item)]
    return result


class Output:
    """What a process writes to one of its streams; a thread reads it, so waiting for a text is waiting for an event.

    stream: is closed. The thread has a descriptor of its own, which nobody else can close under it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._fd = os.dup(stream.fileno())
        stream.close()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._changed = threading.Condition()  # is held to read, so that what has been read is in the text
        self._text = ""
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        while not self._ended:
            readable.poll()
            with self._changed:
                data = os.read(self._fd, 1 << 16)
                self._text += self._decoder.decode(data, final=not data)
                if not data:
                    self._ended = True
                    os.close(self._fd)
                self._changed.notify_all()

    def _all_is_read(self) -> bool:
        if self._ended:
            return True
        waiting = array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, waiting)
        return waiting[0] == 0

    @property
    def text(self) -> str:
        """All that the process has written when this is asked."""
        with self._changed:
            assert self._changed.wait_for(self._all_is_read, PATIENCE)
            return self._text

    def wait(self, condition: Callable[[str], bool], timeout: float = PATIENCE, start: int = 0) -> str:
        """Waits until the text from `start` on meets the condition; that text. AssertionError when it never does."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self._text[start:]) or self._ended, timeout)
            text = self._text[start:]
        assert condition(text), f"the output never met the condition:\n{text[-4000:]}"
        return text

    def wait_for(self, needle: str, timeout: float = PATIENCE, start: int = 0) -> str:
        return self.wait(lambda text: needle in text, timeout, start)

    def wait_for_match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.search(self.wait(lambda text: pattern.search(text) is not None))
        assert found is not None
        return found

    def wait_for_the_end(self, timeout: float = PATIENCE) -> str:
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, timeout), "the output did not end"
            return self._text


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything that configures the server."""
    kept = {name: value for name, value in os.environ.items() if name != "PORT" and not name.startswith("FASTSERVE_")}
    return {**kept, **variables}


class ServerProcess:
    """A command that serves, from its start to its end. A context manager: leaving it kills what still runs.

    command: and its arguments.
    environment: all of its variables.
    directory: the working directory, which paths of Unix sockets are seen from.
    descriptors: those that it inherits.
    group: it is the first process of a group of its own, which is killed as a whole.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        descriptors: tuple[int, ...] = (),
        group: bool = False,
    ) -> None:
        self.directory = directory or Path.cwd()
        self._group = group
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=group,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Output(self.process.stdout)
        self.stderr = Output(self.process.stderr)
        self.address: Address = ("127.0.0.1", 0)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        assert not isinstance(self.address, str)
        return self.address[1]

    def addresses(self, count: int = 1, host: str = "") -> list[Address]:
        """Waits until the log has named this many, of this host if one is given; in the order of the lines."""

        def named(text: str) -> list[Address]:
            found = [each for each in LISTENING.findall(text) if host in ("", each[0])]
            return [str(self.directory / path) if path else (host, int(port)) for host, port, path in found]

        return named(self.stderr.wait(lambda text: len(named(text)) >= count))

    def wait_until_it_listens(self, host: str = "") -> None:
        """Its first address, of this host where one is given, is `address` then."""
        try:
            self.address = self.addresses(host=host)[0]
        except BaseException:
            self.kill()
            raise

    def signal(self, number: signal.Signals, pid: int | None = None) -> Self:
        """To it, or to another process of its own."""
        os.kill(self.pid if pid is None else pid, number)
        return self

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for the end of the process and of its output; its exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"the server did not end:\n{self.stderr.text[-4000:]}") from error
        self.stdout.wait_for_the_end()
        self.stderr.wait_for_the_end()
        return status

    def kill(self) -> None:
        """And waits for it; idempotent."""
        with suppress(ProcessLookupError):
            if self._group:
                os.killpg(self.pid, signal.SIGKILL)
            elif self.process.poll() is None:
                self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Server(ServerProcess):
    """A `fastserve` process with an application of tests/kit/apps.

    Parameters:
        application: "module:attribute", from tests/kit/apps.
        environment: variables beside those of this process.
        listens: wait for the line with the port; without it the process may fail to start.
        secure: with TLS, by a certificate of `certificates.shared()`; clients of `connect` then speak it too.
        supervised: the process is a supervisor with its worker; else it serves itself, and `pid` is what is measured.
        options: keyword arguments, `timeout_head=1` is `--timeout-head 1`.
    """

    command = staticmethod(default_command)

    def __init__(
        self,
        application: str = "scripted:app",
        *,
        environment: Mapping[str, str] | None = None,
        listens: bool = True,
        descriptors: tuple[int, ...] = (),
        supervised: bool = False,
        secure: bool | None = None,
        **options: Option,
    ) -> None:
        self.secure = OVER.get() != "plain" and not {"uds", "fd"} & set(options) if secure is None else secure
        if self.secure:
            certificate, key = shared().standing()
            options = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key), **options}
        if not supervised:
            options["supervisor"] = False
        if "uds" not in options and "fd" not in options:
            options.setdefault("port", 0)
        self.options = options
        super().__init__(
            self.command(application, flags(options)),
            {**os.environ, "PYTHONUNBUFFERED": "1", **UNHURRIED, **UNLIMITED, **(environment or {})},
            descriptors=descriptors,
        )
        self.expected_tracebacks = 0
        self.tracebacks_matter = True
        self.stopping = False
        self._mark = 0
        if listens:
            self.wait_until_it_listens("" if "uds" in options else "127.0.0.1")

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        """An ordinary client with this address; by HTTP/2 where that is what servers are reached over.

        One thread uses it: threads that share one mix up the order of its compressed heads (httpcore 1.0.9).
        """
        return httpx.Client(**self._of_a_client())

    def async_client(self) -> httpx.AsyncClient:
        """The same for requests side by side."""
        return httpx.AsyncClient(**self._of_a_client())

    def _of_a_client(self) -> dict[str, Any]:
        return {
            "base_url": self.url,
            "timeout": PATIENCE,
            "trust_env": False,
            "http2": self.secure and OVER.get() == "h2",
            "verify": shared().context() if self.secure else True,
        }

    def connect(self, timeout: float = PATIENCE, receive_buffer: int | None = None) -> Client:
        return Client(self.address, timeout, receive_buffer, shared().context() if self.secure else None)

    def get(self, target: str) -> bytes:
        """The body of a plain GET on a connection of its own; the status must be 200."""
        with self.connect() as client:
            answer = client.exchange(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
            assert answer.status == 200, answer
            return answer.body

    def refuses_connections(self, timeout: float = PATIENCE) -> bool:
        """Waits until the address takes no connection any more."""

        def refused() -> bool:
            try:
                with self.connect():
                    return False
            except ConnectionError:
                return True

        return until(refused, timeout)

    def expect_traceback(self, *texts: str, count: int = 1) -> str:
        """Waits for `count` tracebacks since the test's begin, with these texts; they are then no failure.

        Returns the stderr of this test.
        """
        self.expected_tracebacks += count
        return self.stderr.wait(
            lambda text: tracebacks(text) >= count and all(needle in text for needle in texts), start=self._mark
        )

    def stderr_of_this_test(self) -> str:
        return self.stderr.text[self._mark :]

    def begin_test(self) -> None:
        self._mark = len(self.stderr.text)
        self.expected_tracebacks = 0
        self.tracebacks_matter = True  # False where the application of the test raises, however often

    def check_tracebacks(self) -> None:
        """Fails when the server wrote a traceback that the test did not expect, or one twice."""
        text = self.stderr_of_this_test()
        if not self.tracebacks_matter:
            return
        assert tracebacks(text) == self.expected_tracebacks, (
            f"{tracebacks(text)} tracebacks, expected {self.expected_tracebacks}:\n{text[-6000:]}"
        )

    def signal(self, number: signal.Signals, pid: int | None = None) -> Self:
        self.stopping = True
        return super().signal(number, pid)

    def stop(self) -> None:
        """SIGTERM; the exit status must be 0."""
        if self.process.poll() is None and not self.stopping:
            self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status}:\n{self.stderr.text[-4000:]}"

    def resident(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Open descriptors of the process."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())


def tracebacks(text: str) -> int:
    """How many tracebacks a log holds; an exception with its cause is one."""
    return sum(1 for each in FIRST.finditer(text) if each[1] is None)
