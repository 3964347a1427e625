"""TTIN and TTOU: one worker more, one less, and nothing lost."""

import signal

from supervised.conftest import Supervise, amount
from supervised.supervised import Load


def test_nothing_is_lost(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address) as load:
        for _ in range(amount(2, 10)):
            supervised.signal(signal.SIGTTIN).wait_for_workers(3)
            supervised.signal(signal.SIGTTOU).wait_for_workers(2)
        load.end_without_loss()
    assert supervised.stop() == 0


def test_one_worker_is_the_least(supervise: Supervise) -> None:
    supervised = supervise("served:app")
    supervised.signal(signal.SIGTTOU).log.wait_for("1 workers stay: one worker is the least")
    supervised.wait_for_workers(1)
