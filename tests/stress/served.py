"""The server's process: the command `fastserve`, with somebody inside who can be asked what is left.

    python -m stress.served FD SETTING APPLICATION OPTIONS...

FD: one end of a socket pair, on which questions come and answers go, a line of JSON each.
SETTING: JSON; how the interpreter and the logging are made harder than they are.
"""

import asyncio
import ctypes
import faulthandler
import gc
import json
import logging
import mmap
import os
import random
import signal
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastserve.worker.serve
from fastserve import _core, cli
from fastserve.host import title
from fastserve.host.stop_signals import Urgency
from fastserve.observe import scoreboard
from fastserve.worker.asgi import WorkerContext
from fastserve.worker.serve import AnyWorker, WorkerControl
from stress.witness import report_unraisable, witness

ROWS = struct.Struct("=Q")
ALWAYS = ("heartbeat", "turns")
"""Of what is of the moment in the scoreboard: what is there when nobody is."""

STACKS_SIGNAL = signal.SIGUSR2
SANITIZER = ctypes.CDLL(None)
LOOK_FOR_LEAKS = SANITIZER["__lsan_do_recoverable_leak_check"]
ALLOCATED = SANITIZER["__sanitizer_get_current_allocated_bytes"]
ALLOCATED.restype = ctypes.c_size_t


class Obstacle(logging.Handler):
    """A handler that raises now and then, as handlers do whose disk is full."""

    def __init__(self, share: float, seed: str) -> None:
        super().__init__()
        self.share = share
        self.random = random.Random(seed)

    def emit(self, record: logging.LogRecord) -> None:
        if self.random.random() < self.share:
            raise RuntimeError("the handler of the log raises")


class Inside:
    """Answers questions in the thread that drives, where the driver is not at work."""

    def __init__(self, fd: int, setting: dict[str, Any]) -> None:
        self.socket = socket.socket(fileno=fd)
        self.setting = setting
        self.worker: AnyWorker | None = None
        self.status = memoryview(mmap.mmap(-1, scoreboard.BLOCK))
        self.unread = b""
        self.obstacle = Obstacle(setting["handler_raises"], setting["seed"])
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "look": lambda _: self.look(),
            "ended": lambda question: {mark: witness.ended.get(mark) for mark in question["marks"]},
            "forget": lambda _: self.forget(),
            "leaks": lambda _: self.leaks(),
            "tasks": lambda _: self.tasks(),
        }

    def begin(self, worker: AnyWorker) -> None:
        self.worker = worker
        assert worker.driver is not None
        worker.driver.watch(self.socket.fileno(), self.read)
        witness.turn = self.turn
        if self.setting["gc_threshold"]:
            gc.set_threshold(self.setting["gc_threshold"], 10, 10)
        if self.setting["switch_interval"]:
            sys.setswitchinterval(self.setting["switch_interval"])

    def turn(self) -> None:
        driver: Any = self.worker.driver if self.worker is not None else None
        if driver is not None:
            driver.poll()
            driver.sweep()

    def read(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            assert self.worker is not None
            assert self.worker.driver is not None
            self.worker.driver.unwatch(self.socket.fileno())
            os.kill(os.getpid(), 9)  # whoever stresses us is gone
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            question = json.loads(line)
            answer = self.answers[question["do"]](question)
            self.socket.sendall(json.dumps(answer).encode() + b"\n")

    # ---- answers

    def forget(self) -> None:
        witness.forget()
        gc.collect()

    def leaks(self) -> int:
        """Memory that nothing refers to any more is reported on the standard error."""
        gc.collect()
        found: int = LOOK_FOR_LEAKS()
        return found

    def look(self) -> dict[str, Any]:
        """All that may be left."""
        gc.collect()
        assert self.worker is not None
        driver = self.worker.driver
        assert driver is not None
        words = dict(zip(_core.STATUS_FIELDS, self.status.cast("Q"), strict=False))
        return {
            "ledger": _core.ledger(),
            "connections": driver.connections,
            "requests": driver.requests,
            "words": {name: words[name] for name in scoreboard._MOMENTARY if name in words and name not in ALWAYS},
            "rows": self.rows(),
            "tasks": self.task_count(),
            "threads": threading.active_count(),
            "objects": self.objects(),
            "left_behind": len(witness.left_behind),
            "faults": witness.faults,
            "bytes": ALLOCATED(),
            "none": sys.getrefcount(None),
            "descriptors": descriptors(),
        }

    def rows(self) -> list[str]:
        """The requests that the scoreboard shows in flight."""
        found = []
        for row in range(scoreboard._ROWS_AT, scoreboard._ROWS_END, scoreboard._ROW):
            if ROWS.unpack_from(self.status, row)[0]:
                length = self.status[row + 8]
                found.append(bytes(self.status[row + 9 : row + 9 + length]).decode("latin-1"))
        return found

    def objects(self) -> dict[str, int]:
        """Of the compiled core's, by type."""
        kinds = Counter(
            type(each).__name__
            for each in gc.get_objects()
            if type(each).__module__ in ("fastserve._core", "fastserve._task")
        )
        return dict(kinds)

    def task_count(self) -> int:
        try:
            return len(asyncio.all_tasks())
        except RuntimeError:
            loop = self.loop()
            return len(asyncio.all_tasks(loop)) if loop is not None else 0

    def loop(self) -> asyncio.AbstractEventLoop | None:
        return getattr(self.worker, "_loop", None)

    def tasks(self) -> list[str]:
        """What still runs, with the place where it waits."""
        try:
            return [f"{task!r} {task.get_stack()!r}" for task in asyncio.all_tasks()]
        except RuntimeError:
            return []


def descriptors() -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that the folder is read by
            found.append(f"{each.name} {each.readlink()}")
    return found


class Watching:
    """What the worker answers to, and who looks at it from inside."""

    def __init__(self, control: WorkerControl, inside: Inside) -> None:
        self.control = control
        self.inside = inside
        self.signals = control.signals
        self.owns_process = control.owns_process

    def note(self, number: signal.Signals) -> Urgency:
        return self.control.note(number)

    def take(self, worker: AnyWorker, number: signal.Signals) -> None:
        self.control.take(worker, number)

    def began_serving(self, worker: AnyWorker) -> None:
        self.inside.begin(worker)
        self.control.began_serving(worker)


def main() -> None:
    fd, setting, *arguments = sys.argv[1:]
    inside = Inside(int(fd), json.loads(setting))
    original = fastserve.worker.serve.serve

    def serve(config: Any, app: Any, context: WorkerContext, control: WorkerControl) -> bool:
        for name in ("fastserve", "fastserve.error"):
            logging.getLogger(name).addHandler(inside.obstacle)
        seen = WorkerContext(
            context.listeners, context.access_log, context.shared, inside.status, context.beat, context.siblings
        )
        return original(config, app, seen, Watching(control, inside))

    fastserve.worker.serve.serve = serve
    default = sys.unraisablehook

    def unraisable(details: Any) -> None:
        report_unraisable(details)
        default(details)

    sys.unraisablehook = unraisable
    faulthandler.register(STACKS_SIGNAL, all_threads=True)
    # A title is written over the environment, where the sanitizer looks for its options when it has to report.
    title.set_title = lambda proc_name, role, state="": None
    sys.argv = ["fastserve", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
