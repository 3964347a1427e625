"""The watch over source files for `--reload`: a process of its own, which reports what has changed."""

import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path, PurePath
from types import FrameType

from fastserve.config.config import Config
from fastserve.errors import StartError

INCLUDED = ("*.py",)
"""Files that are watched, besides those of `--reload-include`."""

EXCLUDED = (".*", "*.py[cod]", "*.sw?", "*~", "__pycache__", "site-packages", "node_modules")
"""Names of files and directories that are ignored, besides those of `--reload-exclude`."""

_LOOK = 1000
"""Milliseconds within which the watch notices that nobody listens to it any more."""

_MOST_NAMES = 8


def check(config: Config) -> None:
    """Raises StartError if watchfiles or a directory is missing."""
    try:
        import watchfiles  # noqa: F401
    except ModuleNotFoundError:
        raise StartError("--reload needs watchfiles: pip install 'fastserve[reload]'") from None
    for each in directories(config):
        if not each.is_dir():
            raise StartError(f"--reload-dir {each}: there is no such directory")


def directories(config: Config) -> list[Path]:
    """Returns the directories to watch: the given ones, else the application's."""
    return [Path(each).absolute() for each in config.reload_dir or (config.app_dir,)]


def run(config: Config, notify_fd: int) -> None:
    """Watches until SIGTERM, or until nobody reads `notify_fd`; writes a line of names there for each batch of changes.

    The process does nothing else: it takes SIGTERM, which may have been blocked until then, and leaves Ctrl-C to the
    supervisor. Raises StartError if it cannot watch.
    """
    check(config)
    from watchfiles import watch

    stop = _Stop()
    signal.set_wakeup_fd(-1)  # inherited from the parent; another descriptor may have its number by now
    signal.signal(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    roots = directories(config)
    counts = source_filter(roots, config.reload_include, config.reload_exclude)
    try:
        for changes in watch(
            *roots,
            watch_filter=lambda _change, path: counts(path),
            stop_event=stop,
            rust_timeout=_LOOK,
            yield_on_timeout=True,
        ):
            if changes:
                _say(notify_fd, line(name for _, name in changes))
            if _is_deserted(notify_fd):
                return
    except OSError as error:
        raise StartError(f"--reload cannot watch {', '.join(map(str, roots))}: {error}") from None


def source_filter(roots: list[Path], include: Iterable[str], exclude: Iterable[str]) -> Callable[[str], bool]:
    """Returns a function that says whether a file counts. Patterns are the shell's. They match the name of the file, or
    of a directory around it, below the watched one; a pattern with a slash matches the path's end. Given patterns take
    precedence over built-in ones.
    """
    include, exclude = tuple(include), tuple(exclude)

    def counts(path: str) -> bool:
        file = PurePath(path)
        *folders, name = _below(file, roots)
        if _fits_any((*folders, name), exclude) or _fits_path(file, exclude) or _fits_any(folders, EXCLUDED):
            return False
        if _fits_any((name,), include) or _fits_path(file, include):
            return True
        return _fits_any((name,), INCLUDED) and not _fits_any((name,), EXCLUDED)

    return counts


def line(names: Iterable[str]) -> str:
    """Returns the names of changed files for the log, relative to the current directory; of very many, only some."""
    shown = sorted(os.path.relpath(name).replace("\n", "?") for name in names)
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return ", ".join(shown[:_MOST_NAMES]) + more + "\n"


class _Stop:
    """The event that watchfiles checks between two looks to know whether to end."""

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self, _number: int, _frame: FrameType | None) -> None:
        self._set = True


def _say(fd: int, text: str) -> None:
    # A reader that is behind already knows that something has changed; if it is gone, nobody needs to know.
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(fd, text.encode(errors="replace"))


def _is_deserted(fd: int) -> bool:
    """Whether the other end of a pipe or socket has been closed."""
    poll = select.poll()
    poll.register(fd, 0)  # POLLERR and POLLHUP need not be asked for
    return bool(poll.poll(0))


def _below(file: PurePath, roots: list[Path]) -> tuple[str, ...]:
    """Returns the path's parts below the watched directory: that directory's own name says nothing."""
    inside = [file.relative_to(root).parts for root in roots if root in file.parents]
    return min(inside, key=len, default=file.parts[-1:])


def _fits_any(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def _fits_path(file: PurePath, patterns: Iterable[str]) -> bool:
    """Whether the file's path, or the path of a directory around it, ends as one of the patterns with a slash."""
    return any(each.match(pattern) for pattern in patterns if "/" in pattern for each in (file, *file.parents))
