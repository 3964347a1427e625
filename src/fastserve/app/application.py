"""The application: imported or made by its factory, and its interface detected."""

import functools
import importlib
import inspect
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from types import MethodWrapperType
from typing import Any, NamedTuple

from fastserve.config.config import Config
from fastserve.errors import StartError, summary

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGI3 = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
ASGI2 = Callable[[dict[str, Any]], Callable[[Receive, Send], Awaitable[None]]]

logger = logging.getLogger("fastserve")


class Application(NamedTuple):
    """What is served, in a form that the core calls."""

    interface: str
    """asgi3 or wsgi."""
    call: Callable[..., Any]


class Finding(NamedTuple):
    """The interface of an application."""

    interface: str
    """asgi3, asgi2 or wsgi."""
    doubt: str
    """Why it might be another one, and what decided; empty when there is no doubt."""


def load(config: Config) -> Application:
    """Returns the configured application, one for ASGI 2 in ASGI 3 form. Raises StartError with the reason."""
    name = config.app if isinstance(config.app, str) else _name(config.app)
    found = import_object(config.app, config.app_dir) if isinstance(config.app, str) else config.app
    if config.factory:
        found = _make(found, name)
    if not callable(found):
        raise StartError(f"{name} is not an application: {_type(found)} is not callable")
    interface = config.interface
    if interface == "auto":
        interface, doubt = detect(found, name)
        if doubt:
            logger.info("%s is taken for %s: %s (--interface says otherwise)", name, _TITLES[interface], doubt)
    if interface == "asgi2":
        return Application("asgi3", asgi3_from_asgi2(found))
    return Application(interface, found)


def import_object(target: str, app_dir: str) -> Any:
    """Returns what `module:attribute` names, looked for in `app_dir` first. Raises StartError with the reason."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise StartError(f"{target!r} does not name an application; it is written module:attribute")
    directory = str(Path(app_dir).resolve())
    _directories.add(directory)
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise StartError(f"there is no module {error.name!r} in {directory} or the module search path") from None
        raise StartError(f"cannot import {module_name!r}: {summary(error)}") from error
    except (Exception, SystemExit) as error:
        raise StartError(f"cannot import {module_name!r}: {summary(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise StartError(f"module {module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    return found


_directories = {str(Path(sys.path[0]).resolve())} if sys.path and sys.path[0] else set()
"""The directories in which modules of the application were looked for: `python -m` begins with the current one."""


def forget_directories() -> None:
    """Forgets the modules of an earlier release, so that later imports find them where they are now.

    What is installed below such a directory, as in a virtual environment, stays.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name != "__main__" and _home(file) in _directories:
            del sys.modules[name]
    sys.path[:] = [each for each in sys.path if each not in _directories]
    _directories.clear()
    importlib.invalidate_caches()


def _home(file: str) -> str:
    """Returns the nearest entry of the search path above a file; empty if there is none."""
    above = {str(each) for each in Path(file).parents}
    return max((each for each in sys.path if each in above), key=len, default="")


