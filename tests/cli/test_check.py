"""`fastserve --check`: what a start needs is tried, nothing is served, and what is wrong is said."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cli.conftest import Launch, Run

Module = Callable[..., Path]

GOOD = "the configuration is good\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["hello:app"],
        ["hello:app", "--uds", "server.sock", "--uds-mode", "600"],
        ["hello:app", "--bind", "127.0.0.1:0", "--bind", "unix:server.sock", "--admin", "unix:admin.sock"],
        ["hello:app", "--workers", "4", "--cpu-affinity", "auto", "--pid", "server.pid", "--reload"],
        ["hello:app", "--loop", "asyncio", "--hooks", "hello", "--env", "A=1", "--umask", "077"],
        ["wsgiref.simple_server:demo_app", "--interface", "wsgi", "--threads", "2"],
        ["wsgiref.simple_server:demo_app", "--no-supervisor"],
    ],
    ids=" ".join,
)
def test_good(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    before = set(tmp_path.iterdir())
    where = [] if {"--uds", "--bind"} & set(arguments) else ["--port", "0"]
    ended = run("--check", *arguments, *where)
    assert (ended.status, ended.stdout, ended.stderr) == (0, GOOD, "")
    assert set(tmp_path.iterdir()) - {tmp_path / "__pycache__"} == before


def test_application_is_imported_as_it_would_be(run: Run, module: Module, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "variables.env").write_text("B=file\nA=file\n")
    (tmp_path / "fastserve.toml").write_text('app = "seen:app"\nchdir = "site"\nenv-file = "variables.env"\nport = 0\n')
    module(
        "site/seen",
        "import os\nprint(os.environ['A'], os.environ['B'], os.getcwd(), flush=True)\n"
        "async def app(scope, receive, send): ...\n",
    )
    ended = run("--check", "--env", "A=option")
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout == f"option file {(tmp_path / 'site').resolve()}\n{GOOD}"


BAD = [
    ([], "hello:nothing", "module 'hello' has no attribute 'nothing'"),
    (
        ["--lifespan", "on"],
        "wsgiref.simple_server:demo_app",
        "a WSGI application has no lifespan; leave --lifespan away",
    ),
    (["--chdir", "none"], "hello:app", "--chdir none: no such file or directory"),
    (["--env-file", "none.env"], "hello:app", "--env-file: cannot read none.env: no such file or directory"),
    (["--pid", "none/pid"], "hello:app", "cannot write the PID file none/pid: there is no directory none"),
    (
        ["--log-config", "l.json"],
        "hello:app",
        "cannot read the logging configuration l.json: no such file or directory",
    ),
    (["--user", "no-such-user"], "hello:app", "--user no-such-user: there is no such user"),
    (["--group", "no-such-group"], "hello:app", "--group no-such-group: there is no such group"),
    (["--reload", "--reload-dir", "none"], "hello:app", "--reload-dir {directory}/none: there is no such directory"),
    (["--hooks", "none"], "hello:app", "there is no module 'none' in {directory} or the module search path"),
    (
        ["--bind", "unix:none/server.sock"],
        "hello:app",
        "cannot listen on unix:none/server.sock: no such file or directory",
    ),
    (
        ["--admin", "unix:none/admin.sock"],
        "hello:app",
        "cannot listen on unix:none/admin.sock: no such file or directory",
    ),
]


@pytest.mark.parametrize(("arguments", "target", "reason"), BAD, ids=[row[2] for row in BAD])
def test_bad(run: Run, tmp_path: Path, arguments: list[str], target: str, reason: str) -> None:
    where = [] if "--bind" in arguments else ["--port", "0"]
    ended = run(target, "--check", *arguments, *where)
    line = f"fastserve: error: {reason.format(directory=tmp_path.resolve())}\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)


def test_access_log_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    ended = run("hello:app", "--check", "--port", "0", "--access-logfile", "none/access.log")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith("fastserve: error: cannot open the access log ")
    assert ended.stderr.endswith("none/access.log: no such file or directory\n")


def test_bad_value(run: Run) -> None:
    ended = run("hello:app", "--check", "--port", "http")
    assert (ended.status, ended.stdout, ended.stderr) == (
        2,
        "",
        "fastserve: error: --port: 'http' is not a whole number\n",
    )


def test_cpu_that_is_not_there(run: Run) -> None:
    ended = run("hello:app", "--check", "--port", "0", "--cpu-affinity", "9999")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith("fastserve: error: --cpu-affinity 9999: there is no CPU 9999 to be used here, only ")


@pytest.mark.parametrize("option", ["--bind", "--admin"])
def test_address_in_use(run: Run, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("hello:app", "--check", option, place, *([] if option == "--bind" else ["--port", "0"]))
    line = f"fastserve: error: cannot listen on {place}: address already in use\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)


def test_watchfiles_that_is_not_installed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ModuleNotFoundError('not here')\n")
    without = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path[1:]])}
    ended = run("hello:app", "--check", "--port", "0", "--reload", **without)
    line = "fastserve: error: --reload needs watchfiles: pip install 'fastserve[reload]'\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)


def test_uvloop_that_is_not_installed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')\n")
    without = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path[1:]])}
    ended = run("hello:app", "--check", "--port", "0", "--loop", "uvloop", **without)
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", "fastserve: error: uvloop cannot be used: not here\n")


def test_application_that_raises_shows_its_own_frames_only(run: Run, module: Module) -> None:
    path = module("broken", "def configure():\n    raise OSError('no settings')\nconfigure()\n")
    ended = run("broken:app", "--check", "--port", "0")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith(
        "fastserve: error: cannot import 'broken': OSError: no settings\nTraceback (most recent call last):\n"
        f'  File "{path}", line 3, in <module>\n'
    )
    assert ended.stderr.endswith("\nOSError: no settings\n")
    assert ended.stderr.count("  File ") == 2


def test_application_that_ends_the_process(run: Run, module: Module) -> None:
    module("quits", "import sys\nsys.exit(0)\n")
    ended = run("quits:app", "--check", "--port", "0")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith("fastserve: error: cannot import 'quits': SystemExit: 0\nTraceback")


def test_reasons_are_shown_whatever_the_log_configuration_says(run: Run, tmp_path: Path) -> None:
    settings = {"version": 1, "loggers": {"fastserve": {"handlers": [], "propagate": False}}}
    (tmp_path / "log.json").write_text(json.dumps(settings))
    ended = run("hello:nothing", "--check", "--port", "0", "--log-config", "log.json")
    assert (ended.status, ended.stderr) == (1, "fastserve: error: module 'hello' has no attribute 'nothing'\n")


def test_server_that_runs_is_not_disturbed(run: Run, launch: Launch, tmp_path: Path) -> None:
    path = str(tmp_path / "server.sock")
    launched = launch("hello:app", "--uds", path)
    launched.stderr.wait_for(f"listening on unix:{path}\n")
    ended = run("hello:app", "--check", "--uds", path)
    line = f"fastserve: error: cannot listen on unix:{path}: address already in use\n"
    assert (ended.status, ended.stdout, ended.stderr) == (1, "", line)
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
        assert client.get("http://server/").text == "hello"
    assert launched.stop().status == 0
