"""USR2: another supervisor with the same sockets, taken or taken back, and nothing lost."""

import signal

from serving.process import until
from supervised.conftest import Supervise
from supervised.supervised import Load, Supervised, children, title


def upgraded(supervised: Supervised) -> int:
    """USR2, and waits until the new supervisor serves; its process ID."""
    start = len(supervised.log.text)
    supervised.signal(signal.SIGUSR2).log.wait_for("serving beside supervisor", 30, start)
    new = [pid for pid in children(supervised.pid) if title(pid).startswith("fastserve: supervisor")]
    assert len(new) == 1
    return new[0]


def test_old_one_goes(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address) as load:
        new = upgraded(supervised)
        try:
            supervised.signal(signal.SIGQUIT)
            assert supervised.process.wait(20) == 0
            assert until(lambda: b" " in supervised.get())
            load.end_without_loss()
        finally:
            supervised.signal(signal.SIGTERM, new)
    assert until(lambda: title(new) == "")


def test_new_one_goes(supervise: Supervise) -> None:
    supervised = supervise("served:app", "--workers", "2")
    with Load(supervised.address) as load:
        new = upgraded(supervised)
        supervised.signal(signal.SIGWINCH).wait_for_workers(0)
        supervised.signal(signal.SIGHUP).wait_for_workers(2)
        supervised.signal(signal.SIGQUIT, new)
        supervised.log.wait_for("has ended, this one goes on", 20)
        load.end_without_loss()
    supervised.wait_for_workers(2)
    assert supervised.stop() == 0
