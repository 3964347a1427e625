"""How long a run takes, and how much measuring fits into the time that there is."""

from dataclasses import dataclass

GATE = 3.0  # seconds for a server to be asked all that the gate asks
OVERHEAD = 0.75  # seconds to start, check and stop a server, those that are slow at it too
LADDER = ((5, 3), (5, 2), (3, 3), (3, 2), (3, 1), (2, 1))  # rounds and seconds of load, the best first


@dataclass(frozen=True)
class Work:
    """What a run has to do: servers that pass the gate, measurements in each round, seconds of warm-up in each."""

    gates: int
    measurements: int
    warm: int

    def duration(self, rounds: int, seconds: int) -> float:
        """In seconds."""
        return self.gates * GATE + self.measurements * rounds * (seconds + self.warm + OVERHEAD)

    def fit(self, minutes: float) -> tuple[int, int]:
        """Rounds and seconds of load for a run that ends within `minutes`. Raises ValueError where none does."""
        for rounds, seconds in LADDER:
            if self.duration(rounds, seconds) <= minutes * 60:
                return rounds, seconds
        raise ValueError(
            f"{self.measurements} measurements a round take {self.duration(*LADDER[-1]) / 60:.0f} minutes at least and "
            f"{minutes:g} are given: name fewer scenarios or servers, or give more"
        )

    def expected(self, rounds: int, seconds: int) -> str:
        """The first line of a run."""
        minutes = self.duration(rounds, seconds) / 60
        each = f"{self.measurements} measurements in each of {rounds} rounds, {seconds} s of load each"
        gates = f"{self.gates} servers at the gate, " if self.gates else ""
        return f"{gates}{each}: about {minutes:.1f} minutes"
