"""A run fits into the time that it is given, and the make targets into theirs."""

from pathlib import Path

import pytest

from bench import cli
from bench.budget import LADDER, duration, expected, fit

ROOT = Path(__file__).resolve().parents[2]


def test_the_best_that_fits_is_chosen() -> None:
    assert fit(10, 1000, warm=1) == LADDER[0]
    for rounds, seconds in LADDER:
        exactly = duration(10, rounds, seconds, warm=1) / 60
        assert duration(10, *fit(10, exactly, warm=1), warm=1) / 60 <= exactly
        assert fit(10, exactly, warm=1) == (rounds, seconds)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(ValueError, match=r"100 measurements a round take 10 minutes at least and 5 are given"):
        fit(100, 5, warm=1)


def test_a_run_says_first_how_long_it_takes() -> None:
    assert expected(12, 3, 2, 1) == "12 measurements in each of 3 rounds, 2 s of load each: about 2.4 minutes"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["compare", "a.json"], "compare takes 2 files, not 1"),
        (["run", "a.json"], "run takes 0 files, not 1"),
        (["--within", "3", "--rounds", "2"], "--within chooses --rounds and --seconds itself"),
    ],
)
def test_arguments_that_say_two_things_are_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert why in capsys.readouterr().err
