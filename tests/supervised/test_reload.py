"""HUP: new workers, with the configuration and the application as they are now, and nothing lost."""

import signal
from pathlib import Path

import pytest

from supervised.conftest import APPLICATION, WHOLE, Supervise, Write, amount
from supervised.supervised import Load, Supervised

IMPORT = "3" if WHOLE else "0.4"


def reload(supervised: Supervised) -> None:
    """HUP, and waits until it is done."""
    start = len(supervised.log.text)
    supervised.signal(signal.SIGHUP).log.wait_for("reloaded\n", 60, start)


@pytest.mark.parametrize("interface", ["app", "wsgi"])
@pytest.mark.parametrize(("workers", "times"), [(2, amount(2, 20)), (1, amount(2, 5))])
def test_nothing_is_lost(supervise: Supervise, interface: str, workers: int, times: int) -> None:
    supervised = supervise(f"served:{interface}", "--workers", str(workers), IMPORT=IMPORT)
    with Load(supervised.address) as load:
        for _ in range(times):
            reload(supervised)
        seen = load.end_without_loss()
    assert len(seen["bodies"]) > times * workers  # every worker of every generation has served
    assert supervised.stop() == 0


def test_new_version_is_served(supervise: Supervise, write: Write) -> None:
    supervised = supervise("served:app", "--workers", "2")
    assert supervised.get().startswith(b"1 ")
    write(APPLICATION.replace('VERSION = "1"', 'VERSION = "22"'))
    reload(supervised)
    supervised.wait_for_workers(2)
    assert supervised.get().startswith(b"22 ")


def test_broken_version_leaves_the_old_one_serving(supervise: Supervise, write: Write, tmp_path: Path) -> None:
    supervised = supervise("served:app", "--workers", "2")
    before = supervised.wait_for_workers(2)
    write("import nothing_like_that")
    supervised.signal(signal.SIGHUP)
    log = supervised.log.wait_for("the reload failed, the workers go on as they are: cannot import 'served'")
    assert "ModuleNotFoundError: No module named 'nothing_like_that'" in log
    assert supervised.wait_for_workers(2) == before
    assert supervised.get().startswith(b"1 ")
    write(APPLICATION)
    reload(supervised)
    assert set(supervised.wait_for_workers(2).values()).isdisjoint(before.values())
