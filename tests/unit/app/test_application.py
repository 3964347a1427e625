"""Finding the application and its interface."""

import asyncio
import functools
import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from fastserve.app.application import Application, Finding, asgi3_from_asgi2, detect, import_object, load
from fastserve.config.config import Config
from fastserve.errors import StartError
from kit.waiting import PATIENCE


async def asgi3(scope: Any, receive: Any, send: Any) -> None: ...


def asgi3_returning(scope: Any, receive: Any, send: Any) -> Any:
    return asgi3(scope, receive, send)


def asgi2(scope: Any) -> Any: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


class Methods:
    async def asgi3(self, scope: Any, receive: Any, send: Any) -> None: ...
    def asgi2(self, scope: Any) -> Any: ...
    def wsgi(self, environ: Any, start_response: Any) -> Any: ...
    @classmethod
    async def of_class(cls, scope: Any, receive: Any, send: Any) -> None: ...
    @staticmethod
    def static(scope: Any) -> Any: ...


class ObjectASGI3:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class ObjectASGI2:
    def __call__(self, scope: Any) -> Any: ...


class ObjectWSGI:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class ClassASGI3:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __await__(self) -> Iterator[Any]:
        return iter(())


class ClassASGI2:
    def __init__(self, scope: Any) -> None: ...
    async def __call__(self, receive: Any, send: Any) -> None: ...


class ClassWSGI:
    def __init__(self, environ: Any, start_response: Any) -> None: ...
    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class ClassWSGICatchAll(ClassWSGI):
    def __init__(self, *args: Any) -> None: ...


