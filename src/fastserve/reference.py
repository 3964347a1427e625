"""docs/options.md, made from the table: `python -m fastserve.reference > docs/options.md`."""

from collections.abc import Iterator

from fastserve.errors import ExitStatus
from fastserve.kinds import Switch
from fastserve.options import GROUPS, OPTIONS, Option

_BEGINNING = """\
# Options

<!-- Made from the table in src/fastserve/options.py by `python -m fastserve.reference`. -->

    fastserve [OPTIONS] APP

`APP` is the application, written `module:attribute` (variable `FASTSERVE_APP`).

A value on the command line counts before one in the environment, and that before the default; an empty variable is as
good as none. In Python the same options are the keyword arguments of `fastserve.run` and `fastserve.Config`, with
underscores for dashes; environment variables are not read there. Sizes take the suffixes K, M and G (powers of 1024),
times are seconds and may have fractions, and in the environment a switch is `true` or `false`, `1` or `0`, `yes` or
`no`, `on` or `off`.
"""

_STATUSES = """\
## Exit status

| status | meaning |
| --- | --- |
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_BEGINNING, *(_section(group) for group in GROUPS), _statuses()])


def _section(group: str) -> str:
    head = f"## {group}\n\n| option | variable | default | meaning | same name in |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(_row(option) for option in OPTIONS if option.group == group)


def _row(option: Option) -> str:
    cells = (
        "<br>".join(f"`{flag}`" for flag in _flags(option)),
        "<br>".join(f"`{name}`" for name in option.environment),
        _default(option),
        option.description,
        ", ".join(option.peers),
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |\n"


def _flags(option: Option) -> Iterator[str]:
    for flag in option.flags.split("/"):
        yield flag if isinstance(option.kind, Switch) else f"{flag} {option.kind.metavar}"


def _default(option: Option) -> str:
    if option.default_text or not option.shown_default:
        return option.default_text
    return f"`{option.shown_default}`"


def _statuses() -> str:
    return _STATUSES + "".join(f"| {status.value} | {status.meaning} |\n" for status in ExitStatus)


if __name__ == "__main__":
    print(page(), end="")
