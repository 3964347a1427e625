"""Lifecycle hooks: functions in a module of the user's that the supervisor and the workers call."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fastserve.app.application import import_object
from fastserve.errors import StartError, summary

logger = logging.getLogger("fastserve")


@dataclass(frozen=True, slots=True)
class SupervisorInfo:
    """What a hook of the supervisor is told."""

    pid: int
    workers: int
    """How many workers there should be."""
    addresses: tuple[str, ...]
    """What is listened on, as `http://127.0.0.1:8000` or `unix:/path`."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a hook of a worker is told."""

    slot: int
    """From 0; kept by the worker that replaces this one."""
    pid: int
    """0 in `pre_fork`, before the process exists."""
    generation: int
    """Grows with each reload."""
    exit: str = ""
    """In `worker_exit`, why it ended."""


HOOKS: Mapping[str, type[SupervisorInfo] | type[WorkerInfo]] = {
    "on_starting": SupervisorInfo,
    "pre_fork": WorkerInfo,
    "post_fork": WorkerInfo,
    "when_ready": SupervisorInfo,
    "worker_exit": WorkerInfo,
    "on_reload": SupervisorInfo,
    "on_exit": SupervisorInfo,
}
"""The hooks and what each is called with; `post_fork` runs in the worker, the others in the supervisor."""

Hook = Callable[[Any], object]


class Hooks:
    """The hooks that a module has; each may be missing.

    failures: how many calls have raised.
    """

    def __init__(self, functions: Mapping[str, Hook]) -> None:
        self._functions = dict(functions)
        self.failures = 0

    def take(self, other: "Hooks") -> None:
        """Replaces the functions by those of another version."""
        self._functions = other._functions

    def call(self, name: str, info: SupervisorInfo | WorkerInfo) -> None:
        """Calls a hook. What it raises is logged, and changes nothing.

        Raises StartError only if `on_starting` fails: the server has not begun yet, and that hook may refuse the start.
        """
        assert isinstance(info, HOOKS[name])
        hook = self._functions.get(name)
        if hook is None:
            return
        try:
            hook(info)
        except (Exception, SystemExit) as error:  # a hook that calls sys.exit does not end the supervisor
            self.failures += 1
            if name == "on_starting":
                raise StartError(f"the hook on_starting failed: {summary(error)}") from error
            logger.exception("the hook %s failed", name)


def load(name: str | None, app_dir: str) -> Hooks:
    """Returns the hooks of a module, which is looked for in `app_dir` first; no hooks for None.

    A module that is already imported is not imported again: a reload changes the hooks only if the directory changes.
    Raises StartError for a module that cannot be imported, or a hook that cannot be called with one argument.
    """
    if name is None:
        return Hooks({})
    if ":" in name:
        raise StartError(f"--hooks {name}: it is a module that is named, without an attribute")
    namespace: dict[str, Any] = import_object(f"{name}:__dict__", app_dir)
    for each, hook in namespace.items():
        if each in HOOKS:
            _check(hook, f"{name}.{each}")
        elif _is_function_of(hook, name):
            _doubt(each, name)
    return Hooks({each: namespace[each] for each in HOOKS if each in namespace})


def _check(hook: object, name: str) -> None:
    if not callable(hook):
        raise StartError(f"the hook {name} is not a function but {hook!r}")
    argument = "supervisor" if HOOKS[name.rpartition(".")[2]] is SupervisorInfo else "worker"
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        raise StartError(f"the hook {name} has to take one argument, the {argument}") from None
    except ValueError:
        pass  # a callable of C without a signature
    if inspect.iscoroutinefunction(hook):
        raise StartError(f"the hook {name} is a coroutine function; hooks are called outside of any event loop")


def _is_function_of(found: object, module: str) -> bool:
    return inspect.isfunction(found) and found.__module__ == module


def _doubt(name: str, module: str) -> None:
    close = get_close_matches(name, HOOKS, n=1, cutoff=0.8)
    if close:
        logger.warning("%s.%s is not a hook and is never called; is %s meant?", module, name, close[0])
    elif name.startswith("on_"):
        logger.warning("%s.%s is not a hook and is never called; there are %s", module, name, ", ".join(HOOKS))