class ObjectOfMany:
    """Methods of other names do not count."""

    def __call__(self, environ: Any, start_response: Any) -> Any: ...
    async def asgi(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class ObjectWithItsOwnCall:
    """The class has a slot in place of a method, which shows nothing."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = Methods().asgi2


def wrapped(app: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(app)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return app(*args, **kwargs)

    return wrapper


def keyworded(option: Any, scope: Any, receive: Any, send: Any) -> Any: ...


def keyworded_wsgi(option: Any, environ: Any, start_response: Any) -> Any: ...


async def with_options(scope: Any, receive: Any, send: Any, *, option: int = 0) -> None: ...


def wsgi_with_more(environ: Any, start_response: Any, exc_info: Any = None) -> Any: ...


def wsgi_catching(env: Any, *args: Any) -> Any: ...


def wsgi_renamed(e: Any, s: Any) -> Any: ...


def wsgi_configured(environ: Any, start_response: Any, settings: Any) -> Any: ...


def wsgi_with_defaults(environ: Any = None, start_response: Any = None) -> Any: ...


async def anything_async(*args: Any, **kwargs: Any) -> None: ...


def one_or_two(scope: Any, more: Any = None) -> Any: ...


SURE = [
    ("a coroutine function", asgi3, "asgi3"),
    ("a function that returns an awaitable", asgi3_returning, "asgi3"),
    ("a function with more keyword parameters", with_options, "asgi3"),
    ("a method", Methods().asgi3, "asgi3"),
    ("a class method", Methods.of_class, "asgi3"),
    ("an object", ObjectASGI3(), "asgi3"),
    ("a class that can be awaited", ClassASGI3, "asgi3"),
    ("a partial", functools.partial(keyworded, 1), "asgi3"),
    ("a partial of a partial of an object", functools.partial(functools.partial(ObjectASGI3())), "asgi3"),
    ("a decorated function", wrapped(asgi3), "asgi3"),
    ("a lambda", lambda scope, receive, send: None, "asgi3"),
    ("a coroutine function that takes anything", anything_async, "asgi3"),
    ("a mock of a coroutine function", AsyncMock(), "asgi3"),
    ("ASGI 2: a function", asgi2, "asgi2"),
    ("ASGI 2: a method", Methods().asgi2, "asgi2"),
    ("ASGI 2: a static method", Methods.static, "asgi2"),
    ("ASGI 2: an object", ObjectASGI2(), "asgi2"),
    ("ASGI 2: a class", ClassASGI2, "asgi2"),
    ("ASGI 2: a partial", functools.partial(wsgi, 1), "asgi2"),
    ("ASGI 2: a decorated function", wrapped(asgi2), "asgi2"),
    ("ASGI 2: an optional second parameter", one_or_two, "asgi2"),
    ("ASGI 2: an object whose call is its own", ObjectWithItsOwnCall(), "asgi2"),
    ("WSGI: a function", wsgi, "wsgi"),
    ("WSGI: a method", Methods().wsgi, "wsgi"),
    ("WSGI: an object", ObjectWSGI(), "wsgi"),
    ("WSGI: a class", ClassWSGI, "wsgi"),
    ("WSGI: a third parameter", wsgi_with_more, "wsgi"),
    ("WSGI: a decorated function", wrapped(wsgi), "wsgi"),
    ("WSGI: an object with methods for others", ObjectOfMany(), "wsgi"),
    ("WSGI: a class that takes anything", ClassWSGICatchAll, "wsgi"),
    ("WSGI: anything after the environ", wsgi_catching, "wsgi"),
    ("WSGI: names of its own", wsgi_renamed, "wsgi"),
    ("WSGI: defaults for all", wsgi_with_defaults, "wsgi"),
    ("WSGI: a partial", functools.partial(keyworded_wsgi, 1), "wsgi"),
    ("WSGI: a partial by keyword", functools.partial(wsgi_configured, settings=1), "wsgi"),
]


@pytest.mark.parametrize(("app", "interface"), [row[1:] for row in SURE], ids=[row[0] for row in SURE])
def test_sure(app: Any, interface: str) -> None:
    assert detect(app, "app") == Finding(interface, "")


def anything(*args: Any) -> Any: ...


def old_and_new(scope: Any, receive: Any = None, send: Any = None) -> Any: ...


def two_or_three(a: Any, b: Any, c: Any = None) -> Any: ...


def both_vocabularies(scope: Any, start_response: Any, more: Any = None) -> Any: ...


WSGI_OR_ASGI3 = "it can be called as WSGI and as ASGI 3; it is not a coroutine function"
ALL_OF_THEM = "it can be called as WSGI and as ASGI 3 and as ASGI 2; it is not a coroutine function"
UNSURE = [
    ("anything", anything, "wsgi", ALL_OF_THEM),
    ("a mock", Mock(), "wsgi", ALL_OF_THEM),
    ("two or three", two_or_three, "wsgi", WSGI_OR_ASGI3),
    ("names of both", both_vocabularies, "wsgi", WSGI_OR_ASGI3),
    ("old and new ASGI", old_and_new, "asgi3", "it can be called as ASGI 3 and as ASGI 2; the newer one counts"),
]


@pytest.mark.parametrize(("app", "interface", "doubt"), [row[1:] for row in UNSURE], ids=[row[0] for row in UNSURE])
def test_unsure_says_why(app: Any, interface: str, doubt: str) -> None:
    assert detect(app, "app") == Finding(interface, doubt)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """Has what the server logs at info."""
    monkeypatch.setattr(logging.getLogger("fastserve"), "propagate", True)
    with caplog.at_level(logging.INFO, "fastserve"):
        yield caplog


def test_doubt_is_logged(log: pytest.LogCaptureFixture) -> None:
    assert load(Config(anything)) == Application("wsgi", anything)
    assert log.messages == [f"anything is taken for WSGI: {ALL_OF_THEM} (--interface says otherwise)"]


def test_what_is_sure_or_forced_is_not_logged(log: pytest.LogCaptureFixture) -> None:
    load(Config(wsgi))
    load(Config(anything, interface="wsgi"))
    assert log.messages == []


def unreadable(app: Any, documentation: str = "") -> Any:
    """Without a signature, as compiled functions can be."""
    app.__signature__ = "none"
    app.__doc__ = documentation
    return app


def new_function() -> Any:
    def app(*args: Any) -> Any: ...

    return app


def new_coroutine_function() -> Any:
    async def app(*args: Any) -> None: ...

    return app


UNKNOWN = "its signature cannot be read, and nothing shows that it is a coroutine function"
DOCUMENTED = "its signature cannot be read, but its docstring names the parameters"
NO_OTHER = "its signature cannot be read, but it fits no other interface"
UNREADABLE = [
    (unreadable(new_function()), "wsgi", UNKNOWN),
    (unreadable(new_function(), "app(one, two)"), "wsgi", UNKNOWN),
    (unreadable(new_function(), "Serves (scope, receive, send)."), "wsgi", UNKNOWN),
    (unreadable(new_function(), "app(environ, start_response)\n\nServes."), "wsgi", DOCUMENTED),
    (unreadable(new_function(), "module.app(scope, receive, send)"), "asgi3", DOCUMENTED),
    (unreadable(new_coroutine_function()), "asgi3", NO_OTHER),
]


@pytest.mark.parametrize(("app", "interface", "doubt"), UNREADABLE)
def test_without_a_signature(app: Any, interface: str, doubt: str) -> None:
    assert detect(app, "app") == Finding(interface, doubt)


def test_names_in_annotations_need_not_exist() -> None:
    class Late:
        @property
        def __signature__(self) -> Any:
            raise NameError("name 'WSGIEnvironment' is not defined")

        def __call__(self, scope: Any) -> Any: ...

    assert detect(Late(), "app") == Finding("asgi2", "")


CYTHON = """\
# cython: language_level=3, binding={binding}, embedsignature={documented}
def wsgi(environ, start_response): return []
def generator(environ, start_response, exc_info=None): yield b""
async def asgi3(scope, receive, send): pass
async def asgi3_any(*args): pass
def asgi2(scope): return None
class Object:
    async def __call__(self, scope, receive, send): pass
cdef class Extension:
    def __call__(self, environ, start_response): return []
cdef class Result:
    def __init__(self, environ, start_response): pass
    def __iter__(self): return iter(())
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ModuleType]]:
    """Compiles the module above: compiled("name", binding=True, documented=False)."""
    directory = tmp_path_factory.mktemp("compiled")
    sys.path.insert(0, str(directory))
    names: list[str] = []

    def compile_module(name: str, **directives: bool) -> ModuleType:
        (directory / f"{name}.pyx").write_text(CYTHON.format(**directives))
        command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--quiet", f"{name}.pyx"]
        quick = {**os.environ, "CFLAGS": "-O0"}
        subprocess.run(command, cwd=directory, env=quick, check=True, capture_output=True, timeout=2 * PATIENCE)
        importlib.invalidate_caches()
        names.append(name)
        return importlib.import_module(name)

    yield compile_module
    sys.path.remove(str(directory))
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_cython_functions_have_signatures(compiled: Callable[..., ModuleType]) -> None:
    module = compiled("detection_bound", binding=True, documented=False)
    found = {name: detect(getattr(module, name), name) for name in ("wsgi", "generator", "asgi3", "asgi3_any", "asgi2")}
    assert found == {
        "wsgi": ("wsgi", ""),
        "generator": ("wsgi", ""),
        "asgi3": ("asgi3", ""),
        "asgi3_any": ("asgi3", ""),
        "asgi2": ("asgi2", ""),
    }
    assert detect(module.Object(), "object") == ("asgi3", "")
    # Its __call__ is a slot: newer interpreters give that the signature of a catch-all, older ones none.
    catch_all = "it can be called as WSGI and as ASGI 3 and as ASGI 2; it is not a coroutine function"
    extension = detect(module.Extension(), "extension")
    assert extension.interface == "wsgi"
    assert extension.doubt in (UNKNOWN, catch_all)
    assert detect(module.Result, "result") == ("wsgi", NO_OTHER)


