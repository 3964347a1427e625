"""Why a start fails: one line, byte for byte, and an exit status; a traceback only of the application's own code."""

import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import BOTH_WAYS, Launch, Run
from fastserve import errors
from fastserve.errors import trace_of_application

Module = Callable[..., Path]

USAGE = [
    ([], "the application is missing; it is written module:attribute"),
    (["hello:app", "more"], "got unexpected extra argument (more)"),
    (["hello:app", "--no-such"], "there is no option --no-such"),
    (["hello:app", "--porr", "1"], "there is no option --porr; did you mean --port?"),
    (["hello:app", "--qwertz", "2"], "there is no option --qwertz"),
    (["hello:app", "--no-factory"], "there is no option --no-factory; did you mean --factory?"),
    (["hello:app", "--port"], "option '--port' requires an argument"),
    (["hello:app", "--port", "http"], "--port: 'http' is not a whole number"),
    (["hello:app", "--port", "65536"], "--port: 65536 is not between 0 and 65535"),
    (["hello:app", "--loop", "trio"], "--loop: 'trio' is not one of auto, uvloop, asyncio"),
    (["hello:app", "--proxy-headers=1"], "option '--proxy-headers' does not take a value"),
    (["hello:app", "--header", "none"], "--header: 'none' is not of the form 'Name: value'"),
    (["hello:app", "--header", "a: b", "--header", "c"], "--header: 'c' is not of the form 'Name: value'"),
    (["hello:app", "--timeout-write", "0"], "--timeout-write: 0 is not between 0.001 and 86400 seconds"),
    (["hello:app", "--uds", "a", "--fd", "3"], "uds, fd: only one of them can be given"),
]


@pytest.mark.parametrize(("arguments", "reason"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_usage(run: Run, arguments: list[str], reason: str) -> None:
    ended = run(*arguments)
    assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"fastserve: error: {reason}\n")


VARIABLES = [
    ({"FASTSERVE_PORT": "http"}, "FASTSERVE_PORT: 'http' is not a whole number"),
    ({"PORT": "http"}, "PORT: 'http' is not a whole number"),
    ({"FASTSERVE_ACCESS_LOG": "perhaps"}, "FASTSERVE_ACCESS_LOG: 'perhaps' is neither true nor false"),
    ({"FASTSERVE_FACTORY": "2"}, "FASTSERVE_FACTORY: '2' is neither true nor false"),
    ({"FASTSERVE_HEADER": "a: b\nc"}, "FASTSERVE_HEADER: 'c' is not of the form 'Name: value'"),
]


@pytest.mark.parametrize(("variables", "reason"), VARIABLES, ids=[row[1] for row in VARIABLES])
def test_bad_variable_is_named(run: Run, variables: dict[str, str], reason: str) -> None:
    ended = run("hello:app", **variables)
    assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"fastserve: error: {reason}\n")


START = [
    ("hello", "'hello' does not name an application; it is written module:attribute"),
    ("hello:nothing", "module 'hello' has no attribute 'nothing'"),
    ("hello:app.inner", "module 'hello' has no attribute 'app.inner'"),
    ("nowhere:app", "there is no module 'nowhere' in {directory} or the module search path"),
    ("os:environ", "os:environ is not an application: a _Environ is not callable"),
]


@BOTH_WAYS
@pytest.mark.parametrize(("target", "reason"), START, ids=[row[0] for row in START])
def test_application_that_is_none(run: Run, tmp_path: Path, target: str, reason: str) -> None:
    ended = run(target, "--port", "0")
    line = f"[CRITICAL] {reason.format(directory=tmp_path.resolve())}\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)


@BOTH_WAYS
def test_lifespan_on_for_a_wsgi_application(run: Run) -> None:
    ended = run("wsgiref.simple_server:demo_app", "--port", "0", "--lifespan", "on")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == "[CRITICAL] a WSGI application has no lifespan; leave --lifespan away\n"


@BOTH_WAYS
def test_start_failures_reach_the_log_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(
        '{"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": "server.log"}},'
        ' "loggers": {"fastserve": {"handlers": ["file"], "level": "CRITICAL"}}}'
    )
    ended = run("hello:nothing", "--port", "0", "--log-config", "log.json")
    assert (ended.status, ended.stderr) == (1, "")
    assert (tmp_path / "server.log").read_text() == "module 'hello' has no attribute 'nothing'\n"


@BOTH_WAYS
def test_log_configuration_that_is_absent(run: Run) -> None:
    ended = run("hello:app", "--log-config", "log.json")
    line = "fastserve: error: cannot read the logging configuration log.json: no such file or directory\n"
    assert (ended.status, ended.stderr) == (1, line)


@BOTH_WAYS
def test_port_in_use(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("hello:app", "--port", str(port))
    line = f"[CRITICAL] cannot listen on 127.0.0.1:{port}: address already in use\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)


@BOTH_WAYS
def test_address_is_tried_before_the_import(run: Run, module: Module) -> None:
    module("loud", "print('imported')")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("loud:app", "--port", str(taken.getsockname()[1])).stdout == ""


@BOTH_WAYS
def test_access_log_that_cannot_be_opened(run: Run) -> None:
    ended = run("hello:app", "--port", "0", "--access-logfile", "none/access.log")
    line = "[CRITICAL] cannot open the access log none/access.log: no such file or directory\n"
    assert (ended.status, ended.stderr) == (1, line)


@BOTH_WAYS
def test_uvloop_that_is_not_installed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')\n")
    without = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path[1:]])}
    ended = run("hello:app", "--port", "0", "--loop", "uvloop", **without)
    assert (ended.status, ended.stderr) == (1, "[CRITICAL] uvloop cannot be used: not here\n")


