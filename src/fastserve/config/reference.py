"""docs/options.md, made from the table: `python -m fastserve.config.reference > docs/options.md`."""

from collections.abc import Iterator

from fastserve.config.option_types import Switch
from fastserve.config.options import GROUPS, OPTIONS, Option
from fastserve.errors import ExitStatus

_BEGINNING = """\
# Options

<!-- Made from the table in src/fastserve/config/options.py by `python -m fastserve.config.reference`. -->

    fastserve [OPTIONS] [APP]

`APP` is the application, written `module:attribute` (variable `FASTSERVE_APP`, or `app` in the configuration file).

The command line overrides the environment, which overrides the configuration file, which overrides the default; an
empty variable counts as not set. In Python the same options are the keyword arguments of `fastserve.run` and
`fastserve.Config`, with underscores for dashes; neither environment variables nor a file are read there. Sizes take
the suffixes K, M and G (powers of 1024), times are seconds and may have fractions, and in the environment a switch is
`true` or `false`, `1` or `0`, `yes` or `no`, `on` or `off`.

`--host` with `--port`, `--bind`, `--uds` and `--fd` are alternatives: one on the command line replaces any other in the
environment, which replaces any other in the file. Two in the same place contradict each other. `PORT` and
`WEB_CONCURRENCY`, which platforms set, give way: `PORT` to each address that is not written with `--port`,
`WEB_CONCURRENCY` to `--no-supervisor`.

## Configuration file

`--config FILE` (variable `FASTSERVE_CONFIG`) names the file. The default is `fastserve.toml` in the current directory,
else the table `[tool.fastserve]` of the `pyproject.toml` there, if there is one. A file named `pyproject.toml` is
always read that way. The keys are the names of the options below without the leading dashes (`headers` for
`--header`), with dashes or underscores. A repeatable option takes a list, `headers` and `env` may also be tables, and a
value that has a suffix or is octal is written as text. Relative paths are relative to the current directory, as on the
command line, and not to the file's. An unknown key is an error, and so is an invalid value.

```toml
app = "shop:app"
bind = ["0.0.0.0:8000", "unix:/run/shop.sock"]
workers = "auto"
limit-request-body = "10M"
timeout-graceful-shutdown = 20
umask = "027"
headers = ["X-Frame-Options: DENY"]

[env]
DJANGO_SETTINGS_MODULE = "shop.settings"
```

`fastserve --print-config` shows every option with its value and the value's source. What it prints is a
configuration file.

`fastserve --check` tries what a start needs without serving: the configuration and all files that it names, users, CPUs
and addresses (a running server that has them is not disturbed, but they are in use), hooks and the application, which
is imported. It says `the configuration is good`, or says why it is not and exits with a status other than 0.
"""

_STATUSES = """\
## Exit status

| status | meaning |
| --- | --- |
"""


def page() -> str:
    """Returns the whole page as Markdown."""
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
