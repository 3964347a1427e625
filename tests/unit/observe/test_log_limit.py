"""Lines that clients can cause: how many are written, and what is said of the others. The clock is the test's."""

import logging
import threading

import pytest

from fastserve.observe.log_limit import BURST, MOST_KINDS, LimitedLogger

RATE = 10


class Log:
    """What a limited logger has written."""

    def __init__(self, rate: int = RATE) -> None:
        self.moment = 1000.0
        self.left_out = 0
        self.lines: list[str] = []
        self.logger = logging.Logger("limited", logging.INFO)  # noqa: LOG001 -- of this test alone
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.logger.addHandler(handler)
        self.limited = LimitedLogger(self.logger, rate, self._count, lambda: self.moment)

    def _count(self) -> None:
        self.left_out += 1

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def log() -> Log:
    return Log()


ANNOUNCEMENT = "more than 10 lines a second like 'failed: %s': others are left out and counted (--log-rate-limit)"


def test_a_burst_and_then_a_rate(log: Log) -> None:
    for number in range(100):
        log.limited.error("failed: %s", number)
    assert log.take() == [*(f"failed: {number}" for number in range(RATE * BURST)), ANNOUNCEMENT]
    assert log.left_out == 50
    log.moment += 0.15
    for number in range(3):
        log.limited.error("failed: %s", number)
    assert log.take() == ["failed: 0 (50 like it were left out)"]
    assert log.left_out == 52


def test_the_announcement_is_no_flood_either(log: Log) -> None:
    lines = 0
    for _ in range(6000):
        log.moment += 0.01
        log.limited.error("failed: %s", "x")
        lines += log.take().count(ANNOUNCEMENT)
    assert lines == 6  # in a minute
    assert 60 * RATE <= 6000 - log.left_out <= 60 * RATE + RATE * BURST


def test_kinds_do_not_hide_each_other(log: Log) -> None:
    for _ in range(1000):
        log.limited.error("failed: %s", 1)
    log.take()
    log.limited.critical("a listening socket is gone: %s", 2)
    assert log.take() == ["a listening socket is gone: 2"]


def test_kinds_are_bounded(log: Log) -> None:
    for number in range(MOST_KINDS * 3):
        log.limited.error(f"a text of its own {number}")
    assert len(log.take()) == MOST_KINDS + RATE * BURST + 1


def test_a_pause_fills_the_burst_and_no_more(log: Log) -> None:
    for _ in range(200):
        log.limited.error("failed: %s", 1)
    log.moment += 3600
    log.take()
    for _ in range(200):
        log.limited.error("failed: %s", 1)
    assert len(log.take()) == RATE * BURST + 1


def test_the_end_says_what_was_left_out(log: Log) -> None:
    for _ in range(60):
        log.limited.error("failed: %s", 1)
    log.take()
    log.limited.close()
    log.limited.close()
    assert log.take() == ["10 lines like 'failed: %s' were left out"]


def test_tracebacks_and_levels() -> None:
    log = Log(rate=1)
    for _ in range(BURST + 1):
        log.limited.debug("not even counted")
        log.limited.error("failed: %s", 1, exc_info=ValueError("reason"))
    assert (len(log.take()), log.left_out) == (BURST + 1, 1)


def test_no_limit() -> None:
    log = Log(rate=0)
    for _ in range(1000):
        log.limited.error("failed: %s", 1)
    assert (len(log.take()), log.left_out) == (1000, 0)


def test_from_many_threads(log: Log) -> None:
    def write() -> None:
        for _ in range(500):
            log.limited.error("failed: %s", 1)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert log.take().count("failed: 1") == RATE * BURST


def test_a_handler_that_logs_itself(log: Log) -> None:
    class Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.ERROR:
                log.limited.warning("seen")

    log.logger.addHandler(Echo())
    log.limited.error("failed")
    assert log.take() == ["failed", "seen"]