MARKS = re.compile(r"^ +[~^]+\n", re.MULTILINE)
"""The marks under a line of a traceback, which each Python version sets in its own way."""

TRACEBACKS = [
    (
        "import absent_dependency\n",
        "ModuleNotFoundError: No module named 'absent_dependency'",
        '  File "{path}", line 1, in <module>\n    import absent_dependency\n',
    ),
    (
        "def configure():\n    raise OSError('no settings')\nconfigure()\n",
        "OSError: no settings",
        (
            '  File "{path}", line 3, in <module>\n    configure()\n'
            "  File \"{path}\", line 2, in configure\n    raise OSError('no settings')\n"
        ),
    ),
]


@BOTH_WAYS
@pytest.mark.parametrize(("source", "error", "frames"), TRACEBACKS, ids=[row[1] for row in TRACEBACKS])
def test_error_inside_the_module_shows_its_own_frames_only(
    run: Run, module: Module, source: str, error: str, frames: str
) -> None:
    path = module("broken", source)
    ended = run("broken:app", "--port", "0")
    begin = f"[CRITICAL] cannot import 'broken': {error}\nTraceback (most recent call last):\n"
    assert ended.status == 1
    assert MARKS.sub("", ended.stderr) == f"{begin}{frames.format(path=path)}{error}\n"


@BOTH_WAYS
def test_syntax_error_shows_the_line_and_no_frame(run: Run, module: Module) -> None:
    path = module("broken", "def app(:\n")
    ended = run("broken:app", "--port", "0")
    assert ended.status == 1
    begin = "[CRITICAL] cannot import 'broken': SyntaxError: invalid syntax (broken.py, line 1)\n"
    assert ended.stderr.startswith(f'{begin}  File "{path}", line 1\n    def app(:\n')
    assert "Traceback" not in ended.stderr


@BOTH_WAYS
def test_failing_factory_shows_its_own_frames_only(run: Run, module: Module) -> None:
    path = module("made", "def make():\n    raise OSError('no settings')\n")
    ended = run("made:make", "--factory", "--port", "0")
    assert ended.status == 1
    assert ended.stderr == (
        "[CRITICAL] the factory made:make failed: OSError: no settings\n"
        "Traceback (most recent call last):\n"
        f"  File \"{path}\", line 2, in make\n    raise OSError('no settings')\n"
        "OSError: no settings\n"
    )


@BOTH_WAYS
def test_failed_startup(run: Run, module: Module) -> None:
    module(
        "life",
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n",
    )
    ended = run("life:app", "--port", "0")
    assert ended.status == 1
    assert ended.stderr == (
        "[ERROR] the application's startup failed: no database\n[CRITICAL] the application's startup failed\n"
    )


@BOTH_WAYS
def test_lifespan_on_with_an_application_that_has_none(run: Run) -> None:
    ended = run("hello:app", "--port", "0", "--lifespan", "on")
    assert ended.status == 1
    assert ended.stderr.startswith(
        "[CRITICAL] the application does not support lifespan: it raised ValueError: only HTTP\nTraceback"
    )
    assert "lifespan.py" not in ended.stderr


@BOTH_WAYS
def test_failed_start_removes_the_unix_socket(run: Run, tmp_path: Path) -> None:
    assert run("hello:nothing", "--uds", "server.sock").status == 1
    assert not (tmp_path / "server.sock").exists()


def test_version(run: Run) -> None:
    import fastserve

    ended = run("--version")
    assert (ended.status, ended.stdout, ended.stderr) == (0, f"fastserve {fastserve.__version__}\n", "")


@BOTH_WAYS
def test_ctrl_c_during_the_import(launch: Launch, module: Module) -> None:
    import signal

    module("slow", "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(3600)\n")
    launched = launch("slow:app")
    launched.stderr.wait_for("importing\n")
    ended = launched.signal(signal.SIGINT).end()
    assert (ended.status, ended.stderr) == (130, "importing\n[WARNING] interrupted\n")


@pytest.mark.parametrize(
    ("modules", "shown"),
    [
        (["fastserve.app.application", "importlib", "importlib._bootstrap", "shop", "fastserve.errors"], "shop"),
        (["fastserve.worker.forked_worker", "fastserve._core", "fastserve_shop.app"], "fastserve_shop.app"),
        (["fastserve.process", "importlib"], None),
    ],
)
def test_a_traceback_begins_in_the_application(modules: list[str], shown: str | None) -> None:
    """Whatever package of the server's the frames before it are of, and wherever the application lies."""

    calls = [frame_of(module) for module in modules]
    with pytest.raises(IndexError) as raised:
        calls[0](calls[1:])
    assert raised.value.__traceback__ is not None
    trace = trace_of_application(raised.value.with_traceback(raised.value.__traceback__.tb_next))
    assert (None if trace is None else trace.tb_frame.f_globals["__name__"]) == shown


def frame_of(module: str) -> Callable[[list[Any]], None]:
    """A function of a module that lies beside the package; it calls the next one, and the last one raises."""
    space: dict[str, Any] = {"__name__": module}
    path = f"{Path(errors.__file__).parent}_shop/app.py"
    exec(compile("def call(rest): rest[0](rest[1:])", path, "exec"), space)
    call: Callable[[list[Any]], None] = space["call"]
    return call
