"""A run fits into the time that it is given, and the make targets into theirs."""

import shlex
import subprocess
from pathlib import Path

import pytest

from bench import cli
from bench.budget import LADDER, duration, expected, fit
from bench.lineup import lineup, servers_of
from bench.plan import load_plan

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


@pytest.mark.parametrize(("target", "minutes"), [("bench", 3), ("bench-peers", 40)])
def test_a_target_keeps_to_its_time(target: str, minutes: float) -> None:
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shlex.split(shown.splitlines()[-1])
    options = cli.parse(words[words.index("bench") + 1 :])
    groups = lineup(load_plan(), options.scenarios, options.servers)
    assert options.within < minutes
    fit(sum(len(servers) for _, servers in groups), options.within, options.warm)
    assert {"fastserve", "limit"} <= {server.name for server in servers_of(groups)}
    assert any(server.peer for server in servers_of(groups)) is (target == "bench-peers")


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
