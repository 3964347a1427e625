"""The hooks of a user's module: called with what they are told, and refused where they cannot be."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastserve.app import hooks
from fastserve.app.hooks import Hooks, SupervisorInfo, WorkerInfo
from kit.calls import reason

SUPERVISOR = SupervisorInfo(pid=1, workers=2, addresses=("http://127.0.0.1:8000",))
WORKER = WorkerInfo(slot=1, pid=2, generation=3, exit="exit status 0")


Module = Callable[[str, str], Path]


@pytest.fixture
def hook_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Hooks]]:
    """Loads hooks from a source."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def loaded(source: str) -> Hooks:
        (tmp_path / "the_hooks.py").write_text(source)
        return hooks.load("the_hooks", str(tmp_path))

    yield loaded
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_hooks_are_called_with_what_they_are_told(hook_module: Callable[[str], Hooks]) -> None:
    source = "".join(f"def {name}(info): CALLS.append(({name!r}, info))\n" for name in hooks.HOOKS)
    found = hook_module(f"CALLS = []\n{source}")
    told = [(name, SUPERVISOR if kind is SupervisorInfo else WORKER) for name, kind in hooks.HOOKS.items()]
    for name, info in told:
        found.call(name, info)
    assert told == sys.modules["the_hooks"].CALLS
    assert found.failures == 0


def test_a_hook_that_is_not_there_is_not_called(hook_module: Callable[[str], Hooks]) -> None:
    for found in (hooks.load(None, ""), hook_module("x = 1")):
        for name, kind in hooks.HOOKS.items():
            found.call(name, SUPERVISOR if kind is SupervisorInfo else WORKER)
        assert found.failures == 0


@pytest.mark.parametrize("failure", ["1 / 0", "raise SystemExit(3)"])
def test_a_hook_that_fails_is_logged_with_its_traceback_and_counted(
    hook_module: Callable[[str], Hooks], failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = hook_module(f"def post_fork(worker):\n    {failure}\n")
    found.call("post_fork", WORKER)
    found.call("post_fork", WORKER)
    assert found.failures == 2
    assert [record.getMessage() for record in caplog.records] == ["the hook post_fork failed"] * 2
    assert failure in caplog.text


def test_on_starting_can_refuse_the_start(hook_module: Callable[[str], Hooks]) -> None:
    found = hook_module("def on_starting(supervisor):\n    raise ValueError('no database')\n")
    assert reason(lambda: found.call("on_starting", SUPERVISOR)) == (
        "the hook on_starting failed: ValueError: no database"
    )
    assert found.failures == 1


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        ("def on_start(s): pass", "the_hooks.on_start is not a hook and is never called; is on_starting meant?"),
        ("def postfork(w): pass", "the_hooks.postfork is not a hook and is never called; is post_fork meant?"),
        (
            "def on_monday(s): pass",
            f"the_hooks.on_monday is not a hook and is never called; there are {', '.join(hooks.HOOKS)}",
        ),
        ("def connect(): pass\nfrom os.path import join as on_join\non_call = 3", ""),
    ],
)
def test_a_misspelt_hook_is_a_warning(
    hook_module: Callable[[str], Hooks], source: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook_module(source)
    assert [record.getMessage() for record in caplog.records] == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("on_exit = 3", "the hook the_hooks.on_exit is not a function but 3"),
        ("def pre_fork(server, worker): pass", "the hook the_hooks.pre_fork has to take one argument, the worker"),
        ("def on_exit(): pass", "the hook the_hooks.on_exit has to take one argument, the supervisor"),
        (
            "async def on_exit(s): pass",
            "the hook the_hooks.on_exit is a coroutine function; hooks are called outside of any event loop",
        ),
        ("1 / 0", "cannot import 'the_hooks': ZeroDivisionError: division by zero"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(
    hook_module: Callable[[str], Hooks], source: str, expected: str
) -> None:
    assert reason(lambda: hook_module(source)) == expected


def test_a_module_of_hooks_that_is_not_there(hook_module: Callable[[str], Hooks], tmp_path: Path) -> None:
    assert reason(lambda: hooks.load("no_such_module", str(tmp_path))) == (
        f"there is no module 'no_such_module' in {tmp_path} or the module search path"
    )
    assert reason(lambda: hooks.load("the_hooks:on_exit", str(tmp_path))) == (
        "--hooks the_hooks:on_exit: it is a module that is named, without an attribute"
    )
