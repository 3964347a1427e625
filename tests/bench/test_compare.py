"""What counts as a change between two runs, and what fails a check against an earlier one."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import cli
from bench.measure.compare import Change, Spread, compare, costs_beside_floor, regressions
from bench.measure.results import Result, write_result
from kit.bench_results import result

FLOOR = [5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([10.0, 10.1, 10.2], [11.0, 11.1, 11.2], "dearer"),
        ([10.0, 10.1, 10.2], [9.0, 9.1, 9.2], "cheaper"),
        ([10.0, 10.1, 10.2], [10.2, 10.9, 11.0], "no difference"),  # the ranges touch
        ([10.0, 10.1, 12.0], [12.1, 12.2, 12.3], "dearer"),
        ([10.0, 11.9, 12.0], [12.1, 12.2, 12.3], "no difference"),  # less than the rounds of one run differ by
        ([10.0], [20.0], "one round tells nothing"),
    ],
)
def test_a_change_is_one_beyond_the_spread(before: list[float], after: list[float], verdict: str) -> None:
    assert Change("hello", "fastserve", Spread(before), Spread(after)).verdict == verdict


def test_costs_are_put_beside_the_floor_of_the_same_round() -> None:
    made = result({"limit": [5.0, 10.0, 0.0, 5.0], "fastserve": [6.0, 12.0, 6.0, 0.0]})
    assert costs_beside_floor(made, "hello", "fastserve") == [1.2, 1.2]


def test_a_comparison_names_what_changed() -> None:
    before = result({"limit": FLOOR, "fastserve": [6.0, 6.1, 6.2], "gone": [1.0, 1.0, 1.0]})
    now = {"kernel": "6.2", "versions": {"fastserve": {"python": "3.11.7", "fastserve": "0.2.0"}}}
    after = result({"limit": [10.0] * 3, "fastserve": [12.0, 12.2, 12.4], "new": [2.0] * 3}, now)
    lines = compare(before, after).splitlines()
    by_server = {line.split()[1]: line for line in lines[1:5]}
    assert by_server["fastserve"].split()[-3:] == ["+100.0%", "+0.0%", "dearer"]
    assert by_server["limit"].split()[-3:] == ["+100.0%", "-", "dearer"]
    assert by_server["gone"].split()[2:] == ["1.00", "(1.00", "–", "1.00)", "-"]
    assert by_server["new"].split()[2:] == ["-", "2.00", "(2.00", "–", "2.00)"]
    assert lines[5:] == ["kernel: 6.1 before, 6.2 after", "fastserve: fastserve 0.1.0 before, 0.2.0 after"]


def test_a_comparison_says_which_run_was_not_made_in_quiet() -> None:
    before = result({"limit": FLOOR, "fastserve": [6.0, 6.1, 6.2]})
    noisy = [replace(sample, foreign=0.06 if sample.server == "fastserve" else 0.05) for sample in before.samples]
    lines = compare(before, Result(before.machine | {"load_average": [3.0, 1.0, 1.0]}, noisy)).splitlines()
    assert [line.endswith("no difference ~") for line in lines[1:3]] == [False, True]
    assert lines[3].startswith("~ disturbed: others had more than 5% of the server's core")
    assert lines[4].startswith("after: LOADED MACHINE")
    assert len(lines) == 5


def test_a_run_compared_with_itself_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_result(tmp_path / "a.json", result({"limit": FLOOR, "fastserve": [6.0, 6.1, 6.2]})))
    assert cli.main(["compare", path, path]) == 0
    assert capsys.readouterr().out.count("no difference") == 2


def check(before: dict[str, list[float]], after: dict[str, list[float]]) -> tuple[bool, str]:
    (found,) = regressions(result(before), result(after), ["limit", "fastserve"], ["hello"])
    return found.passed, str(found)


@pytest.mark.parametrize(
    ("after", "passed"),
    [
        ({"limit": FLOOR, "fastserve": [6.29, 6.29, 6.29]}, True),
        ({"limit": FLOOR, "fastserve": [6.31, 6.31, 6.31]}, False),
        ({"limit": [10.0] * 3, "fastserve": [12.5] * 3}, True),  # a machine of half the speed
        ({"limit": [4.0] * 3, "fastserve": [6.0] * 3}, False),
        ({"limit": FLOOR, "fastserve": [6.0, 6.6, 6.6]}, True),  # 10 % more, where rounds differ by 9 %
        ({"limit": FLOOR, "fastserve": [3.0, 3.0, 3.0]}, True),
        ({"limit": FLOOR, "fastserve": [0.0, 0.0, 0.0]}, False),
        ({"limit": [5.0], "fastserve": [6.0]}, False),
        ({"limit": FLOOR}, False),
    ],
)
def test_more_than_5_percent_and_the_spread_beside_the_floor_fails(after: dict[str, list[float]], passed: bool) -> None:
    assert check({"limit": FLOOR, "fastserve": [6.0] * 3}, after)[0] is passed


def test_errors_fail_a_check() -> None:
    earlier = result({"limit": FLOOR, "fastserve": [6.0] * 3})
    broken = [*earlier.samples[:-1], type(earlier.samples[0])("hello", "fastserve", cpu_us=6.0, error="2 read errors")]
    (found,) = regressions(earlier, Result(earlier.machine, broken), ["fastserve"], ["hello"])
    assert not found.passed
    assert "2 read errors" in str(found)


def test_a_check_says_what_it_saw() -> None:
    _, line = check({"limit": FLOOR, "fastserve": [6.0] * 3}, {"limit": FLOOR, "fastserve": [6.6] * 3})
    assert line == (
        "FAIL  hello       fastserve / limit: 1.200 before, 1.320 now, +10.0% (most +5% and a spread of 0.0%)"
    )


def test_the_command_checks_one_file_against_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = {"slow": [7.0] * 3, "same": [6.0] * 3}
    before, slow, same = (
        str(write_result(tmp_path / f"{name}.json", result({"limit": FLOOR, "fastserve": own})))
        for name, own in [("before", [6.0] * 3), *costs.items()]
    )
    assert cli.main(["check", "--against", before, "--results", same]) == 0
    assert "pass  hello" in capsys.readouterr().out
    assert cli.main(["check", "--against", before, "--results", slow]) == 1
    assert "FAIL  hello" in capsys.readouterr().out


def test_a_check_that_would_judge_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_result(tmp_path / "before.json", result({"fastserve": [6.0] * 3})))
    assert cli.main(["check", "--against", path, "--results", path]) == 2
    assert "has no server of ours beside limit in hello" in capsys.readouterr().err


def test_a_check_by_thresholds_reads_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_result(tmp_path / "result.json", result({"limit": [5.0], "fastserve": [6.0]}))
    assert cli.main(["check", "--results", str(path), "--scenarios", "hello"]) == 0
    assert "pass  hello" in capsys.readouterr().out
    assert cli.main(["check", "--results", str(path)]) == 1
    assert "FAIL  pipelined" in capsys.readouterr().out
