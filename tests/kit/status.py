"""The status block of a driver, read from beside it."""

import mmap
import struct
from typing import NamedTuple

from fastserve import _core

BLOCK = 12288
ROWS_END = 8192
ROWS_AT = 768
ROW = 128
BUCKETS = tuple(name for name in _core.STATUS_FIELDS if name.startswith("duration_") and name != "duration_sum_us")


class Row(NamedTuple):
    start: int
    text: bytes


class Status:
    """Reads a block as another process would: by its layout alone."""

    def __init__(self, file: int = -1) -> None:
        self.memory = mmap.mmap(file, BLOCK)

    def __getitem__(self, name: str) -> int:
        (value,) = struct.unpack_from("=Q", self.memory, 8 * _core.STATUS_FIELDS.index(name))
        return int(value)

    def rows(self) -> list[Row]:
        found = []
        for at in range(ROWS_AT, ROWS_END, ROW):
            start, length = struct.unpack_from("=QB", self.memory, at)
            if start:
                found.append(Row(start, self.memory[at + 9 : at + 9 + length]))
        return found

    def texts(self) -> list[bytes]:
        return sorted(row.text for row in self.rows())

    def durations(self) -> dict[str, int]:
        return {name: self[name] for name in BUCKETS if self[name]}

    def responses(self) -> dict[str, int]:
        names = [name for name in _core.STATUS_FIELDS if name.startswith("responses_")]
        return {name[-3:]: self[name] for name in names if self[name]}
