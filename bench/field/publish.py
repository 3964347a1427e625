"""What a run leaves in its folder: the result, the report, and the pictures where they can be drawn."""

from pathlib import Path

from bench.field.markdown import markdown
from bench.field.pictures import PicturesError, draw
from bench.measure.results import Result
from bench.plan import Plan

NAME = "report.md"


def publish(result: Result, plan: Plan, folder: Path) -> tuple[Path, str]:
    """Write report.md and pictures to `folder`. Returns the report's path, and why there are no pictures."""
    drawn, complaint = {}, ""
    try:
        drawn = draw(result, plan.scenarios.values(), folder)
    except PicturesError as error:
        complaint = str(error)
    pictures = {name: [path.name for path in paths if path.suffix == ".svg"] for name, paths in drawn.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(markdown(result, plan, pictures))
    return path, complaint
