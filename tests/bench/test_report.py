"""The table, the report and its pictures say what was measured, and what is wrong with it."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.field.markdown import grid, markdown
from bench.field.pictures import bars, curves, draw
from bench.field.publish import publish
from bench.measure.gate import Gate
from bench.measure.report import load_warning, table
from bench.measure.results import Result, write_result
from bench.measure.rounds import summarize
from bench.plan import Duty, Plan, Scenario, load_plan
from kit.bench_results import MACHINE, result, sample

CURVE = {"50": 1000, "90": 2000, "99": 3000, "99.9": 4000, "100": 5000}
SVG = "hello-cpu.svg"


@pytest.fixture
def plan(scenario: Scenario) -> Plan:
    duty = Duty("1 and a supervisor", "1", "yes", "yes", "yes", "no", note="first | last")
    return replace(load_plan(), scenarios={scenario.name: scenario}, duties={"fastserve": duty, "absent": duty})


def test_rows_are_medians_and_keep_their_errors(scenario: Scenario) -> None:
    samples = [sample("limit", 5.0), sample("fastserve", 9.0), sample("fastserve", 6.0), sample("fastserve", 7.0)]
    rows = summarize([*samples, sample("fastserve", 0.0, "server ended with status 3")])
    assert [(row.server, row.cpu_us, row.cpu_least, row.cpu_most) for row in rows] == [
        ("limit", 5.0, 5.0, 5.0),
        ("fastserve", 7.0, 6.0, 9.0),
    ]
    assert rows[1].errors == ["server ended with status 3"]
    text = table([scenario], rows)
    assert "fastserve !" in text
    assert "1.400" in text
    assert "server ended with status 3" in text


def test_every_figure_has_its_median_and_its_range() -> None:
    figures: list[dict[str, Any]] = [
        {"per_second": x, "p90_us": x, "p999_us": x, "rss": x, "curve": {"50": x}} for x in (30, 10, 50)
    ]
    (row,) = summarize([sample("fastserve", 7.0, **each) for each in figures])
    for name in ("per_second", "p90_us", "p999_us", "rss"):
        assert getattr(row, name) == 30
        assert row.ranges[name] == (10, 50)
    assert row.curve == {"50": 30}


@pytest.mark.parametrize(("foreign", "marked"), [(0.05, False), (0.06, True)])
def test_a_disturbed_row_is_marked(scenario: Scenario, plan: Plan, foreign: float, marked: bool) -> None:
    made = Result(MACHINE, [sample("fastserve", 7.0), sample("fastserve", 7.0, foreign=foreign)])
    remark = "~ disturbed: others had more than 5% of the server's core in a round, 6% at the most"
    for text in (table([scenario], made.rows), markdown(made, plan)):
        assert ("fastserve ~" in text) is marked
        assert (remark in text) is marked


def test_latencies_that_a_round_lacks_are_not_shown(plan: Plan) -> None:
    samples = [sample("fastserve", 7.0, p50_us=latency, p90_us=90) for latency in (0, 50, 60)]
    (row,) = summarize(samples)
    assert (row.p50_us, row.p90_us) == (0, 90)
    assert "| 7.00 | - | - | 90 |" in markdown(Result(MACHINE, samples), plan)


def test_who_has_not_passed_the_gate_is_marked_with_what_it_did(scenario: Scenario, plan: Plan) -> None:
    gates = [
        Gate("fastserve"),
        Gate("wrong", {"HEAD": "a body after the head"}),
        Gate("crashed", crashed={"two Cookie fields": "ended by SIGSEGV"}),
        Gate("broken", error="no right answer"),
    ]
    made = Result(MACHINE, [sample(gate.server, 7.0) for gate in gates], gates)
    for text in (table([scenario], made.rows, made.failing), markdown(made, plan)):
        assert all(f"{name} x" in text for name in ("wrong", "crashed", "broken"))
        assert "fastserve x" not in text
        assert "x has not passed the gate" in text
    lines = markdown(made, plan).splitlines()
    assert "| fastserve | passed |" in lines
    assert "| wrong | HEAD: a body after the head |" in lines
    assert "| crashed | crashed at two Cookie fields: ended by SIGSEGV |" in lines
    assert "| broken | no right answer |" in lines


@pytest.mark.parametrize(("average", "loaded"), [(0.5, False), (0.51, True)])
def test_a_run_on_a_loaded_machine_is_marked(plan: Plan, average: float, loaded: bool) -> None:
    made = result({"fastserve": [7.0]}, {"load_average": [average, 0.0, 0.0]})
    assert bool(load_warning(made.machine)) is loaded
    assert ("**LOADED MACHINE" in markdown(made, plan)) is loaded


def test_the_report_has_all_that_is_needed_to_judge_it(plan: Plan) -> None:
    samples = [
        sample("limit", 5.0, command=["limit", "1"], load_command=["wrk", "-H", "A: b"]),
        sample("fastserve", 6.0, p99_us=100),
        sample("fastserve", 8.0, p99_us=300),
        sample("bjoern", 0.0, "missing: bjoern|libev"),
    ]
    text = markdown(Result(MACHINE, samples), plan, {"hello": [SVG]})
    assert "| fastserve | 7.00 (6.00 – 8.00) | 1.400 |" in text
    assert "200 (100 – 300)" in text
    assert "| limit | 5.00 | 1.000 |" in text
    assert "- bjoern: missing: bjoern|libev" in text
    assert "! with errors" in text
    assert "| fastserve | python 3.11.7, fastserve 0.1.0 |" in text
    assert "- limit: `limit 1`" in text
    assert "- hello: `wrk -H 'A: b'`" in text
    assert f"![hello]({SVG})" in text
    assert "| fastserve | 1 and a supervisor | 1 | yes | yes | yes | no | first \\| last |" in text
    assert "absent" not in text
    assert all(str(MACHINE[name]) in text for name in ("cpu", "kernel", "system", "time", "project", "command"))


def test_a_scenario_that_is_no_more_is_named(plan: Plan) -> None:
    assert "no more" not in markdown(result({"fastserve": [7.0]}), plan)
    assert "has them no more: gone." in markdown(result({"fastserve": [7.0]}, scenario="gone"), plan)


def test_all_lines_of_a_table_have_its_columns() -> None:
    lines = grid(["a", "b"], [["x|y", "two\nlines"]]).splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", "| x\\|y | two lines |"]


def test_bars_go_from_the_cheapest_to_the_dearest_without_the_floor() -> None:
    rows = result({"limit": [1.0], "dear": [9.0], "cheap": [2.0], "failed": [0.0]}).rows
    assert [row.server for row in bars(rows)] == ["cheap", "dear"]


def test_curves_are_milliseconds_over_nines_and_leave_out_the_largest() -> None:
    rows = summarize([sample("fastserve", 7.0, curve=CURVE), sample("failed", 0.0)])
    assert list(curves(rows)) == ["fastserve"]
    points = curves(rows)["fastserve"]
    assert [latency for _, latency in points] == [1.0, 2.0, 3.0, 4.0]
    assert [nines for nines, _ in points] == pytest.approx([0.301, 1, 2, 3], abs=0.001)


def test_without_matplotlib_the_report_is_there_and_one_line_says_what_to_do(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path, complaint = publish(result({"fastserve": [7.0]}), plan, tmp_path)
    assert complaint == "no pictures: matplotlib is not installed (pip install -r bench/requirements.txt)"
    assert "fastserve" in path.read_text()
    assert "![" not in path.read_text()


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="bench/requirements.txt is not installed")
def test_pictures_name_every_server(scenario: Scenario, tmp_path: Path) -> None:
    samples = [sample(name, 7.0, curve=CURVE) for name in ("limit", "fastserve", "uvicorn")]
    other = replace(scenario, name="unmeasured")
    paths = draw(Result(MACHINE, samples), [scenario, other], tmp_path)["hello"]
    names = [f"hello-{what}.{kind}" for what in ("cpu", "latency") for kind in ("svg", "png")]
    assert [path.name for path in paths] == names
    for path in paths[::2]:
        text = path.read_text()
        assert all(word in text for word in ("fastserve", "uvicorn", scenario.title))
    assert "floor: 7.00" in paths[0].read_text()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[1::2])


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="bench/requirements.txt is not installed")
def test_few_pictures_are_kept_and_the_others_are_drawn_on_demand(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Result(MACHINE, [sample("fastserve", 7.0, curve=CURVE)])
    path, _ = publish(measured, plan, tmp_path, [SVG])
    kept = path.read_text()
    assert {each.name for each in tmp_path.iterdir()} == {"report.md", SVG}
    assert kept.count("![") == 1
    assert "`python -m bench pictures`" in kept
    assert cli.main(["pictures", str(write_result(tmp_path / "result.json", measured))]) == 0
    assert f"{tmp_path / 'hello-latency.svg'}\n" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.svg"))) == 2
    assert path.read_text() == kept


def test_a_report_is_made_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_result(tmp_path / "result.json", result({"limit": [5.0], "fastserve": [6.0]}))
    assert cli.main(["report", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'report.md'}\n")
    assert "| fastserve | 6.00 | 1.200 |" in (tmp_path / "report.md").read_text()
