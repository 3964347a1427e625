"""The plan's own files, the ratios and the verdicts."""

import asyncio
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.measure import Sample
from bench.plan import HERE, Scenario, Threshold, choose, load_plan, participants
from bench.report import read_rows, table, write_json
from bench.rounds import summarize
from bench.thresholds import judge

PLAN = load_plan()


def sample(server: str, cpu_us: float, error: str = "") -> Sample:
    return Sample("hello", server, cpu_us=cpu_us, error=error)


@pytest.mark.parametrize("scenario", PLAN.scenarios.values(), ids=str)
def test_the_application_gives_the_answer_of_its_scenario(scenario: Scenario) -> None:
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * scenario.upload, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    asyncio.run(application(scenario.app)({"type": "http"}, receive, send))
    assert messages[0]["status"] == scenario.answer.status
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    framing = {"transfer-encoding", "connection"}  # the server's, not the application's
    assert headers == {name: value for name, value in scenario.answer.headers.items() if name not in framing}
    assert b"".join(message["body"] for message in messages[1:]) == scenario.answer.body


def application(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / "apps" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def test_scripts_and_servers_exist() -> None:
    for scenario in PLAN.scenarios.values():
        assert (HERE / "wrk" / scenario.script).is_file()
        chosen = [server.name for server in participants(PLAN, scenario, None)]
        assert chosen == list(scenario.servers or ("limit", "fastserve", "uvicorn"))
        everyone = participants(PLAN, scenario, list(PLAN.servers))
        assert [server.name for server in everyone] == list(scenario.servers or PLAN.servers)


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown scenario 'helo'; there are: hello"):
        choose(PLAN.scenarios, ["helo"], "scenario")


def test_rows_are_medians_and_keep_their_errors(tmp_path: Path) -> None:
    samples = [sample("limit", 5.0), sample("fastserve", 9.0), sample("fastserve", 6.0), sample("fastserve", 7.0)]
    rows = summarize([*samples, sample("fastserve", 0.0, "server ended with status 3")])
    assert [(row.server, row.cpu_us, row.cpu_least, row.cpu_most) for row in rows] == [
        ("limit", 5.0, 5.0, 5.0),
        ("fastserve", 7.0, 6.0, 9.0),
    ]
    assert rows[1].errors == ["server ended with status 3"]
    text = table([PLAN.scenarios["hello"]], rows)
    assert "fastserve !" in text
    assert "1.400" in text
    assert "server ended with status 3" in text
    assert read_rows(write_json(tmp_path / "result.json", {}, rows, samples)) == rows


@pytest.mark.parametrize(
    ("cpu_us", "error", "passed"), [(6.5, "", True), (6.51, "", False), (6.0, "2 read errors", False)]
)
def test_a_threshold_is_kept_up_to_its_value_and_never_with_errors(cpu_us: float, error: str, passed: bool) -> None:
    rows = summarize([sample("limit", 5.0), sample("fastserve", cpu_us, error)])
    assert judge(Threshold("hello", "fastserve", "limit", 1.30), rows).passed is passed


def test_a_threshold_without_figures_is_missed() -> None:
    verdict = judge(Threshold("hello", "fastserve", "limit", 1.30), summarize([sample("limit", 5.0)]))
    assert not verdict.passed
    assert "not measured" in str(verdict)


def test_check_judges_a_result_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [sample("limit", 5.0), sample("fastserve", 6.0)]
    path = write_json(tmp_path / "result.json", {}, summarize(samples), samples)
    assert cli.main(["check", "--results", str(path), "--scenarios", "hello"]) == 0
    assert "pass  hello" in capsys.readouterr().out
    assert cli.main(["check", "--results", str(path)]) == 1
    assert "FAIL  pipelined" in capsys.readouterr().out


def test_missing_wrk_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "wrk" else which(name))
    assert cli.main(["--servers", "limit", "--scenarios", "hello"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "apt install wrk" in complaint


def test_every_threshold_is_measured_by_default() -> None:
    for threshold in PLAN.thresholds:
        taking_part = {server.name for server in participants(PLAN, PLAN.scenarios[threshold.scenario], None)}
        assert {threshold.server, threshold.reference} <= taking_part
