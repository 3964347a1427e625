"""Requests for apps/wsgi_scripted.py, and the gates that its waiting steps stand at."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import Client, Server
from kit.script import Step
from kit.script import script as script_of_any
from kit.waiting import until

TEXT = ("Content-Type", "text/plain")


class script(script_of_any):  # noqa: N801 - reads as the verb that it is
    """One run of the scripted application."""

    def journal(self, count: int | None = None) -> list[Any]:
        """As in the base class; asked for again and again, since a request that waits may take the only thread."""
        notes: list[Any] = []

        def enough() -> bool:
            notes[:] = self.noted()
            return len(notes) >= count if count is not None else bool(notes) and notes[-1][0] == "end"

        assert until(enough), notes
        return notes

    def noted(self) -> list[Any]:
        notes: list[Any] = self._ask("journal")
        return notes

    def produced(self) -> int:
        """Bytes that the iterable has given, or that write() has taken."""
        count: int = self._ask("produced")
        return count

    def files(self) -> list[Any]:
        files: list[Any] = self._ask("files")
        return files

    def late(self) -> list[Any]:
        said: list[Any] = self._ask("late")
        return said

    def asked(self) -> bool:
        gone: bool = self._ask("asked")
        return gone

    def released(self) -> bool:
        gone: bool = self._ask("witness")
        return gone

    def stands_still(self) -> int:
        """Waits until it has produced something and then nothing more, while others are served; how much."""
        assert until(lambda: self.produced() > 0)
        last, same = self.produced(), 0
        while same < 30:
            now = self.produced()
            same = same + 1 if now == last else 0
            last = now
        return last

    def _ask(self, word: str) -> Any:
        return ast.literal_eval(self._server.get(f"/{word}/{self.key}").decode())


class Gate:
    """Where a step waits until the test opens; a file, so that no other request is needed for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.wait: Step = ("wait", str(path))

    def open(self) -> None:
        self._path.touch()


def start(status: Any = "200 OK", *headers: Any) -> Step:
    return ("start", status, list(headers))


def answers(status: str = "200 OK", data: bytes = b"ok", headers: Sequence[tuple[str, str]] = ()) -> list[Step]:
    return [start(status, *headers), ("return", [data])]


def generator(*steps: Step, closing: Sequence[Step] = ()) -> Step:
    return ("generator", list(steps), list(closing))


def closings(notes: list[Any]) -> int:
    """How often close() was called."""
    return sum(note[0] == "closed" for note in notes)


def cut_off(client: Client) -> bytes:
    """Everything up to the end of a connection that ends in the middle of an answer."""
    data = client.reader.buffer
    client.reader.buffer = b""
    try:
        while piece := client.socket.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def said(server: Server, *texts: str) -> str:
    """Waits for all these texts in the log of this test, gives the log; with or without a traceback is left open."""
    server.tracebacks_matter = False
    assert until(lambda: all(text in server.stderr_of_this_test() for text in texts)), server.stderr_of_this_test()
    return server.stderr_of_this_test()
