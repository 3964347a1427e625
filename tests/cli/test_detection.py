"""Finding the application and its interface."""

import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastserve.application import Finding, asgi3_from_asgi2, detect, import_object, load
from fastserve.config import Config
from fastserve.errors import StartError


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


def wrapped(app: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(app)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return app(*args, **kwargs)

    return wrapper


def keyworded(option: Any, scope: Any, receive: Any, send: Any) -> Any: ...


async def with_options(scope: Any, receive: Any, send: Any, *, option: int = 0) -> None: ...


def wsgi_with_more(environ: Any, start_response: Any, exc_info: Any = None) -> Any: ...


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
    ("ASGI 2: a function", asgi2, "asgi2"),
    ("ASGI 2: a method", Methods().asgi2, "asgi2"),
    ("ASGI 2: a static method", Methods.static, "asgi2"),
    ("ASGI 2: an object", ObjectASGI2(), "asgi2"),
    ("ASGI 2: a class", ClassASGI2, "asgi2"),
    ("ASGI 2: a partial", functools.partial(wsgi, 1), "asgi2"),
    ("ASGI 2: a decorated function", wrapped(asgi2), "asgi2"),
    ("WSGI: a function", wsgi, "wsgi"),
    ("WSGI: a method", Methods().wsgi, "wsgi"),
    ("WSGI: an object", ObjectWSGI(), "wsgi"),
    ("WSGI: a class", ClassWSGI, "wsgi"),
    ("WSGI: a third parameter", wsgi_with_more, "wsgi"),
    ("WSGI: a decorated function", wrapped(wsgi), "wsgi"),
]


@pytest.mark.parametrize(("app", "interface"), [row[1:] for row in SURE], ids=[row[0] for row in SURE])
def test_sure(app: Any, interface: str) -> None:
    assert detect(app, "app") == Finding(interface, "")


def anything(*args: Any) -> Any: ...


async def anything_async(*args: Any, **kwargs: Any) -> None: ...


def old_and_new(scope: Any, receive: Any = None, send: Any = None) -> Any: ...


def one_or_two(scope: Any, more: Any = None) -> Any: ...


FEWER = "it can be called with three arguments, but also with fewer"
UNSURE = [
    (anything, "asgi3", FEWER),
    (anything_async, "asgi3", FEWER),
    (old_and_new, "asgi3", FEWER),
    (one_or_two, "asgi2", "it can be called with one argument, but also with two"),
]


@pytest.mark.parametrize(("app", "interface", "doubt"), UNSURE, ids=[row[0].__name__ for row in UNSURE])
def test_unsure_says_why(
    app: Any, interface: str, doubt: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert detect(app, "app") == Finding(interface, doubt)
    monkeypatch.setattr(logging.getLogger("fastserve"), "propagate", True)
    with caplog.at_level(logging.INFO, "fastserve"):
        load(Config(app))
    title = {"asgi3": "ASGI 3", "asgi2": "ASGI 2"}[interface]
    assert caplog.messages == [f"{app.__name__} is taken for an {title} application: {doubt}"]


def test_a_signature_that_cannot_be_read() -> None:
    class Odd:
        __signature__ = "none"

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert detect(Odd(), "app") == Finding("asgi3", "its signature cannot be read")


async def one(scope: Any) -> None: ...
async def two(a: Any, b: Any) -> None: ...
def four(a: Any, b: Any, c: Any, d: Any) -> None: ...
def make() -> Any:
    return asgi3


def make_with_default(settings: Any = None) -> Any:
    return asgi3


class NotAwaitable:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...


NONE = [
    (one, "app is not an application: a function takes neither (scope, receive, send) nor (scope)"),
    (two, "app is not an application: a function takes neither (scope, receive, send) nor (scope)"),
    (four, "app is not an application: a function takes neither (scope, receive, send) nor (scope)"),
    (make, "app is not an application: it takes no argument; a factory needs --factory"),
    (make_with_default, "app is not an application: it takes no argument; a factory needs --factory"),
    (ObjectASGI3, "app is not an application: it takes no argument; a factory needs --factory"),
    (NotAwaitable, "app is not an application: an instance of the class cannot be awaited"),
    (3, "app is not an application: an int is not callable"),
    (None, "app is not an application: a NoneType is not callable"),
    (asyncio, "app is not an application: a module is not callable"),
]


@pytest.mark.parametrize(("app", "reason"), NONE, ids=[str(row[0]) for row in NONE])
def test_no_application(app: Any, reason: str) -> None:
    with pytest.raises(StartError) as caught:
        detect(app, "app")
    assert str(caught.value) == reason


def test_wsgi_is_refused_for_now() -> None:
    with pytest.raises(StartError, match=r"^wsgi is a WSGI application; only ASGI applications are served$"):
        load(Config(wsgi))


def test_interface_can_be_forced() -> None:
    forced: Any = load(Config(wsgi, interface="asgi3"))
    assert forced is wsgi
    assert load(Config(anything, interface="asgi2")) is not anything


def test_asgi3_is_called_as_it_is() -> None:
    assert load(Config(asgi3)) is asgi3


def test_factory() -> None:
    assert load(Config(make, factory=True)) is asgi3
    assert load(Config(make_with_default, factory=True)) is asgi3
    assert isinstance(load(Config(ObjectASGI3, factory=True)), ObjectASGI3)


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