@pytest.mark.slow
def test_cython_functions_without_binding_have_docstrings_at_best(compiled: Callable[..., ModuleType]) -> None:
    documented = compiled("detection_documented", binding=False, documented=True)
    assert detect(documented.wsgi, "wsgi") == ("wsgi", DOCUMENTED)
    assert detect(documented.generator, "generator") == ("wsgi", DOCUMENTED)
    assert detect(documented.asgi3, "asgi3") == ("asgi3", DOCUMENTED)
    bare = compiled("detection_bare", binding=False, documented=False)
    assert detect(bare.wsgi, "wsgi") == ("wsgi", UNKNOWN)
    assert detect(bare.Object(), "object") == ("asgi3", "")
    assert load(Config(bare.asgi3, interface="asgi3")) == ("asgi3", bare.asgi3)


async def one(scope: Any) -> None: ...
async def two(a: Any, b: Any) -> None: ...
def four(a: Any, b: Any, c: Any, d: Any) -> None: ...
def make() -> Any:
    return asgi3


def make_with_default(settings: Any = None) -> Any:
    return asgi3


def make_with_defaults(settings: Any = None, debug: bool = False, mode: str = "") -> Any:
    return asgi3


class NotAwaitable:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...


class NotIterable:
    """That its instances are called with two arguments does not make it an application for ASGI 2."""

    def __init__(self, name: Any, folder: Any = None) -> None: ...
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Middleware:
    def __init__(self, app: Any) -> None: ...
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


FEW = "app is not an application: a coroutine function has to take (scope, receive, send)"
MANY = (
    "app is not an application: "
    "a function takes neither (scope, receive, send), nor (environ, start_response), nor (scope)"
)
FACTORY = "app is not an application: it takes no argument; a factory needs --factory"
INSTANCE = (
    "app is not an application: "
    "an instance of the class can neither be awaited, nor iterated, nor called with (receive, send)"
)
NONE: list[tuple[Any, str]] = [
    (one, FEW),
    (two, FEW),
    (four, MANY),
    (make, FACTORY),
    (make_with_default, FACTORY),
    (make_with_defaults, FACTORY),
    (ObjectASGI3, FACTORY),
    (NotAwaitable, INSTANCE),
    (NotIterable, INSTANCE),
    (Middleware, INSTANCE),
]


