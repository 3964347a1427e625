"""What a run leaves in its folder: the result, the report, and the pictures where they can be drawn."""

from collections.abc import Iterable
from pathlib import Path

from bench.markdown import markdown
from bench.pictures import PicturesError, draw
from bench.plan import Scenario
from bench.results import Result

NAME = "report.md"


def publish(result: Result, scenarios: Iterable[Scenario], folder: Path) -> tuple[Path, str]:
    """Write report.md and pictures to `folder`. Returns the report's path, and why there are no pictures."""
    scenarios, complaint = list(scenarios), ""
    try:
        drawn = draw(result, scenarios, folder)
    except PicturesError as error:
        drawn, complaint = {}, str(error)
    pictures = {name: [path.name for path in paths if path.suffix == ".svg"] for name, paths in drawn.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(markdown(result, scenarios, pictures))
    return path, complaint
