"""The core as one state machine, for a short while: `python -m fuzz.core_machine` in tests/ goes on for longer."""

import pytest

from fuzz.core_machine import Core, UvloopCore, run


@pytest.mark.parametrize("machine", [Core, UvloopCore])
def test_clients_and_applications_that_do_anything(machine: type[Core]) -> None:
    run(machine, 40)
