"""How long a run takes, and how much measuring fits into the time that there is."""

OVERHEAD = 1.0  # seconds to start, check and stop a server
LADDER = ((5, 3), (5, 2), (3, 3), (3, 2), (3, 1), (2, 1))  # rounds and seconds of load, the best first


def duration(measurements: int, rounds: int, seconds: int, warm: int) -> float:
    """Seconds that so many measurements a round take."""
    return measurements * rounds * (seconds + warm + OVERHEAD)


def fit(measurements: int, minutes: float, warm: int) -> tuple[int, int]:
    """Rounds and seconds of load for a run that ends within `minutes`. Raises ValueError where none does."""
    for rounds, seconds in LADDER:
        if duration(measurements, rounds, seconds, warm) <= minutes * 60:
            return rounds, seconds
    shortest = duration(measurements, *LADDER[-1], warm) / 60
    raise ValueError(
        f"{measurements} measurements a round take {shortest:.0f} minutes at least and {minutes:g} are given: "
        "name fewer scenarios or servers, or give more"
    )


def expected(measurements: int, rounds: int, seconds: int, warm: int) -> str:
    """The first line of a run."""
    minutes = duration(measurements, rounds, seconds, warm) / 60
    return (
        f"{measurements} measurements in each of {rounds} rounds, {seconds} s of load each: about {minutes:.1f} minutes"
    )
