"""What the signals that stop a server mean, one after another: TERM never forces, who interrupts twice means it."""

import signal

import pytest

from fastserve.host.stop_signals import INSISTS_AFTER, STOPPING, StopSignals, Urgency

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
GRACEFUL, AT_ONCE, NONE = Urgency.GRACEFUL, Urgency.AT_ONCE, Urgency.NONE

OLD = INSISTS_AFTER
YOUNG = INSISTS_AFTER - 0.01


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("signals", "urgencies"),
    [
        # each with the seconds since the one before
        ([(0, TERM)] + [(0.05, TERM)] * 20, [GRACEFUL] + [NONE] * 20),
        ([(0, TERM), (60, TERM), (600, TERM)], [GRACEFUL, NONE, NONE]),
        ([(0, INT), (0, INT)], [GRACEFUL, AT_ONCE]),
        ([(0, INT), (60, INT), (0, INT)], [GRACEFUL, AT_ONCE, NONE]),
        ([(0, QUIT), (0, QUIT)], [GRACEFUL, AT_ONCE]),
        ([(0, INT), (0, QUIT)], [GRACEFUL, AT_ONCE]),
        ([(0, TERM), (OLD, INT)], [GRACEFUL, AT_ONCE]),
        ([(0, TERM), (OLD, QUIT)], [GRACEFUL, AT_ONCE]),
        ([(0, TERM), (YOUNG, INT)], [GRACEFUL, NONE]),
        ([(0, TERM), (YOUNG, INT), (0, INT)], [GRACEFUL, NONE, AT_ONCE]),
        ([(0, TERM), (YOUNG, TERM), (YOUNG, INT)], [GRACEFUL, NONE, AT_ONCE]),
        ([(0, INT), (60, TERM), (60, TERM)], [GRACEFUL, NONE, NONE]),
        ([(0, INT), (0, TERM), (0, INT)], [GRACEFUL, NONE, AT_ONCE]),
        ([(0, INT), (0, INT), (9, TERM), (9, QUIT)], [GRACEFUL, AT_ONCE, NONE, NONE]),
    ],
)
def test_signals_in_a_row(signals: list[tuple[float, signal.Signals]], urgencies: list[Urgency]) -> None:
    clock = Clock()
    stops = StopSignals(clock)
    seen = []
    for seconds, number in signals:
        clock.now += seconds
        seen.append(stops.take(number))
        assert stops.forced == (AT_ONCE in seen)
    assert seen == urgencies


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("seconds", [YOUNG, OLD])
def test_signal_after_a_stop_that_began_otherwise(number: signal.Signals, seconds: float) -> None:
    clock = Clock()
    stops = StopSignals(clock)
    stops.begin()
    clock.now += seconds
    assert stops.take(number) is (AT_ONCE if seconds == OLD and number != TERM else NONE)
