"""What the supervisor knows of a slot: how long it waits before the next worker."""

from fastserve.supervisor.slots import LONGEST_OUTAGE, LONGEST_PAUSE, Slot


def test_starts_that_fail_are_tried_later_and_later() -> None:
    slot = Slot(0)
    assert [slot.start_failed(100.0, others=True) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert slot.not_before == 100.0 + LONGEST_PAUSE
    for _ in range(2000):
        slot.start_failed(0.0, others=True)
    assert slot.not_before == LONGEST_PAUSE, "however many"


def test_while_nobody_serves_the_pauses_are_short() -> None:
    slot = Slot(0)
    assert [slot.start_failed(0.0, others=False) for _ in range(4)] == [1, 2, 2, 2]
    assert LONGEST_OUTAGE == 2


def test_something_that_changes_ends_the_wait() -> None:
    slot = Slot(0)
    slot.start_failed(100.0, others=True)
    slot.try_at_once()
    assert (slot.not_before, slot.start_failed(0.0, others=True)) == (0.0, 1.0)