def _make(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise StartError(f"{name} is not a factory: {_type(factory)} is not callable")
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise StartError(f"the factory {name} failed: {summary(error)}") from error


# The number of arguments of the first call. If several interfaces fit and no name decides, the first of them is taken:
# nearly everything for ASGI 3 is a coroutine function, which fits no other interface, and nothing new is for ASGI 2.
_ARGUMENTS = {"wsgi": 2, "asgi3": 3, "asgi2": 1}
_TITLES = {"wsgi": "WSGI", "asgi3": "ASGI 3", "asgi2": "ASGI 2"}
_WSGI_NAMES = frozenset({"environ", "env", "start_response"})
_ASGI_NAMES = frozenset({"scope", "receive", "send"})
# How Cython's `embedsignature` and C modules begin a docstring: "name(one, two=None)".
_DOCUMENTED_CALL = re.compile(r"[\w.]+\(([^)]*)\)")


def detect(app: Callable[..., Any], name: str) -> Finding:
    """Detects the interface by what `app` can be called with. Raises StartError if `app` is not an application."""
    signature = _signature(app)
    fits = [interface for interface in _ARGUMENTS if _fits(app, signature, interface)]
    if not fits:
        raise StartError(f"{name} is not an application: {_misfit(app, signature)}")
    names = _named(_names(app, signature))
    named = [interface for interface in fits if interface in names]
    likely = named or fits
    if signature is None:
        return Finding(likely[0], f"its signature cannot be read, {_without_signature(fits, named)}")
    return Finding(likely[0], _choice(likely) if len(likely) > 1 else "")


def _signature(app: Any) -> inspect.Signature | None:
    """Returns None if it cannot be read, as with Cython's functions without `binding` and its extension types."""
    call: Any = getattr(app, "__call__", None)  # noqa: B004  (an instance may have one of its own)
    own = not inspect.isclass(app) and not isinstance(call, MethodWrapperType)
    for readable in (app, call) if own else (app,):
        try:
            return inspect.signature(readable)
        except (TypeError, ValueError, NameError):  # NameError: annotations are evaluated late (PEP 649)
            continue
    return None


def _fits(app: Any, signature: inspect.Signature | None, interface: str) -> bool:
    if inspect.isclass(app):
        if not _makes(app, interface):
            return False
    elif _is_async(app) and interface != "asgi3":
        return False
    if signature is None:
        return True
    if _takes(signature, 0) and not _is_variadic(signature) and interface not in _named(signature.parameters):
        return False  # rather a factory whose parameters have defaults
    return _takes(signature, _ARGUMENTS[interface])


def _makes(kind: type, interface: str) -> bool:
    """Whether instances of the class are what the first call of the interface has to return."""
    if interface == "asgi2":
        call = _method(kind, "__call__")
        return inspect.iscoroutinefunction(call) and _takes(inspect.signature(call), 3)  # self, receive, send
    return _method(kind, "__await__" if interface == "asgi3" else "__iter__") is not None


def _method(kind: type, name: str) -> Any:
    """Returns the method that instances have; `getattr` would find the metaclass' one, for the class itself."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_async(app: Any) -> bool:
    """Whether a call makes a coroutine; looks through partials and callable objects."""
    while isinstance(app, functools.partial):
        app = app.func
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _is_variadic(signature: inspect.Signature) -> bool:
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


def _names(app: Any, signature: inspect.Signature | None) -> Iterable[str]:
    if signature is not None:
        return signature.parameters
    call = _DOCUMENTED_CALL.match(getattr(app, "__doc__", None) or "")
    return re.findall(r"\w+", call[1]) if call else ()


def _named(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the interfaces whose specification names the parameters so."""
    wsgi, asgi = not _WSGI_NAMES.isdisjoint(names), not _ASGI_NAMES.isdisjoint(names)
    if wsgi == asgi:
        return ()
    return ("wsgi",) if wsgi else ("asgi3", "asgi2")


def _choice(likely: list[str]) -> str:
    could = " and as ".join(_TITLES[interface] for interface in likely)
    why = "it is not a coroutine function" if likely[0] == "wsgi" else "the newer one counts"
    return f"it can be called as {could}; {why}"


def _without_signature(fits: list[str], named: list[str]) -> str:
    if named:
        return "but its docstring names the parameters"
    if len(fits) == 1:
        return "but it fits no other interface"
    return "and nothing shows that it is a coroutine function"


def _misfit(app: Any, signature: inspect.Signature | None) -> str:
    if signature is not None and _takes(signature, 0):
        return "it takes no argument; a factory needs --factory"
    if signature is None or any(_takes(signature, count) for count in _ARGUMENTS.values()):
        if inspect.isclass(app):
            return "an instance of the class can neither be awaited, nor iterated, nor called with (receive, send)"
        return "a coroutine function has to take (scope, receive, send)"
    return f"{_type(app)} takes neither (scope, receive, send), nor (environ, start_response), nor (scope)"


def _type(found: Any) -> str:
    kind = "class" if inspect.isclass(found) else type(found).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind}"


def _name(app: Any) -> str:
    return getattr(app, "__qualname__", None) or type(app).__qualname__


def asgi3_from_asgi2(app: ASGI2) -> ASGI3:
    """Returns an ASGI 2 application (a call with the scope, then one with receive and send) in ASGI 3 form."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope["asgi"] = {**scope["asgi"], "version": "2.0"}
        await app(scope)(receive, send)

    return application