@pytest.mark.parametrize(("app", "reason"), NONE, ids=[row[0].__name__ for row in NONE])
def test_no_application(app: Any, reason: str) -> None:
    with pytest.raises(StartError) as caught:
        detect(app, "app")
    assert str(caught.value) == reason


@pytest.mark.parametrize("interface", ["auto", "asgi3", "asgi2", "wsgi"])
@pytest.mark.parametrize(("made", "kind"), [(3, "an int"), (None, "a NoneType"), (asyncio, "a module")])
def test_not_callable(made: Any, kind: str, interface: str) -> None:
    def factory() -> Any:
        return made

    with pytest.raises(StartError, match=rf"factory is not an application: {kind} is not callable$"):
        load(Config(factory, factory=True, interface=interface))


def test_interface_can_be_forced() -> None:
    assert load(Config(wsgi, interface="asgi3")) == Application("asgi3", wsgi)
    assert load(Config(asgi3, interface="wsgi")) == Application("wsgi", asgi3)
    forced = load(Config(wsgi, interface="asgi2"))
    assert forced.interface == "asgi3"
    assert forced.call is not wsgi


def test_asgi2_is_wrapped() -> None:
    found = load(Config(asgi2))
    assert found.interface == "asgi3"
    assert detect(found.call, "app") == Finding("asgi3", "")


def test_wsgi_is_called_as_it_is() -> None:
    assert load(Config(wsgi)) == Application("wsgi", wsgi)


def test_asgi3_is_called_as_it_is() -> None:
    assert load(Config(asgi3)) == Application("asgi3", asgi3)


def test_factory() -> None:
    assert load(Config(make, factory=True)).call is asgi3
    assert load(Config(make_with_default, factory=True)).call is asgi3
    assert isinstance(load(Config(ObjectASGI3, factory=True)).call, ObjectASGI3)


def test_failing_factory() -> None:
    def fail() -> Any:
        raise OSError("no database")

    with pytest.raises(StartError, match=r"fail failed: OSError: no database$") as caught:
        load(Config(fail, factory=True))
    assert isinstance(caught.value.__cause__, OSError)


def test_asgi2_is_called_twice_and_told_its_version() -> None:
    calls: list[Any] = []

    class Application:
        def __init__(self, scope: Any) -> None:
            calls.append(scope["asgi"])

        async def __call__(self, receive: Any, send: Any) -> None:
            calls.append((receive, send))

    shared = {"version": "3.0", "spec_version": "2.5"}
    receive, send = object(), object()
    asyncio.run(asgi3_from_asgi2(Application)({"asgi": shared}, receive, send))  # type: ignore[arg-type]
    assert calls == [{"version": "2.0", "spec_version": "2.5"}, (receive, send)]
    assert shared["version"] == "3.0"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An --app-dir; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_import_from_the_directory(directory: Path) -> None:
    (directory / "detection_module.py").write_text("class inner:\n    app = 1\n")
    assert import_object("detection_module:inner.app", str(directory)) == 1
    assert sys.path[0] == str(directory)


def test_the_directory_goes_first(directory: Path) -> None:
    (directory / "wave_shadow.py").write_text("app = 'theirs'\n")
    sys.path.insert(0, str(directory / "elsewhere"))
    (directory / "elsewhere").mkdir()
    (directory / "elsewhere" / "wave_shadow.py").write_text("app = 'other'\n")
    assert import_object("wave_shadow:app", str(directory)) == "theirs"


@pytest.mark.parametrize("target", ["module", "module:", ":attribute", "", ":"])
def test_target_without_two_halves(target: str, directory: Path) -> None:
    with pytest.raises(StartError) as caught:
        import_object(target, str(directory))
    assert str(caught.value) == f"{target!r} does not name an application; it is written module:attribute"


@pytest.mark.parametrize(
    ("target", "name"), [("nomod:app", "nomod"), ("nomod.sub:app", "nomod"), ("json.no:a", "json.no")]
)
def test_missing_module_is_one_line(target: str, name: str, directory: Path) -> None:
    with pytest.raises(StartError) as caught:
        import_object(target, str(directory))
    assert str(caught.value) == f"there is no module {name!r} in {directory} or the module search path"
    assert caught.value.__cause__ is None


def test_missing_attribute(directory: Path) -> None:
    with pytest.raises(StartError, match=r"^module 'json' has no attribute 'no.thing'$"):
        import_object("json:no.thing", str(directory))


def test_error_inside_the_module_keeps_its_cause(directory: Path) -> None:
    (directory / "detection_broken.py").write_text("import detection_absent\n")
    with pytest.raises(StartError) as caught:
        import_object("detection_broken:app", str(directory))
    reason = "cannot import 'detection_broken': ModuleNotFoundError: No module named 'detection_absent'"
    assert str(caught.value) == reason
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
