"""Requests for the scripted application (apps/scripted.py): the test says step by step what the application does."""

import ast
import itertools
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from kit.process import Server

Step = tuple[Any, ...]
_numbers = itertools.count()


def request(
    target: str,
    *fields: str,
    method: str = "GET",
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """The bytes of a request with Host; a body brings its Content-Length along."""
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class script:  # noqa: N801 - reads as the verb that it is
    """One run of the scripted application.

    `target` is what to request; `journal` gives what the application noted.
    """

    def __init__(self, server: Server, *steps: Step) -> None:
        self._server = server
        self.key = f"{os.getpid()}-{next(_numbers)}"
        self.target = f"/run/{self.key}?{quote(repr(list(steps)), safe='')}"

    def request(self, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
        return request(self.target, *fields, method=method, body=body, version=version)

    def journal(self, count: int | None = None) -> list[Any]:
        """Waits for the first `count` entries, without a count for the run's end; all entries so far."""
        wanted = "end" if count is None else str(count)
        entries: list[Any] = ast.literal_eval(self._server.get(f"/journal/{self.key}/{wanted}").decode())
        return entries

    def noted(self) -> list[Any]:
        """What the run has noted up to now."""
        return self.journal(0)

    def open(self, gate: str) -> None:
        """Lets the step ("wait", gate) of this run go on."""
        self._server.get(f"/open/{self.key}.{gate}")

    def progress(self) -> tuple[int, bool]:
        """Bytes whose `send` has returned, and whether the application waits in `send` right now."""
        sent, waiting = ast.literal_eval(self._server.get(f"/progress/{self.key}").decode())
        return sent, waiting


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Step:
    return ("send", {"type": "http.response.start", "status": status, "headers": list(headers), **more})


def websocket(kind: str, **more: Any) -> Step:
    """An event of a WebSocket: accept, send, close or http.response.*."""
    return ("send", {"type": f"websocket.{kind}", **more})


def body(data: bytes = b"", more: bool = False) -> Step:
    return ("send", {"type": "http.response.body", "body": data, "more_body": more})


def answers(status: int = 200, data: bytes = b"ok", headers: Sequence[tuple[bytes, bytes]] = ()) -> list[Step]:
    return [start(status, *headers), body(data)]
