"""A whole run, from the command to what it leaves."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import cli
from bench.measure import results
from bench.measure.gate import Gate
from bench.measure.results import read_result
from bench.plan import Plan, Scenario, Server, load_plan

pytestmark = [
    pytest.mark.alone(measures=True),
    pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("cc")), reason="needs wrk and a C compiler"),
]

Fake = Callable[[str, int], Server]
SHORT = ["--rounds", "2", "--seconds", "1", "--warm", "0", "--peer-python", sys.executable]


@pytest.fixture
def plan(fake: Fake, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two servers of which one does not pass the gate, one that dies, and one that is not installed."""
    asgi = {name: replace(fake("right", 500_000), name=name, interface="asgi") for name in ("right", "wrong")}
    absent = Server("absent", ("false",), packages=("no-such-package",), interface="asgi", peer=True)
    servers = {**asgi, "dies": fake("dies", 100_000), "absent": absent}
    plan = replace(load_plan(), scenarios={scenario.name: scenario}, servers=servers, thresholds=(), duties={})
    monkeypatch.setattr(cli, "load_plan", lambda: plan)
    gates = {"right": Gate("right"), "wrong": Gate("wrong", {"HEAD": "a body after the head"})}
    monkeypatch.setattr(cli, "run_gate", lambda server, _settings: gates[server.name])
    return plan


@pytest.mark.usefixtures("plan")
def test_a_run_leaves_a_result_and_a_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    children: Callable[[], list[int]],
) -> None:
    before = children()
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert cli.main(["--servers", "right,wrong,absent", *SHORT]) == 0  # who is not installed is no failure
    assert children() == before
    output = capsys.readouterr()
    assert output.err.startswith("bench: 2 servers at the gate, 2 measurements in each of 2 rounds, 1 s of load each")
    assert ("no pictures" in output.out) is (importlib.util.find_spec("matplotlib") is None)
    (folder,) = tmp_path.iterdir()
    result = read_result(folder / "result.json")
    assert [gate.passed for gate in result.gates] == [True, False]
    assert result.machine["rounds"] == 2
    right, wrong, absent = result.rows
    assert right.cpu_us == pytest.approx(500, rel=0.05)
    assert right.rounds == 2
    assert right.errors == wrong.errors == []
    assert "no-such-package is not installed" in absent.errors[0]
    for text in (output.out, (folder / "report.md").read_text()):
        assert "wrong x" in text.replace("~ ", "")
        assert "absent !" in text
    assert cli.main(["compare", *[str(folder / "result.json")] * 2]) == 0
    assert capsys.readouterr().out.count("no difference") == 2


@pytest.mark.usefixtures("plan")
def test_a_server_that_dies_fails_the_run_and_a_named_file_is_all_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "some.json"
    assert cli.main(["--servers", "dies", "--json", str(path), *SHORT]) == 1
    assert list(tmp_path.rglob("*.*")) == [path]
    assert all("ended with status 3" in sample.error for sample in read_result(path).samples)
