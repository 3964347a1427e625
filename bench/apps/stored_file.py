"""The files that the file applications send. They are in memory, so that nothing is left behind."""

import os
from pathlib import Path

SIZE = 102_400  # where nobody says another


def stored(size: int) -> Path:
    """Returns a file of this many bytes."""
    descriptor = os.memfd_create("bench")
    left = size
    while left:
        left -= os.write(descriptor, b"x" * left)
    return Path(f"/proc/self/fd/{descriptor}")  # opened anew by whoever sends it: no two share a position
