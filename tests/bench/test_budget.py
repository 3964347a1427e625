"""A run fits into the time that it is given, and the make targets into theirs."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import cli
from bench.measure.budget import LADDER, Work
from bench.measure.gate import gated
from bench.measure.lineup import lineup, servers_of
from bench.plan import load_plan

ROOT = Path(__file__).resolve().parents[2]


WORK = Work(gates=2, measurements=10, warm=1)


def test_the_best_that_fits_is_chosen() -> None:
    assert WORK.fit(1000) == LADDER[0]
    for rounds, seconds in LADDER:
        exactly = WORK.duration(rounds, seconds) / 60
        assert WORK.fit(exactly) == (rounds, seconds)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(ValueError, match=r"100 measurements a round take 9 minutes at least and 5 are given"):
        Work(gates=0, measurements=100, warm=1).fit(5)


@pytest.mark.parametrize(("target", "minutes"), [("bench", 3), ("bench-peers", 40), ("bench-users", 40)])
def test_a_target_keeps_to_its_time(target: str, minutes: float) -> None:
    # Not as a part of the make that may run the tests: it would say more.
    apart = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(
        ["make", "-n", target], cwd=ROOT, env=apart, capture_output=True, text=True, check=True
    ).stdout
    words = shlex.split(shown.splitlines()[-1])
    plan = load_plan()
    options = cli.with_set(plan, cli.parse(words[words.index("bench") + 1 :]))
    groups = lineup(plan, options.scenarios, options.servers)
    assert options.within < minutes
    measurements = sum(len(servers) for _, servers in groups)
    Work(len(gated(servers_of(groups))), measurements, options.warm).fit(options.within)
    assert {"fastserve", "limit"} <= {server.name for server in servers_of(groups)}
    assert any(server.peer for server in servers_of(groups)) is (target != "bench")


def test_what_is_given_beside_a_set_wins() -> None:
    plan = load_plan()
    given = cli.with_set(plan, cli.parse(["--set", "own", "--scenarios", "hello", "--rounds", "2"]))
    assert (given.scenarios, given.servers, given.rounds, given.within) == (["hello"], ["own"], 2, None)
    whole = cli.with_set(plan, cli.parse(["--set", "own"]))
    assert (tuple(whole.scenarios), whole.within) == (plan.sets["own"].scenarios, plan.sets["own"].within)


def test_the_reference_is_what_the_sets_beside_it_have() -> None:
    sets = load_plan().sets
    assert sets["reference"].scenarios == sets["peers"].scenarios + sets["users"].scenarios


def test_the_reference_fits_into_its_time() -> None:
    plan = load_plan()
    options = cli.with_set(plan, cli.parse(["--set", "reference"]))
    groups = lineup(plan, options.scenarios, options.servers)
    measurements = sum(len(servers) for _, servers in groups)
    rounds, _ = Work(len(gated(servers_of(groups))), measurements, options.warm).fit(options.within)
    assert rounds >= 3


def test_a_set_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--set", "nobody"]) == 2
    assert "unknown set 'nobody'; there are: own, peers, users, reference, readme" in capsys.readouterr().err


def test_a_run_says_first_how_long_it_takes() -> None:
    what = "10 measurements in each of 3 rounds, 2 s of load each"
    assert WORK.expected(3, 2) == f"2 servers at the gate, {what}: about 2.0 minutes"
    assert replace(WORK, gates=0).expected(3, 2) == f"{what}: about 1.9 minutes"


def test_every_action_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for action in cli.ACTIONS:
        assert f"\n{action:<10}" in text
    assert "5 % and the spread" in " ".join(text.split())


@pytest.mark.parametrize("program", ["bench", "bench.micro", "bench.perf"])
def test_what_is_run_by_name_says_how(program: str) -> None:
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m {program} ")


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
