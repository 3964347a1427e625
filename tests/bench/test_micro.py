"""The micro benchmark counts what it says: single things once each, with the flags of the extension."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.profile import c_rooms, callgrind, core_cases, micro
from bench.profile.c_rooms import Cost, build_rooms

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
needs_valgrind = pytest.mark.skipif(not callgrind.available(), reason="valgrind is not installed")

OUT = """\
# callgrind format
events: Ir

fl=(1) rooms.c
fn=(1) main
0 40
cfn=(2) measured
calls=2 0
0 1000
cfi=(2) h1.c
cfn=(3) fs_h1_next
calls=1 0
0 7

fn=(2)
0 200
cfn=(3)
calls=64 0
* 800

totals: 1047
"""


def test_calls_are_summed_over_all_callers() -> None:
    counts = callgrind.parse(OUT)
    assert counts.total == 1047
    assert counts.calls("measured") == callgrind.Calls(2, 1000)
    assert counts.calls("fs_h1_next") == callgrind.Calls(65, 807)


def test_calls_can_be_those_of_one_caller() -> None:
    counts = callgrind.parse(OUT)
    assert counts.calls("fs_h1_next", "main") == callgrind.Calls(1, 7)
    assert counts.calls("fs_h1_next", "measured") == callgrind.Calls(64, 800)
    assert counts.calls("fs_h1_feed") == callgrind.Calls(0, 0)


def test_a_file_without_a_total_is_an_error() -> None:
    with pytest.raises(callgrind.CallgrindError, match="no total"):
        callgrind.parse("")


@needs_compiler
def test_every_case_of_the_c_rooms_takes_time() -> None:
    times = c_rooms.times(build_rooms(), 5)
    assert {"request head, 1 field", "request body, 16 chunks", "response head, 6 fields"} <= times.keys()
    assert all(nanoseconds > 0 for nanoseconds in times.values())
    assert times["request head, 12 fields"] > times["request head, 1 field"]


@needs_compiler
def test_the_program_is_built_with_the_flags_of_the_extension_and_not_twice() -> None:
    program = build_rooms()
    built = program.stat().st_mtime_ns
    command: list[str] = json.loads(program.with_name("rooms.command").read_text())
    assert "-O3" in command
    assert "-std=gnu11" in command
    assert "ext/proto/h1_parse.c" in command
    build_rooms()
    assert program.stat().st_mtime_ns == built


@needs_compiler
def test_an_unknown_case_is_refused() -> None:
    done = subprocess.run([str(build_rooms()), "nonsense", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@needs_compiler
@needs_valgrind
def test_instructions_of_the_c_rooms_are_the_same_each_time() -> None:
    program = build_rooms()
    small, again, browser = (
        c_rooms.instructions(program, name)
        for name in ("request head, 1 field", "request head, 1 field", "request head, 12 fields")
    )
    assert small == again
    assert 200 < small < browser


@pytest.mark.parametrize("case", core_cases.cases(), ids=lambda case: f"{case.interface}-{case.fields}")
def test_the_core_alone_serves_each_case(case: core_cases.Case) -> None:
    assert len(re.findall(rb"(?m)^[\w-]+: ", case.request)) == int(case.fields.split()[0])
    assert 500 < core_cases.nanoseconds(case, 1) < 1_000_000


@needs_valgrind
@pytest.mark.slow
def test_what_the_application_is_given_is_built_once_a_request() -> None:
    case = next(case for case in core_cases.cases() if case.interface == "wsgi")
    counts = core_cases.run_counted(case, 2)
    built = counts.calls(case.builder)
    assert built.count == 2 * core_cases.PIPELINED
    assert built.instructions < sum(counts.calls(entry).instructions for entry in case.entries) < counts.total


def test_a_core_that_ends_early_is_an_error() -> None:
    case = core_cases.Case("neither", "no field", b"", (), "", "")  # type: ignore[arg-type]
    with pytest.raises(core_cases.CoreError, match="ended with status 1"):
        core_cases.nanoseconds(case, 1)


def test_what_cannot_be_had_is_left_out() -> None:
    assert micro.line(Cost("scope of it", None, 1862.0)).split() == ["scope", "of", "it", "-", "1,862.0"]


def test_the_result_is_a_table_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = [Cost("request head", 115.5, 1522.0), Cost("scope of it", None, None)]
    monkeypatch.setattr(c_rooms, "costs", lambda _milliseconds: iter(costs[:1]))
    monkeypatch.setattr(core_cases, "costs", lambda _milliseconds: iter(costs[1:]))
    assert micro.main(["--json", str(tmp_path / "result.json")]) == 0
    assert [Cost(**cost) for cost in json.loads((tmp_path / "result.json").read_text())["costs"]] == costs
    assert "115.5" in capsys.readouterr().out


def test_what_cannot_be_built_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(c_rooms, "BUILD", tmp_path)
    monkeypatch.setattr(c_rooms, "PROGRAM", tmp_path / "rooms")
    assert micro.main([]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "no-such-compiler" in line
