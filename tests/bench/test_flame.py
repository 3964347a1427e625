"""Stacks from perf's text, and the picture of them; the whole way with a server of the tests where perf may record."""

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bench.measure.sample import Settings
from bench.plan import Scenario, Server, load_plan
from bench.profile import flame, perf, stacks
from bench.profile.stacks import KERNEL, Frame

SAMPLE = Path(__file__).with_name("perf_script.txt").read_text()
CORE = "_core.cpython-311-x86_64-linux-gnu.so"
EVAL = Frame("_PyEval_EvalFrameDefault", "python3.11")
POLL = Frame("Driver.poll", CORE)
BUILD = Frame("ScopeBuilder.build", CORE)
SVG = "{http://www.w3.org/2000/svg}"


def test_equal_stacks_are_counted_together_from_the_outermost_function_on() -> None:
    found = stacks.parse(SAMPLE)
    assert found.total() == 4
    [(stack, count)] = [item for item in found.items() if item[0][-1] == BUILD]
    assert count == 2
    assert stack[:2] == (Frame("fastserve: work", ""), EVAL)
    assert stack[-2] == POLL


def test_the_kernel_is_one_module_and_names_with_blanks_and_brackets_are_read() -> None:
    [stack] = [stack for stack in stacks.parse(SAMPLE) if stack[0].name == "watch"]
    assert stack[1:] == (
        Frame("[unknown]", "perf-17.map (deleted)"),
        Frame("operator()<int>(char const*)", KERNEL),
    )


def test_a_sample_at_the_end_of_the_text_counts_without_a_blank_line() -> None:
    assert stacks.parse(SAMPLE.rstrip("\n")) == stacks.parse(SAMPLE)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("__pyx_f_9fastserve_5_core_12ScopeBuilder_build.lto_priv.0", "ScopeBuilder.build"),
        ("__pyx_pw_9fastserve_5_core_6Driver_5poll", "Driver.poll"),
        ("__pyx_pw_9fastserve_5_core_6Driver_15add_listener", "Driver.add_listener"),
        ("__pyx_f_9fastserve_5_core_method_name", "method_name"),
        ("__pyx_tp_dealloc_9fastserve_5_core_Connection", "Connection (tp_dealloc)"),
        ("fs_poller_collect.constprop.0.isra.0", "fs_poller_collect"),
        ("__pyx_f_6uvloop_4loop_6Handle__run", "__pyx_f_6uvloop_4loop_6Handle__run"),
        ("_PyEval_EvalFrameDefault.cold", "_PyEval_EvalFrameDefault"),
    ],
)
def test_names_are_those_of_the_source(symbol: str, name: str) -> None:
    assert stacks.readable(symbol) == name


def test_folded_lines_have_a_stack_and_its_count() -> None:
    lines = stacks.fold(stacks.parse(SAMPLE)).splitlines()
    assert len(lines) == 3
    assert lines == sorted(lines)
    handle = "__pyx_f_6uvloop_4loop_6Handle__run"
    assert f"fastserve: work;_PyEval_EvalFrameDefault;{handle};Driver.poll;ScopeBuilder.build 2" in lines


def test_the_table_has_the_functions_that_ran_and_not_their_callers() -> None:
    lines = stacks.top(stacks.parse(SAMPLE), 20).splitlines()
    assert lines[0].split() == ["50.00%", "ScopeBuilder.build", CORE]
    assert len(lines) == 3
    assert len(stacks.top(stacks.parse(SAMPLE), 1).splitlines()) == 1


def test_boxes_lie_on_their_callers_and_beside_each_other() -> None:
    boxes = list(flame.place(flame.tree(stacks.parse(SAMPLE))))
    by_frame = {box.frame: box for box in boxes}
    poll, build = by_frame[POLL], by_frame[BUILD]
    assert (poll.share, build.share, build.samples) == (0.75, 0.5, 2)
    assert build.depth == poll.depth + 1
    assert poll.left <= build.left
    assert build.left + build.share <= poll.left + poll.share
    for depth in range(max(box.depth for box in boxes) + 1):
        row = sorted((box for box in boxes if box.depth == depth), key=lambda box: box.left)
        assert all(one.left + one.share <= other.left for one, other in pairwise(row))


def test_the_picture_is_xml_with_a_tooltip_for_each_box() -> None:
    root = ET.fromstring(flame.draw(stacks.parse(SAMPLE), "a <title>", "a & note"))
    assert root.tag == f"{SVG}svg"
    tooltips = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert f"ScopeBuilder.build in {CORE}: 2 of 4 samples, 50.00%" in tooltips
    assert any(tooltip.startswith("operator()<int>(char const*) in [kernel]") for tooltip in tooltips)
    assert [text.text for text in root.iter(f"{SVG}text")][:2] == ["a <title>", "a & note"]
    for rect in root.findall(f"{SVG}g/{SVG}rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= flame.WIDTH + 2 * flame.MARGIN
        assert float(rect.attrib["y"]) >= flame.HEADER - flame.ROW


def test_a_name_that_is_too_long_for_its_box_is_cut() -> None:
    found = stacks.Stacks({(Frame("x" * 500, "libc.so.6"),): 1})
    [label] = [text.text or "" for text in ET.fromstring(flame.draw(found, "", "")).iter(f"{SVG}text")][-1:]
    assert label.endswith("x…")
    assert len(label) * flame.CHARACTER < flame.WIDTH


def test_no_picture_without_a_sample() -> None:
    with pytest.raises(ValueError, match="no stack was sampled"):
        flame.draw(stacks.parse(""), "", "")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (CORE, "fastserve's core"),
        (KERNEL, "kernel"),
        ("loop.cpython-311-x86_64-linux-gnu.so", "uvloop"),
        ("libpython3.13.so.1.0", "Python and its modules"),
        ("_asyncio.cpython-311-x86_64-linux-gnu.so", "Python and its modules"),
        ("libc.so.6", "other programs and libraries"),
        ("", "threads"),
    ],
)
def test_modules_have_an_owner(module: str, name: str) -> None:
    assert flame.owner(Frame("f", module))[0] == name


def test_the_subject_takes_part_in_the_scenario() -> None:
    plan = load_plan()
    assert perf.subject(plan, plan.scenarios["hello"], None).name == "fastserve"
    assert perf.subject(plan, plan.scenarios["hello"], "uvicorn").name == "uvicorn"
    with pytest.raises(ValueError, match="bjoern does not take part in hello"):
        perf.subject(plan, plan.scenarios["hello"], "bjoern")


def test_without_perf_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert perf.main(["hello"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bench: perf is not on the PATH: install it (apt install linux-perf, dnf install perf)"
    ]


def may_record() -> bool:
    try:
        perf.check_perf()
    except perf.PerfError:
        return False
    return shutil.which("wrk") is not None


@pytest.mark.alone(measures=True)
def test_a_server_under_load_is_sampled(
    scenario: Scenario,
    settings: Settings,
    fake: Callable[[str, int], Server],
    children: Callable[[], list[int]],
) -> None:
    if not may_record():
        pytest.skip("needs wrk, and perf with the right to record")
    before = children()
    found, per_second = perf.profile(scenario, fake("right", 1_000_000), settings)
    assert per_second > 0
    assert found.total() > 50
    assert any("python" in frame.module for stack in found for frame in stack)
    assert children() == before
