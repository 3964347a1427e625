"""What a load program has counted."""

from dataclasses import dataclass


class LoadError(Exception):
    """The load program is missing or did not report."""


@dataclass(frozen=True)
class Load:
    """What it has counted in one run, echoed messages as requests; errors by kind.

    `curve` has the latency in microseconds that this percentage of the requests did not exceed, by "50" ... "100".
    """

    requests: int
    duration_us: int
    bytes: int
    curve: dict[str, int]
    errors: dict[str, int]

    @property
    def p50_us(self) -> int:
        return self.curve["50"]

    @property
    def p90_us(self) -> int:
        return self.curve["90"]

    @property
    def p99_us(self) -> int:
        return self.curve["99"]

    @property
    def p999_us(self) -> int:
        return self.curve["99.9"]

    @property
    def per_second(self) -> float:
        return self.requests * 1e6 / self.duration_us
