"""A browser without a window, which is there or not: a client that nobody here has written."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from serving.waiting import PATIENCE

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browsing(url: str, *flags: str) -> Iterator[None]:
    """A browser that is at this address; skips the test where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    # It leaves files behind, and its socket among them needs a short path.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
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
                    os.killpg(process.pid, signal.SIGKILL)  # it is many
                process.wait()
