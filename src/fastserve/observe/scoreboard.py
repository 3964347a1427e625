"""The scoreboard: what each worker is doing, readable by others even if the worker hangs or is dead.

Memory that the supervisor maps before it forks, in blocks of 12 KiB. The first is the supervisor's own; each other
belongs to one worker process. In a worker's block the compiled driver writes the first words, the table of requests in
flight and the counts of errors by reason (`ext/core/status.h`), the supervisor the rest. Each word has one writer, and
a reader may see two words of different moments.
"""

import enum
import mmap
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fastserve.core_tables import ERRORS, STATUS_FIELDS

BLOCK = 12288
"""Bytes of a block."""

_CORE_WORDS = 80
_ROWS_AT = 768
_ROWS_END = 8192
_ROW = 128
_ERRORS_AT = _ROWS_END // 8

_PATIENCE = 1000  # readings: the supervisor moves the totals of a worker within microseconds, unless it died in it

_MOMENTARY = frozenset(
    (
        *("heartbeat", "turns", "connections", "in_flight", "running", "websockets", "buffered", "body_files"),
        *("threads_overdue_since", "queued", "queued_since", "mailbox"),
    )
)
REASONS = {f"error_{name}": name for name in ERRORS}
"""The words that count errors, and the reasons that they count."""

TOTALS = (*(name for name in STATUS_FIELDS if name not in _MOMENTARY), *REASONS)
"""The words that only grow, and are kept when their worker ends."""

WORKER_FIELDS = ("pid", "slot", "generation", "state", "spawned", "ready", "resident")
"""What the supervisor notes of a worker: times are CLOCK_MONOTONIC in milliseconds, resident is in bytes."""

SUPERVISOR_FIELDS = (
    "pid",
    "state",
    "generation",
    "wanted",
    "started",  # Unix seconds
    "reloads",
    "reloads_failed",
    "edition",  # odd while totals move from a worker's block to this one
)


class State(enum.IntEnum):
    """A worker's state; the supervisor has the same ones except DEAD."""

    NONE = 0
    STARTING = 1
    SERVING = 2
    DRAINING = 3
    STOPPING = 4
    DEAD = 5


class Cause(enum.StrEnum):
    """Why a worker ended, or was replaced."""

    STOP = "stop"
    EXIT = "exit"
    SIGNAL = "signal"
    MEMORY = "out_of_memory"
    STUCK = "stuck"
    THREADS = "stuck_threads"
    START = "start_failed"
    RELOAD = "reload"
    DRAINED = "drained"
    REQUESTS = "max_requests"
    AGE = "max_age"
    RESIDENT = "max_memory"
    SCALED = "scaled_down"


class InFlight(NamedTuple):
    """A request that is being served."""

    text: str
    """Method and target as received, truncated."""
    milliseconds: int
    """Since its head had arrived."""


def now() -> int:
    """The clock of the scoreboard: CLOCK_MONOTONIC, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Block:
    """The words of one block by their names."""

    def __init__(self, memory: memoryview, own_fields: tuple[str, ...]) -> None:
        self.memory = memory
        """The bytes, for the driver."""
        self._words = memory.cast("B").cast("Q")
        names = {name: index for index, name in enumerate(STATUS_FIELDS)}
        names |= {word: _ERRORS_AT + ERRORS[name] for word, name in REASONS.items()}
        self._at = {**names, **{name: _CORE_WORDS + index for index, name in enumerate(own_fields)}}

    def __getitem__(self, name: str) -> int:
        return self._words[self._at[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self._words[self._at[name]] = value

    @property
    def state(self) -> State:
        return State(self["state"])

    @state.setter
    def state(self, value: State) -> None:
        self["state"] = value

    def clear(self) -> None:
        self.memory[:] = bytes(BLOCK)


def counter(memory: memoryview, name: str) -> Callable[[], None]:
    """Returns a function that counts up a word of `STATUS_FIELDS` that the worker's Python code writes."""
    words = memory.cast("B").cast("Q")
    at = STATUS_FIELDS.index(name)

    def count() -> None:
        words[at] += 1

    return count


class WorkerBlock(Block):
    """What is known of one worker process."""

    def __init__(self, memory: memoryview) -> None:
        super().__init__(memory, WORKER_FIELDS)

    def in_flight(self) -> list[InFlight]:
        """Returns the requests in flight, the oldest first; of very many, only some."""
        moment = now()
        found = []
        for at in range(_ROWS_AT, _ROWS_END, _ROW):
            started = self._words[at // 8]
            if started:
                length = min(self.memory[at + 8], _ROW - 9)
                text = bytes(self.memory[at + 9 : at + 9 + length]).decode("latin-1")
                found.append(InFlight(text, max(moment - started, 0)))
        return sorted(found, key=lambda each: -each.milliseconds)


class SupervisorBlock(Block):
    """What is known of the supervisor, and the totals of the workers that have ended."""

    def __init__(self, memory: memoryview) -> None:
        super().__init__(memory, SUPERVISOR_FIELDS + tuple(f"ended_{cause}" for cause in Cause))

    def count_end(self, cause: Cause) -> None:
        self[f"ended_{cause}"] += 1

    def ended(self) -> dict[Cause, int]:
        """Returns how many workers ended, by cause."""
        return {cause: self[f"ended_{cause}"] for cause in Cause}


class Scoreboard:
    """The mapping. Forked processes share its memory; it never reaches the disk.

    workers: how many worker processes can exist at a time, including those that drain.
    """

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, BLOCK * (1 + workers)))
        self.supervisor = SupervisorBlock(memory[:BLOCK])
        self._blocks = [WorkerBlock(memory[start : start + BLOCK]) for start in range(BLOCK, len(memory), BLOCK)]

    def take(self) -> WorkerBlock | None:
        """Returns a free block, cleared; None when all are taken."""
        for block in self._blocks:
            if block.state is State.NONE:
                block.clear()
                block.state = State.STARTING
                return block
        return None

    def give_back(self, block: WorkerBlock) -> None:
        """Keeps the totals of a worker that has ended, and frees its block."""
        self.supervisor["edition"] += 1
        for name in TOTALS:
            self.supervisor[name] += block[name]
        block.state = State.NONE
        self.supervisor["edition"] += 1

    def number(self, block: WorkerBlock) -> int:
        """Returns the number by which `memory` finds the block, also in a forked process."""
        return self._blocks.index(block)

    def memory(self, number: int) -> memoryview:
        """Returns a block's bytes, whoever has it."""
        return self._blocks[number].memory

    def workers(self) -> Iterator[WorkerBlock]:
        """Yields the blocks of the existing workers."""
        return (block for block in self._blocks if block.state is not State.NONE)

    def totals(self) -> dict[str, int]:
        """Returns the counters over all workers, including those that have ended; no counter ever decreases."""
        for _ in range(_PATIENCE):
            edition = self.supervisor["edition"]
            found = {name: self.supervisor[name] + sum(block[name] for block in self.workers()) for name in TOTALS}
            if edition % 2 == 0 and edition == self.supervisor["edition"]:
                break
        return found
