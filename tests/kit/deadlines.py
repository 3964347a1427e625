"""Short deadlines, and what is held to them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kit.waiting import Stopwatch

SHORT = {
    "timeout_first_byte": 0.6,
    "timeout_request_head": 0.7,
    "timeout_keep_alive": 0.8,
    "timeout_request_body": 0.6,
    "timeout_write": 0.9,
}
"""Options of a server."""

SLACK = 2.5
"""The wheel is coarse, and the client has its own work."""


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    """The block ends after that time, and not much later."""
    watch = Stopwatch()
    yield
    assert watch.elapsed() >= seconds - 0.1, watch.elapsed()
    assert watch.charged() < seconds + SLACK, watch.charged()
