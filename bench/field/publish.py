"""What a run leaves in its folder: the result, the report, and the pictures where they can be drawn."""

from collections.abc import Collection
from pathlib import Path

from bench.field.markdown import markdown
from bench.field.pictures import PicturesError, draw
from bench.measure.results import Result
from bench.plan import Plan

NAME = "report.md"
PARTIAL = "Few pictures are kept here: `python -m bench pictures` draws all of the `result.json` beside this report."


def publish(result: Result, plan: Plan, folder: Path, only: Collection[str] | None = None) -> tuple[Path, str]:
    """Write report.md and pictures to `folder`, of these `only` some file names.

    Returns the report's path, and why there are no pictures.
    """
    drawn, complaint = {}, ""
    try:
        drawn = draw(result, plan.scenarios.values(), folder, only)
    except PicturesError as error:
        complaint = str(error)
    pictures = {name: [path.name for path in paths if path.suffix == ".svg"] for name, paths in drawn.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(markdown(result, plan, pictures, PARTIAL if only is not None else ""))
    return path, complaint
