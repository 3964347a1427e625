"""A run: one server, scene after scene, and in between the look at what is left."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.process import Broken, Process
from stress.scene import Stage, contexts
from stress.scripts import Draw
from stress.setting import Setting

SCENES_BETWEEN_LOOKS = 12
QUIET_WITHIN = 10.0
"""Seconds after which nothing may be left: longer than every deadline and every program."""

STOP_WITHIN = 1.0
BUSY_STOP_WITHIN = 8.0
MOST_GROWTH = 3 << 20
"""Bytes that the caches of a worker may take."""

OBJECTS = {
    "Connection": 0,
    "H2Session": 0,
    "TLSFilter": 0,
    "WebSocketExchange": 0,
    "Received": 0,
    "WriteRoom": 0,
    "Wakeup": 0,
    "Task": 1,
}
"""The core's objects that may be there when nobody is: a task rests until the next request."""


@dataclass
class Result:
    setting: Setting
    scenes: int = 0
    requests: int = 0
    broken: str = ""
    between: tuple[int, int] = (0, 0)
    """The scenes since the last look at which all was well."""


@dataclass
class Part:
    """Of a run, to play it again: these scenes, these clients of them, and whether their scripts are printed."""

    first: int = 0
    last: int = 1 << 30
    clients: set[str] | None = None
    shown: bool = False
    without: str = ""
    """Letters of steps that are left out: faults that are known."""
    leaks: bool = True
    """Memory that nothing refers to any more is looked for."""


class Run:
    """seconds: how long scenes are begun."""

    def __init__(self, setting: Setting, build: Path, seconds: float, part: Part) -> None:
        self.setting = setting
        self.build = build
        self.seconds = seconds
        self.part = part
        self.result = Result(setting)
        self.base: dict[str, Any] = {}
        self.bytes: list[int] = []

    def __call__(self, keep: Path) -> Result:
        folder = Path(tempfile.mkdtemp(prefix="stress-"))
        process = Process(self.setting, self.build, folder)
        try:
            process.wait_until_it_serves()
            self.play(process)
        except Broken as broken:
            self.result.broken = str(broken)
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(process.log, keep / f"{self.setting.seed}.log".replace("/", "-"))
        finally:
            process.end()
            shutil.rmtree(folder, ignore_errors=True)
        return self.result

    def play(self, process: Process) -> None:
        stage = Stage(process, contexts(), self.part.clients, self.part.shown)
        until = time.monotonic() + self.seconds
        scene = self.part.first
        self.base = process.ask("look")
        checked = scene
        while time.monotonic() < until and scene <= self.part.last:
            self.result.between = (checked, scene)
            stage.play(Draw(self.setting, scene, self.part.without))
            self.result.scenes, self.result.requests = stage.played, stage.requests
            process.judge()
            if process.process.poll() is not None:
                process.gone()
            scene += 1
            if scene - checked >= SCENES_BETWEEN_LOOKS:
                self.wait_until_nothing_is_left(process, stage)
                checked = scene
        if self.setting.busy_stop and self.part.last == 1 << 30:
            process.stop(BUSY_STOP_WITHIN)
            return
        self.wait_until_nothing_is_left(process, stage)
        process.stop(STOP_WITHIN)

    def wait_until_nothing_is_left(self, process: Process, stage: Stage) -> None:
        """Raises Broken where something is."""
        while stage.waiting:
            stage.look_after(stage.waiting, 1.0)
            process.judge()
        begun = time.monotonic() - process.waited()
        while left := self.left(self.look(process)):
            if time.monotonic() - process.waited() - begun > QUIET_WITHIN:
                raise Broken(f"left when all clients are gone: {left}\n{process.ask('tasks')}\n{process.stacks()}")
            time.sleep(0.05)
        self.judge_growth(process.ask("look"))
        process.serves()
        if self.part.leaks:
            process.ask("leaks")
        process.judge()

    def look(self, process: Process) -> dict[str, Any]:
        process.ask("forget")  # applications that still run keep something anew
        seen: dict[str, Any] = process.ask("look")
        return seen

    def left(self, seen: dict[str, Any]) -> list[str]:
        """What is there that should not be."""
        found = [f"{name}: {seen[name]}" for name in ("connections", "requests", "rows", "faults") if seen[name]]
        found += [f"{name} in the scoreboard: {count}" for name, count in seen["words"].items() if count]
        spare = 1 if self.setting.interface == "asgi" else 0
        for name, count in seen["ledger"].items():
            if count > (spare if name == "exchanges" else 0):
                found.append(f"{name} in the ledger: {count}")
        for name, most in OBJECTS.items():
            if seen["objects"].get(name, 0) > most:
                found.append(f"objects of {name}: {seen['objects'][name]}")
        if seen["tasks"] > self.base["tasks"]:
            found.append(f"tasks: {seen['tasks']}")
        if seen["left_behind"]:
            found.append(f"what the application left behind: {seen['left_behind']}")
        if len(seen["descriptors"]) > len(self.base["descriptors"]):
            found.append(f"descriptors: {seen['descriptors']}, in the beginning {self.base['descriptors']}")
        if seen["none"] < self.base["none"] - 10000:
            found.append(f"references to None: {seen['none']}, in the beginning {self.base['none']}")
        return found

    def judge_growth(self, seen: dict[str, Any]) -> None:
        """Memory: it settles once the caches are full, and never grows on."""
        self.bytes.append(seen["bytes"])
        settled = self.bytes[2:]
        if len(settled) > 6 and all(one < two for one, two in zip(settled[-6:], settled[-5:], strict=False)):
            growth = settled[-1] - settled[-6]
            if growth > MOST_GROWTH:
                raise Broken(f"memory grows on with nobody there: {self.bytes}")
