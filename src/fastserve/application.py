"""The application: imported or made, its interface found out, and given the one form that the core calls."""

import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from fastserve.config import Config
from fastserve.errors import StartError, summary

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGI3 = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
ASGI2 = Callable[[dict[str, Any]], Callable[[Receive, Send], Awaitable[None]]]

logger = logging.getLogger("fastserve")


class Finding(NamedTuple):
    """The interface of an application."""

    interface: str
    """asgi3, asgi2 or wsgi."""
    doubt: str
    """Why it might be another one; empty when its signature leaves no doubt."""


def load(config: Config) -> ASGI3:
    """The configured application in ASGI 3 form; raises StartError with the reason."""
    name = config.app if isinstance(config.app, str) else _name(config.app)
    found = import_object(config.app, config.app_dir) if isinstance(config.app, str) else config.app
    if config.factory:
        found = _make(found, name)
    interface = config.interface
    if interface == "auto":
        interface, doubt = detect(found, name)
        if doubt:
            logger.info("%s is taken for an %s application: %s", name, _TITLES[interface], doubt)
    elif not callable(found):
        raise StartError(f"{name} is not an application: {_type(found)} is not callable")
    if interface == "wsgi":
        raise StartError(f"{name} is a WSGI application; only ASGI applications are served")
    return asgi3_from_asgi2(found) if interface == "asgi2" else found


_TITLES = {"asgi3": "ASGI 3", "asgi2": "ASGI 2", "wsgi": "WSGI"}


def import_object(target: str, app_dir: str) -> Any:
    """What `module:attribute` names, looked for in `app_dir` first; raises StartError with the reason."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise StartError(f"{target!r} does not name an application; it is written module:attribute")
    directory = str(Path(app_dir).resolve())
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise StartError(f"there is no module {error.name!r} in {directory} or the module search path") from None
        raise StartError(f"cannot import {module_name!r}: {summary(error)}") from error
    except Exception as error:
        raise StartError(f"cannot import {module_name!r}: {summary(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise StartError(f"module {module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    return found


def _make(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise StartError(f"{name} is not a factory: {_type(factory)} is not callable")
    try:
        return factory()
    except Exception as error:
        raise StartError(f"the factory {name} failed: {summary(error)}") from error


def detect(app: Any, name: str) -> Finding:
    """Finds the interface by what the application can be called with; raises StartError for what is none."""
    if not callable(app):
        raise StartError(f"{name} is not an application: {_type(app)} is not callable")
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return Finding("asgi3", "its signature cannot be read")
    takes = frozenset(count for count in range(4) if _takes(signature, count))
    if 3 in takes:
        if inspect.isclass(app) and not hasattr(app, "__await__"):
            raise StartError(f"{name} is not an application: an instance of the class cannot be awaited")
        return _three(takes, signature)
    # One that can do without any argument is rather a factory whose parameters have defaults.
    if 1 in takes and 0 not in takes and not _is_async(app):
        return Finding("asgi2", "" if takes == {1} else "it can be called with one argument, but also with two")
    if 2 in takes and not _is_async(app):
        return Finding("wsgi", "")
    raise StartError(f"{name} is not an application: {_misfit(app, takes)}")


def _three(takes: frozenset[int], signature: inspect.Signature) -> Finding:
    if next(iter(signature.parameters), "") == "environ":
        return Finding("wsgi", "")
    if takes & {1, 2}:
        return Finding("asgi3", "it can be called with three arguments, but also with fewer")
    return Finding("asgi3", "")


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _is_async(app: Any) -> bool:
    """Whether calling it makes a coroutine, seen through partials and callable objects."""
    while isinstance(app, functools.partial):
        app = app.func
    if inspect.isclass(app):
        return False
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def _misfit(app: Any, takes: frozenset[int]) -> str:
    if 0 in takes:
        return "it takes no argument; a factory needs --factory"
    return f"{_type(app)} takes neither (scope, receive, send) nor (scope)"


def _type(found: Any) -> str:
    kind = "class" if inspect.isclass(found) else type(found).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind}"


def _name(app: Any) -> str:
    return getattr(app, "__qualname__", None) or type(app).__qualname__


def asgi3_from_asgi2(app: ASGI2) -> ASGI3:
    """An ASGI 2 application (a call with the scope, then one with receive and send) in ASGI 3 form."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope["asgi"] = {**scope["asgi"], "version": "2.0"}
        await app(scope)(receive, send)

    return application
