"""A file of 100 KiB that both file applications send. It is in memory, so that nothing is left behind."""

import os
from pathlib import Path

SIZE = 102_400
DESCRIPTOR = os.memfd_create("bench")
PATH = Path(f"/proc/self/fd/{DESCRIPTOR}")  # opened anew by whoever sends it: no two share a position

os.write(DESCRIPTOR, b"x" * SIZE)
