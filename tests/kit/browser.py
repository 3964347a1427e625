"""A browser without a window, which is there or not: a client that nobody here has written."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kit.waiting import PATIENCE, until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browsing(url: str, *flags: str) -> Iterator[None]:
    """A browser that is at this address; skips the test where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    folder = tempfile.mkdtemp()  # what it writes, and its socket, whose path has to be short
    common = ["--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}/user"]
    if os.geteuid() == 0:
        common.append("--no-sandbox")
    process = subprocess.Popen(
        [browser, *common, *flags, url],
        env={**os.environ, "TMPDIR": folder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert until(lambda: _removed(folder))


def _removed(folder: str) -> bool:
    """A browser is many processes, and the last of them may still write while this removes."""
    shutil.rmtree(folder, ignore_errors=True)
    return not Path(folder).exists()
