"""Settings: what the command line, the environment and the file say, and which of them takes precedence."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from fastserve.config.config import Config
from fastserve.config.file import ConfigFile, line
from fastserve.config.options import OPTIONS


class Origin(IntEnum):
    """Where a value came from; the first takes precedence."""

    COMMAND_LINE = 0
    ENVIRONMENT = 1
    SHARED_VARIABLE = 2
    """A variable that is not ours alone, such as PORT: a platform sets it, asked or not."""
    FILE = 3


class Setting(NamedTuple):
    """A value that was given."""

    value: Any
    origin: Origin
    name: str = ""
    """The name of the variable, or of the file."""

    @property
    def source(self) -> str:
        """Where it came from, in words."""
        if self.origin is Origin.COMMAND_LINE:
            return "command line"
        return f"{'file' if self.origin is Origin.FILE else 'environment'} {self.name}"


_WAYS_TO_LISTEN: Mapping[str, str] = {"bind": "bind", "uds": "uds", "fd": "fd", "host": "host", "port": "host"}
"""The options that say where to listen; those with the same value here belong together and replace all others."""


class Settings:
    """The command line and the environment as they were at the start, and the file, which each `load` reads again.

    given: what was given outside the file, checked, by the names of options, and `app`.
    """

    def __init__(self, given: Mapping[str, Setting], file: ConfigFile) -> None:
        self._given = given
        self._file = file

    def load(self) -> Config:
        """Reads the file and assembles the configuration. Raises ValueError with the reason."""
        values = {name: setting.value for name, setting in self._effective().items()}
        if "app" not in values:
            raise ValueError("the application is missing; it is written module:attribute")
        return Config(**values)

    def lines(self) -> list[str]:
        """Returns every option with its value and the value's source, as lines of a configuration file.

        Raises ValueError as `load` does.
        """
        effective = self._effective()
        app = effective.get("app")
        config = Config(**{"app": "", **{name: setting.value for name, setting in effective.items()}})
        first = line("app", app.value if app else None, app.source if app else "default")
        return [first, *(line(name, getattr(config, name), _source(effective.get(name))) for name in _NAMES)]

    def _effective(self) -> dict[str, Setting]:
        from_file = {name: Setting(value, Origin.FILE, self._file.name) for name, value in self._file.read().items()}
        found = {**from_file, **self._given}
        return _without_outranked_addresses(_without_pointless_workers(found))


_NAMES = tuple(option.name for option in OPTIONS)


def _source(setting: Setting | None) -> str:
    return setting.source if setting is not None else "default"


def _without_outranked_addresses(found: dict[str, Setting]) -> dict[str, Setting]:
    """Removes the addresses that give way: one on the command line replaces those in the environment, which replace
    those in the file, however each is written. PORT gives way to all of them: many platforms set it although nobody
    wants TCP.
    """
    ways = {name: _rank(found[name]) for name in _WAYS_TO_LISTEN if name in found and found[name].value != ()}
    best = min(ways.values(), default=0)
    chosen = {_WAYS_TO_LISTEN[name] for name, rank in ways.items() if rank == best}
    return {name: each for name, each in found.items() if _WAYS_TO_LISTEN.get(name) in {None, *chosen}}


def _rank(setting: Setting) -> int:
    return len(Origin) if setting.origin is Origin.SHARED_VARIABLE else setting.origin


def _without_pointless_workers(found: dict[str, Setting]) -> dict[str, Setting]:
    """Removes WEB_CONCURRENCY if there is no supervisor: it says how many workers there may be, so both can stand."""
    workers, supervisor = found.get("workers"), found.get("supervisor")
    if workers and supervisor and workers.origin is Origin.SHARED_VARIABLE and not supervisor.value:
        return {name: each for name, each in found.items() if name != "workers"}
    return found
