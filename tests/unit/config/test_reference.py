"""The page of all options."""

from pathlib import Path

from fastserve.config import reference


def test_reference_page_is_made_from_the_table() -> None:
    committed = Path(__file__).parents[3] / "docs" / "options.md"
    assert committed.read_text() == reference.page(), "run: python -m fastserve.config.reference > docs/options.md"
