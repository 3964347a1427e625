"""Logging: `fastserve` is what the server does; below it, `fastserve.error` is what went wrong in a request."""

import logging
import logging.config
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import privileges, safe_open
from fastserve.observe.log_stream import LogStream

LINE = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"
TIME = "%Y-%m-%d %H:%M:%S %z"

STANDARD_OUTPUT = "-"
STANDARD_ERROR = 2

_COLORS = {
    logging.CRITICAL: "\x1b[1;31m",
    logging.ERROR: "\x1b[31m",
    logging.WARNING: "\x1b[33m",
    logging.INFO: "\x1b[32m",
    logging.DEBUG: "\x1b[36m",
}


class ColoredFormatter(logging.Formatter):
    """Colours the level's name."""

    def format(self, record: logging.LogRecord) -> str:
        plain = record.levelname
        record.levelname = f"{_COLORS.get(record.levelno, '')}{plain}\x1b[0m"
        try:
            return super().format(record)
        finally:
            record.levelname = plain  # other handlers see the record too


def configure(config: Config) -> None:
    """Sets the loggers up, on standard error unless a file says otherwise.

    Raises StartError for a configuration file that cannot be read or does not fit.
    """
    if os.geteuid() == 0:
        _open_files_safely(privileges.uid_of(config.user))
    root = logging.getLogger("fastserve")
    if config.log_config is not None:
        _apply_file(config.log_config)
    else:
        handler = logging.StreamHandler(_standard_error())
        colors = sys.stderr.isatty() if config.use_colors is None else config.use_colors
        handler.setFormatter((ColoredFormatter if colors else logging.Formatter)(LINE, TIME))
        root.handlers[:] = [handler]
        root.propagate = False
        root.setLevel(logging.INFO)
    if config.log_level is not None:
        root.setLevel(config.log_level.upper())


def _standard_error() -> TextIO | LogStream:
    """Returns a stream to standard error that never blocks, if the process's own descriptor is behind sys.stderr."""
    try:
        if sys.stderr.fileno() == STANDARD_ERROR:
            return _steady()
    except (AttributeError, OSError, ValueError):
        pass  # somebody has put something of theirs there
    return sys.stderr


@cache
def _steady() -> LogStream:
    return LogStream(STANDARD_ERROR)


def flush() -> None:
    """Writes what waits for a stalled reader of standard error, as far as there is room by now."""
    if _steady.cache_info().currsize:
        with suppress(OSError):
            _steady().flush()


def count_lost(count: Callable[[], None]) -> None:
    """Sets what is called for each line on standard error that is lost because nobody read it in time."""
    if _steady.cache_info().currsize:
        _steady().count = count


def finish() -> None:
    """Writes what waits at the end of the process; the reader gets a moment."""
    if _steady.cache_info().currsize:
        _steady().finish()


def _open_files_safely(user: int | None) -> None:
    """Makes handlers open their files as root should: the first time, after USR1, and after a rotation."""

    def open_stream(handler: logging.FileHandler) -> IO[Any]:
        def opener(path: str, flags: int) -> int:
            return safe_open.open_file(path, flags, user)

        return open(handler.baseFilename, handler.mode, encoding=handler.encoding, errors=handler.errors, opener=opener)

    logging.FileHandler._open = open_stream  # type: ignore[assignment, method-assign]


def _apply_file(name: str) -> None:
    load = _LOADERS.get(Path(name).suffix.lower())
    try:
        if load is None:
            # fileConfig reports a missing file as a KeyError for its first section.
            with Path(name).open() as file:
                logging.config.fileConfig(file, disable_existing_loggers=False)
        else:
            with Path(name).open("rb") as stream:
                settings = load(stream)
            logging.config.dictConfig(settings)
    except OSError as error:
        raise StartError(f"cannot read the logging configuration {name}: {_reason(error)}") from None
    except Exception as error:
        raise StartError(f"the logging configuration {name} is not valid: {_causes(error)}") from None


def _causes(error: BaseException) -> str:
    """Returns an error with its causes: dictConfig hides the reason behind "Unable to configure handler 'x'"."""
    text = str(error).partition("\n")[0] or type(error).__name__
    return f"{text}: {_causes(error.__cause__)}" if error.__cause__ is not None else text


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _load_json(stream: BinaryIO) -> Any:
    import json

    return json.load(stream)


def _load_toml(stream: BinaryIO) -> Any:
    import tomllib

    return tomllib.load(stream)


def _load_yaml(stream: BinaryIO) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ValueError("PyYAML is not installed") from None
    return yaml.safe_load(stream)


_LOADERS: dict[str, Callable[[BinaryIO], Any]] = {
    ".json": _load_json,
    ".toml": _load_toml,
    ".yaml": _load_yaml,
    ".yml": _load_yaml,
}


def reopen_files() -> None:
    """Reopens the files of all log handlers, after somebody has moved them away."""
    for handler in _file_handlers():
        if handler.stream is None:
            continue  # opened when there is something to write
        try:
            fresh = handler._open()
        except OSError as error:
            text = "cannot open the log %s: %s; the old one is written on"
            logging.getLogger("fastserve").error(text, handler.baseFilename, _reason(error))
            continue
        with handler.lock or nullcontext():
            old, handler.stream = handler.stream, fresh
            old.close()


def give_files_to(uid: int, gid: int) -> None:
    """Gives the files of all log handlers to the user who has to reopen them later."""
    for handler in _file_handlers():
        if handler.stream is not None:
            safe_open.give(handler.stream.fileno(), uid, gid)


def _file_handlers() -> set[logging.FileHandler]:
    loggers = [logging.getLogger(), *(each for each in map(logging.getLogger, list(logging.root.manager.loggerDict)))]
    handlers = {handler for each in loggers for handler in each.handlers}
    return {handler for handler in handlers if isinstance(handler, logging.FileHandler)}


class AccessLog:
    """The access log's descriptor; -1 without an access log. The core writes the lines."""

    def __init__(self, config: Config, *, standard_output: bool = True) -> None:
        """standard_output: whether that is the default file. Raises StartError if the file cannot be opened."""
        self._file = Path(config.access_logfile)
        wanted = config.access_log is not False
        self._owned = wanted and config.access_logfile != STANDARD_OUTPUT
        self._user = privileges.uid_of(config.user) if self._owned else None
        self._owner: tuple[int, int] | None = None
        if self._owned:
            self.fd = self._open()
        else:
            self.fd = 1 if wanted and standard_output else -1

    def give_to(self, uid: int, gid: int) -> None:
        """Gives the file, and those that follow, to the user who has to reopen them later."""
        self._owner = (uid, gid)
        if self._owned:
            safe_open.give(self.fd, uid, gid)

    def reopen(self) -> None:
        """Reopens the file, after somebody has moved it away; the descriptor's number stays."""
        if not self._owned:
            return
        try:
            fresh = self._open()
        except StartError as error:
            logging.getLogger("fastserve").error("%s; the old one is written on", error)
            return
        if self._owner is not None and os.geteuid() == 0:
            safe_open.give(fresh, *self._owner)
        os.dup2(fresh, self.fd, inheritable=False)
        os.close(fresh)

    def close(self) -> None:
        """Closes the file; the standard output stays open. Idempotent."""
        if self._owned:
            os.close(self.fd)
        self._owned, self.fd = False, -1

    def _open(self) -> int:
        try:
            return safe_open.open_file(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, self._user, 0o644)
        except OSError as error:
            raise StartError(f"cannot open the access log {self._file}: {_reason(error)}") from None
