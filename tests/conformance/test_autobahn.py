"""Autobahn's fuzzing client, the cases that take seconds; `make conformance` runs all.

On one loop: what it asks is how frames are read and written, which knows none. test_conversation.py has each kind of
message on both.
"""

from pathlib import Path

import pytest

from conformance.autobahn import INFORMATIONAL, QUICK, UnavailableError, count, install, run
from kit import Serve


@pytest.fixture(scope="module")
def suite() -> None:
    try:
        install()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
def test_every_case_is_right(serve: Serve, tmp_path: Path) -> None:
    server = serve(ws_deflate_min_size=0)
    assert run(f"ws://127.0.0.1:{server.port}/echo", QUICK, tmp_path) == {}
    assert count(tmp_path) > 240 + len(INFORMATIONAL)
