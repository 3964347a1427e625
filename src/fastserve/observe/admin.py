"""The admin address' application: liveness, readiness, metrics and the list of workers, all read from the scoreboard.

It answers however busy or stuck the workers are.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fastserve.observe import metrics
from fastserve.observe.admin_access import Access
from fastserve.observe.scoreboard import Scoreboard, State, WorkerBlock, now

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

OPEN = ("/livez", "/readyz")
"""Pages for everybody, under any host name: whoever probes the service has neither a token nor its name."""

_TEXT = "text/plain; charset=utf-8"
_METHODS = ("GET", "HEAD")


class _Answer(NamedTuple):
    status: str
    body: bytes
    content_type: str = _TEXT
    fields: tuple[tuple[str, str], ...] = ()


def application(
    scoreboard: Scoreboard, silent_after: float, access: Access | None = None, *, queries: bool = False
) -> Application:
    """Returns a WSGI application, for a child process of the supervisor.

    scoreboard: what is read; its "pid" of the supervisor is this process's parent.
    silent_after: seconds for which a worker's last sign of life counts; an idle worker gives several in that time.
    access: who may read all but `OPEN`.
    queries: whether the query strings of requests are shown.
    """
    access = access if access is not None else Access()
    pages: dict[str, Callable[[], _Answer]] = {
        "/livez": lambda: _health(_death(scoreboard)),
        "/readyz": lambda: _health(_death(scoreboard) or unready(scoreboard, silent_after)),
        "/metrics": lambda: _Answer("200 OK", metrics.render(scoreboard), metrics.CONTENT_TYPE),
        "/workers": lambda: _Answer("200 OK", _json(workers(scoreboard, queries=queries)), "application/json"),
    }

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        made = pages.get(environ["PATH_INFO"])
        status, reason = access.refusal(environ) if environ["PATH_INFO"] not in OPEN else ("", "")
        if status:
            asks = (("WWW-Authenticate", 'Bearer realm="fastserve"'),) if status.startswith("401") else ()
            found = _Answer(status, f"{reason}\n".encode(), fields=asks)
        elif made is None:
            found = _Answer("404 Not Found", f"not found; there are {', '.join(pages)}\n".encode())
        elif environ["REQUEST_METHOD"] not in _METHODS:
            allowed = ", ".join(_METHODS)
            found = _Answer("405 Method Not Allowed", f"only {allowed}\n".encode(), fields=(("Allow", allowed),))
        else:
            found = made()
        fields = [
            ("Content-Type", found.content_type),
            ("Content-Length", str(len(found.body))),
            ("Cache-Control", "no-store"),
            *found.fields,
        ]
        start_response(found.status, fields)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [found.body]

    return answer


def unready(scoreboard: Scoreboard, silent_after: float) -> str:
    """Returns why no requests should be sent here; empty if they should."""
    state = scoreboard.supervisor.state
    if state is not State.SERVING:
        return state.name.lower()
    serving = [each for each in scoreboard.workers() if each.state is State.SERVING]
    if not serving:
        return "no worker is ready"
    alive = [each for each in serving if _silence(each) <= silent_after]
    if not alive:
        return f"no worker has shown a sign of life for {silent_after:g} s"
    if all(each["threads_overdue_since"] for each in alive):
        return "no worker has a thread that is not late"
    return ""


def workers(scoreboard: Scoreboard, *, queries: bool = False) -> list[dict[str, Any]]:
    """Returns what is known of each worker, for JSON; times in seconds, sizes in bytes.

    queries: whether the query strings of requests are shown.
    """
    found = sorted(scoreboard.workers(), key=lambda each: (each["slot"], each["spawned"]))
    return [_worker(each, queries) for each in found]


def _worker(block: WorkerBlock, queries: bool) -> dict[str, Any]:
    serving = [(each.text if queries else each.text.partition("?")[0], each.milliseconds) for each in block.in_flight()]
    return {
        "slot": block["slot"],
        "pid": block["pid"],
        "generation": block["generation"],
        "state": block.state.name.lower(),
        "age": (now() - block["spawned"]) / 1000,
        "heartbeat_age": _since(block["heartbeat"]),
        "requests": block["requests_total"],
        "connections": block["connections"],
        "in_flight": block["in_flight"],
        "running": block["running"],
        "queued": block["queued"],
        "queue_age": _since(block["queued_since"]),
        "threads_overdue": _since(block["threads_overdue_since"]),
        "serving": [{"request": text, "seconds": milliseconds / 1000} for text, milliseconds in serving],
        "bytes_in": block["bytes_in"],
        "bytes_out": block["bytes_out"],
        "resident": block["resident"],
    }


def _silence(block: WorkerBlock) -> float:
    """Returns the seconds since a worker's last sign of life."""
    return max(now() - block["heartbeat"], 0) / 1000


def _since(moment: int) -> float | None:
    """Returns the seconds since a moment of the scoreboard's clock; None for 0, which stands for no moment."""
    return max(now() - moment, 0) / 1000 if moment else None


def _death(scoreboard: Scoreboard) -> str:
    return "" if os.getppid() == scoreboard.supervisor["pid"] else "the supervisor is gone"


def _health(trouble: str) -> _Answer:
    if trouble:
        return _Answer("503 Service Unavailable", f"{trouble}\n".encode())
    return _Answer("200 OK", b"ok\n")


def _json(value: object) -> bytes:
    return f"{json.dumps(value)}\n".encode()
