"""README's figures and the table of who is ahead: those of the committed reference, made of a result as it is."""

import re
from pathlib import Path

import pytest

from bench.field.adopt import (
    PERFORMANCE,
    README,
    REFERENCE,
    SHOWN,
    ahead,
    between,
    picture_of,
    readme_figures,
    replaced,
    without_places,
)
from bench.measure.gate import Gate
from bench.measure.results import NAME, Result, read_result
from bench.measure.sample import Sample
from bench.plan import load_plan

MACHINE = {
    "rounds": 3,
    "seconds": 2,
    "command": "python -m bench",
    "cpus": 2,
    "cpu": "Some CPU",
    "kernel": "6.1",
    "load_average": [0.1, 0.1, 0.1],
    "versions": {"fastserve": {"python": "3.11.7"}},
}


@pytest.fixture
def reference() -> Result:
    path = REFERENCE / NAME
    if not path.exists():
        pytest.skip(f"there is no {path.name} in bench/results/reference")
    return read_result(path)


def test_readme_shows_the_references_figures(reference: Result) -> None:
    assert between(README.read_text(), "figures") == readme_figures(reference, load_plan())


def test_who_is_ahead_is_the_references_too(reference: Result) -> None:
    assert between(PERFORMANCE.read_text(), "who is ahead") == ahead(reference, load_plan())


def test_the_reference_keeps_the_pictures_that_readme_shows_and_its_report_no_others(reference: Result) -> None:
    kept = [picture_of(name) for name in load_plan().sets[SHOWN].pictures]
    assert all((REFERENCE / name).is_file() for name in kept)
    assert sorted(re.findall(r"!\[.*?\]\((.+?)\)", (REFERENCE / "report.md").read_text())) == sorted(kept)


def result(**cpu: float) -> Result:
    samples = [Sample("hello", name.replace("_", "-"), cpu_us=value, requests=1) for name, value in cpu.items()]
    return Result(MACHINE, samples, [Gate("fastpysgi-asgi", error="crashed")])


def test_the_table_has_ours_beside_the_floor_and_the_peers() -> None:
    text = readme_figures(result(limit=5.0, fastserve=6.0, uvicorn=18.0, granian_asgi=12.0), load_plan())
    assert "| 6.00 | 5.00 | 1.20 | granian-asgi 12.00 | 18.00 | 0.33 |" in text
    assert "at rest before it" in text


def test_a_peer_that_is_ahead_is_named_with_its_reason() -> None:
    text = ahead(result(fastserve=6.0, fastpysgi_asgi=5.0, uvicorn=18.0), load_plan())
    assert "| hello | fastpysgi-asgi" in text
    assert "0.83" in text
    assert "uvicorn" not in text
    assert ahead(result(fastserve=6.0, uvicorn=18.0), load_plan()) == "In no scenario of the reference is a peer ahead."


def test_a_reference_names_no_place_of_its_machine(reference: Result) -> None:
    text = (REFERENCE / NAME).read_text() + (REFERENCE / "report.md").read_text()
    assert reference.samples
    assert without_places(text) == text
    assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", text)


def test_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = "a\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nb\n"
    assert between(replaced(page, "figures", "new"), "figures") == "new"
    assert replaced(page, "figures", "new").endswith("<!-- figures: end -->\nb\n")
    with pytest.raises(ValueError, match="no <!-- else: begin -->"):
        replaced(page, "else", "new")
