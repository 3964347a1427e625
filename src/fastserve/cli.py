"""The command `fastserve`, made from the table of options."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import click
from click.core import ParameterSource

from fastserve import standard_streams
from fastserve.config.config import Config
from fastserve.config.file import ConfigFile
from fastserve.config.option_types import Repeatable, Switch
from fastserve.config.options import GROUPS, OPTIONS, Option
from fastserve.config.sources import Origin, Setting, Settings
from fastserve.errors import ExitStatus, StartError, trace_of_application
from fastserve.host.ignored_signals import unhear
from fastserve.ipc.after_fork import Forked

EPILOG = """\
Each option can also be set by an environment variable (--log-level by FASTSERVE_LOG_LEVEL, and so on), and in a
file: the one that --config names, else fastserve.toml, or the table tool.fastserve of pyproject.toml, in the current
directory. The command line overrides the environment, which overrides the file."""


def main() -> None:
    """The entry point: exits with the status of the server, 2 after a usage error."""
    standard_streams.open_missing()
    job: Callable[[], int] | None = None
    try:
        status = command.main(prog_name="fastserve", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"fastserve: error: {_line(error)}", err=True)
        status = ExitStatus.USAGE
    except click.Abort:
        status = ExitStatus.INTERRUPTED
    except Forked as forked:
        job = forked.job
    if job is not None:
        status = job()
    unhear((signal.SIGINT, signal.SIGTERM))  # one that comes while the interpreter ends changes nothing
    standard_streams.leave(status or ExitStatus.CLEAN)


class _Refused(click.UsageError):
    """A configuration that is refused, with a message of our own."""


def _line(error: click.ClickException) -> str:
    """Returns the error in one line of our own, the same with every version of click."""
    if isinstance(error, click.BadParameter) and error.ctx is not None and error.param is not None:
        return f"{_source(error.ctx, error.param)}: {error.message}"
    if isinstance(error, click.NoSuchOption):
        hint = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return f"there is no option {error.option_name}{hint}"
    if isinstance(error, _Refused):
        return error.message
    message = error.format_message().partition("\n")[0].rstrip(".")
    return message[:1].lower() + message[1:]


def _source(ctx: click.Context, param: click.Parameter) -> str:
    """Returns where the value came from: the flag, or the variable."""
    return _variable(param) if _is_from_environment(ctx, param) else param.opts[0]


def _is_from_environment(ctx: click.Context, param: click.Parameter) -> bool:
    return ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT


def _variable(param: click.Parameter) -> str:
    """Returns the variable that a value came from."""
    names = [param.envvar] if isinstance(param.envvar, str) else list(param.envvar or ())
    return next((name for name in names if os.environ.get(name)), names[0])


class _Switch(click.types.BoolParamType):
    """True or false; the text of a variable is read by our own rule."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        try:
            return Switch().convert(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Element(click.types.StringParamType):
    """An element of a repeatable option; a variable's text is split by the option's own rule."""

    def __init__(self, kind: Repeatable) -> None:
        self._kind = kind

    def split_envvar_value(self, rv: str) -> list[str]:
        return self._kind.split(rv)


def _checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Converts the given value by the option's kind; None if nothing was given."""
    if value is None or value == ():
        return None
    try:
        return _KINDS[param.name or ""].convert(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


_KINDS = {option.name: option.kind for option in OPTIONS}


class _Command(click.Command):
    """A command whose help shows the options in their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        for group in GROUPS:
            with formatter.section(group):
                formatter.write_dl([row for option in OPTIONS if option.group == group and (row := rows[option.name])])
        with formatter.section("Other"):
            formatter.write_dl([row for param in [*_OTHERS, "help"] if (row := rows.get(param))])


def _parameter(option: Option) -> click.Option:
    switch = isinstance(option.kind, Switch)
    text = option.description + (f"  [default: {option.shown_default}]" if option.shown_default else "")
    return click.Option(
        [option.flags, option.name],
        type=_Switch() if switch else _Element(option.kind) if isinstance(option.kind, Repeatable) else click.STRING,
        default=None,
        is_flag=switch or None,
        multiple=isinstance(option.kind, Repeatable),
        callback=_checked,
        envvar=list(option.environment),
        metavar=None if switch else option.kind.metavar,
        help=text,
    )


def _run(config: str | None, print_config: bool, check: bool, **_values: Any) -> int:
    ctx = click.get_current_context()
    try:
        settings = Settings(dict(_given(ctx)), ConfigFile(config))
        if print_config:
            click.echo("\n".join(settings.lines()))
            return ExitStatus.CLEAN
        loaded = settings.load()
    except ValueError as error:
        raise _Refused(str(error)) from None
    if check:
        return _check(loaded)
    from fastserve.process import run_process  # not needed to print the help

    return run_process(loaded, settings.load, own=True)


def _check(config: Config) -> int:
    from fastserve.check import check

    try:
        check(config)
    except StartError as error:
        click.echo(f"fastserve: error: {error}", err=True)
        if error.__cause__ is not None:
            trace = trace_of_application(error.__cause__)
            traceback.print_exception(type(error.__cause__), error.__cause__, trace)
        return ExitStatus.NOT_STARTED
    click.echo("the configuration is good")
    return ExitStatus.CLEAN


def _given(ctx: click.Context) -> Iterator[tuple[str, Setting]]:
    """Yields what the command line and the environment say about the application and the options."""
    for param in ctx.command.params:
        name = param.name or ""
        value = ctx.params.get(name)
        if value is None or name not in _NAMES:
            continue
        if not _is_from_environment(ctx, param):
            yield name, Setting(value, Origin.COMMAND_LINE)
        else:
            variable = _variable(param)
            is_ours = variable.startswith("FASTSERVE_")
            yield name, Setting(value, Origin.ENVIRONMENT if is_ours else Origin.SHARED_VARIABLE, variable)


_NAMES = {"app", *_KINDS}


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value:
        return
    from fastserve import __version__

    click.echo(f"fastserve {__version__}")
    ctx.exit()


_OTHERS = {
    "config": click.Option(
        ["--config"],
        metavar="FILE",
        envvar="FASTSERVE_CONFIG",
        help="Configuration file in TOML, instead of one in the current directory.",
    ),
    "print_config": click.Option(
        ["--print-config"],
        is_flag=True,
        help="Show every option with its value and where that came from, as a configuration file, and exit.",
    ),
    "check": click.Option(
        ["--check"],
        is_flag=True,
        help="Try the configuration, the addresses and the application's import without serving, and exit.",
    ),
    "version": click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Show the version and exit.",
    ),
}
"""Command-line flags that are not server options, by name."""


command = _Command(
    "fastserve",
    callback=_run,
    help="Serve the application APP, which is written module:attribute.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["--help"], "max_content_width": 120},
    params=[
        click.Argument(["app"], metavar="[APP]", envvar="FASTSERVE_APP", required=False),
        *(_parameter(option) for option in OPTIONS),
        *_OTHERS.values(),
    ],
)
