"""The micro benchmark counts what it says: single things once each, with the flags of the extension."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import hpack
import pytest

from bench.profile import c_rooms, callgrind, core_cases, dialogues, micro
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


def named(*parts: str) -> core_cases.Case:
    return next(case for case in core_cases.cases() if all(part in case.name for part in parts))


@pytest.mark.parametrize("case", core_cases.cases(), ids=lambda case: case.name.replace(" ", "-"))
def test_the_core_alone_serves_each_case(case: core_cases.Case) -> None:
    assert 500 < core_cases.nanoseconds(case, 1) < 1_000_000


@pytest.mark.parametrize("fields", ["1 field", "12 fields"])
def test_a_request_has_the_fields_of_its_name(fields: str) -> None:
    request = named("ASGI request", fields).dialogue.segment(0, 1)
    assert len(re.findall(rb"(?m)^[\w-]+: ", request)) == int(fields.split(maxsplit=1)[0])


@pytest.mark.parametrize("size", [1, 16])
def test_a_segment_of_messages_has_its_size(size: int) -> None:
    frame = dialogues.Messages().segment(0, size)
    masked = [(byte ^ mask) for byte, mask in zip(frame[6:19], frame[2:6] * 4, strict=False)]
    assert (frame[0], frame[1], bytes(masked)) == (0x81, 0x80 | 13, b"Hello, World!")
    assert frame == frame[:19] * size


def test_streams_are_numbered_on_and_their_windows_opened_for_what_has_come() -> None:
    first, second = (_frames(dialogues.Streams().segment(number, 16)) for number in range(2))
    assert [(kind, stream) for kind, stream, _ in first] == [(4, 0), (8, 0), *((1, at) for at in range(3, 35, 2))]
    assert [(kind, stream) for kind, stream, _ in second] == [(8, 0), *((1, at) for at in range(35, 67, 2))]
    assert first[1][2] == (13).to_bytes(4, "big")  # the answer to the opening
    assert second[0][2] == (16 * 13).to_bytes(4, "big")


def test_the_fields_of_a_stream_are_those_of_the_request() -> None:
    decoder = hpack.Decoder()
    opening = _frames(dialogues.Streams().opening.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    blocks = [payload for kind, _, payload in [*opening, *_frames(dialogues.Streams().segment(0, 2))] if kind == 1]
    expected = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "127.0.0.1:8000")]
    assert [[(str(name), str(value)) for name, value in decoder.decode(block)] for block in blocks] == [expected] * 3


def _frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of each."""
    frames = []
    while data:
        end = 9 + int.from_bytes(data[:3], "big")
        frames.append((data[3], int.from_bytes(data[5:9], "big"), data[9:end]))
        data = data[end:]
    return frames


@needs_valgrind
@pytest.mark.slow
@pytest.mark.parametrize("name", ["WSGI request, 1 field", "ASGI HTTP/2 stream", "WSGI HTTP/2 stream"])
def test_what_the_application_is_given_is_built_once_a_request(name: str) -> None:
    case = named(name)
    counts = core_cases.run_counted(case, 32)
    built = counts.calls(case.builder)
    assert built.count == 32 + bool(case.dialogue.opening)
    entries = sum(counts.calls(*entry).instructions for entry in case.entries)
    assert built.instructions < entries - counts.calls(case.sending).instructions < entries < counts.total


@needs_valgrind
@pytest.mark.slow
def test_one_that_has_a_turn_of_its_own_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_cases, "SHORT", 32)
    monkeypatch.setattr(core_cases, "LONG", 64)
    whole, built = core_cases.instructions(named("WebSocket"))
    alone, _ = core_cases.instructions(named("WebSocket", "one by one"))
    assert built is None
    assert 1_000 < whole < alone < 100_000


@needs_valgrind
@pytest.mark.slow
def test_a_case_whose_sending_is_not_seen_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_cases, "SHORT", 16)
    monkeypatch.setattr(core_cases, "LONG", 32)
    case = dataclasses.replace(named("WebSocket"), sending="no_such_function")
    with pytest.raises(callgrind.CallgrindError, match="no_such_function, which is to be left out, was never called"):
        core_cases.instructions(case)


def test_a_core_that_ends_early_is_an_error() -> None:
    case = dataclasses.replace(named("ASGI request, 1 field"), interface="neither")  # type: ignore[arg-type]
    with pytest.raises(core_cases.CoreError, match="ended with status 1"):
        core_cases.nanoseconds(case, 1)


def test_a_case_without_a_product_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callgrind, "available", lambda: False)
    monkeypatch.setattr(core_cases, "nanoseconds", lambda _case, _milliseconds: 1.0)
    names = [cost.name for cost in core_cases.costs(1)]
    assert "ASGI WebSocket message, 13 bytes" in names
    assert names[names.index("WSGI HTTP/2 stream, 1 field") + 1] == "environ of it, 1 field"
    assert "" not in [name.split(" of it")[0] for name in names]


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
