"""Calls of the code under test, and what comes of them."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from fastserve.errors import StartError
from kit.waiting import PATIENCE


def python(code: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own, run to its end."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def reason(call: Callable[[], object], kind: type[Exception] = StartError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)
