"""Result files: what is written is what is read, and nothing else is taken for one."""

import json
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.measure.gate import Gate
from bench.measure.machine import describe, versions
from bench.measure.results import FORMAT, Result, default_path, read_result, write_result
from bench.measure.sample import Settings
from bench.plan import Server
from kit.bench_results import MACHINE, sample


def test_what_is_written_is_read(tmp_path: Path) -> None:
    samples = [
        sample("fastserve", 9.0, command=["python"], curve={"50": 5, "99.9": 9}, rss=2**20, foreign=0.5),
        sample("fastserve", 0.0, "server ended with status 3"),
    ]
    gates = [Gate("fastserve"), Gate("other", {"HEAD": "a body after the head"}, {"cookies": "ended by SIGSEGV"})]
    written = Result(MACHINE, samples, gates)
    path = write_result(tmp_path / "folder" / "result.json", written)
    assert read_result(path) == written
    content = json.loads(path.read_text())
    assert content["format"] == FORMAT
    assert content["rows"][0]["cpu_us"] == 9.0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"machine": {}, "rows": [], "samples": []}', "format 1, and this is the reader of format 4: measure anew"),
        ('{"format": 4, "machine": {}}', "is not the result of a run"),
        ('{"format": 4, "machine": {}, "samples": [{"speed": 1}]}', "is not the result of a run"),
        ("[]", "is not the result of a run"),
        ("", "is not the result of a run"),
    ],
)
def test_another_file_is_refused(content: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=why):
        read_result(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nowhere.json"
    assert cli.main(["report", str(path)]) == 2
    complaint = f"bench: {path}: No such file or directory: name the result.json of a run\n"
    assert capsys.readouterr().err == complaint


def test_a_folder_is_named_after_time_and_machine() -> None:
    path = default_path({"cpu": "AMD EPYC (tm) 7B13", "cpus": 2})
    assert path.name == "result.json"
    assert path.parent.name.endswith("-amd-epyc-tm-7b13-2")
    assert path.parent.name[:8].isdigit()


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.machine.find_wrk", lambda: "echo")
    machine = describe(Settings(seconds=2, warm=1))
    assert machine.keys() | {"command", "rounds", "versions"} == MACHINE.keys() | {"machine"}
    assert machine["memory"] > 2**20
    assert all(machine[name] for name in ("time", "system", "kernel", "cpu", "cpus"))


def test_the_version_of_a_program_is_what_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "daemon"
    program.write_text("#!/bin/sh\necho daemon 1.2.3 >&2\n")
    program.chmod(0o755)
    monkeypatch.setattr("bench.measure.machine.SEARCH", str(tmp_path))
    settings = Settings(python=sys.executable)
    assert versions(Server("daemon", (), program="daemon"), settings)["daemon"] == "daemon 1.2.3"
    assert versions(Server("absent", (), program="absent"), settings)["absent"] is None
