"""The configuration file as a user sees it: where it is found, what counts before it, what is refused, how it shows."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Launch, Run
from fastserve.config.config import Config
from fastserve.config.file import ConfigFile
from fastserve.config.option_types import Secret, Variables
from fastserve.config.options import OPTIONS
from fastserve.config.sources import Origin, Setting, Settings
from unit.config.test_options import SAMPLES

Write = Callable[[str, str], Path]

COMMENT = re.compile(r"  # [^#]+$", re.MULTILINE)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file into the directory where the command runs: write("fastserve.toml", text)."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return written


def shown(run: Run, *arguments: str, **variables: str) -> dict[str, str]:
    """What `--print-config` shows, each line by the name that it is about."""
    ended = run("--print-config", *arguments, **variables)
    assert (ended.status, ended.stderr) == (0, "")
    return {line.removeprefix("# ").partition(" ")[0]: line for line in ended.stdout.splitlines()}


OWN = 'app = "hello:app"\nport = 81\n'
PROJECT = '[project]\nname = "x"\n[tool.fastserve]\napp = "hello:other"\nport = 82\n'


def test_own_file_in_the_current_directory(run: Run, write: Write) -> None:
    write("fastserve.toml", OWN)
    write("pyproject.toml", PROJECT)
    lines = shown(run)
    assert lines["app"] == 'app = "hello:app"  # file fastserve.toml'
    assert lines["port"] == "port = 81  # file fastserve.toml"
    assert lines["host"] == 'host = "127.0.0.1"  # default'
    assert lines["uds"] == "# uds is not set  # default"


def test_else_the_table_of_the_project(run: Run, write: Write) -> None:
    write("pyproject.toml", PROJECT)
    lines = shown(run)
    assert lines["app"] == 'app = "hello:other"  # file pyproject.toml'
    assert lines["port"] == "port = 82  # file pyproject.toml"


@pytest.mark.parametrize("text", ["", "[tool]\n", "tool = 1\n", "[tool.other]\nport = 1\n"])
def test_a_project_without_the_table_is_as_good_as_none(run: Run, write: Write, text: str) -> None:
    write("pyproject.toml", text)
    lines = shown(run)
    assert lines["app"] == "# app is not set  # default"
    assert lines["port"] == "port = 8000  # default"


@pytest.mark.parametrize(
    ("name", "text", "port"),
    [("conf/shop.toml", OWN, 81), ("conf/pyproject.toml", PROJECT, 82), ("conf/shop.conf", "port = 83", 83)],
)
def test_a_file_that_is_named(run: Run, write: Write, name: str, text: str, port: int) -> None:
    write("fastserve.toml", "port = 1")
    write(name, text)
    assert shown(run, "--config", name)["port"] == f"port = {port}  # file {name}"
    assert shown(run, FASTSERVE_CONFIG=name)["port"] == f"port = {port}  # file {name}"


def test_command_line_environment_file_default(run: Run, write: Write) -> None:
    write("fastserve.toml", 'app = "file:app"\nthreads = 2\nbacklog = 2\naccess-log = false\nheaders = ["A: 2"]\n')
    variables = {"FASTSERVE_APP": "env:app", "FASTSERVE_THREADS": "3", "FASTSERVE_BACKLOG": "", "PORT": "3"}
    lines = shown(run, "line:app", "--threads", "4", "--header", "B: 4", **variables)
    assert lines["app"] == 'app = "line:app"  # command line'
    assert lines["threads"] == "threads = 4  # command line"
    assert lines["headers"] == 'headers = ["B: 4"]  # command line'
    assert lines["backlog"] == "backlog = 2  # file fastserve.toml"
    assert lines["access-log"] == "access-log = false  # file fastserve.toml"
    assert lines["port"] == "port = 3  # environment PORT"
    lines = shown(run, "--access-log", **variables)
    assert lines["app"] == 'app = "env:app"  # environment FASTSERVE_APP'
    assert lines["threads"] == "threads = 3  # environment FASTSERVE_THREADS"
    assert lines["access-log"] == "access-log = true  # command line"


PLACES = [
    (["--port", "9"], {}, "bind = [':1']", {"bind": None, "port": 9}),
    (["--bind", ":9"], {"FASTSERVE_UDS": "s", "PORT": "3"}, "fd = 3", {"bind": [":9"], "uds": None, "fd": None}),
    (["--uds", "s"], {"FASTSERVE_HOST": "::1"}, "port = 1", {"uds": "s", "host": None, "port": None}),
    (["--port", "9"], {"FASTSERVE_HOST": "::1"}, "host = 'a'", {"host": "::1", "port": 9}),
    ([], {"PORT": "3"}, "bind = [':1']", {"bind": [":1"], "port": None}),
    ([], {"PORT": "3"}, "port = 1\nbind = []", {"bind": None, "port": 3}),
    ([], {"FASTSERVE_PORT": "3"}, "uds = 's'", {"uds": None, "port": 3}),
    ([], {"WEB_CONCURRENCY": "3"}, "", {"workers": 3}),
    ([], {"WEB_CONCURRENCY": "3"}, "supervisor = false", {"workers": None, "supervisor": False}),
    (["--no-supervisor"], {"WEB_CONCURRENCY": "3"}, "", {"workers": None, "supervisor": False}),
]
"""Command line, environment, file; and the values that count, None for the default."""


@pytest.mark.parametrize(("arguments", "variables", "text", "expected"), PLACES)
def test_what_gives_way(
    run: Run,
    write: Write,
    arguments: list[str],
    variables: dict[str, str],
    text: str,
    expected: dict[str, object],
) -> None:
    write("fastserve.toml", text)
    lines = shown(run, *arguments, **variables)
    for name, value in expected.items():
        if value is None:
            assert lines[name].endswith("  # default"), lines[name]
        else:
            assert tomllib.loads(lines[name]) == {name: value}
            assert not lines[name].endswith("  # default"), lines[name]


CONTRADICTIONS = [
    (["--bind", ":1", "--port", "2"], {}, "", "bind, port: only one of them can be given"),
    ([], {"FASTSERVE_BIND": ":1", "FASTSERVE_UDS": "s"}, "", "bind, uds: only one of them can be given"),
    ([], {}, "bind = [':1']\nhost = '::1'", "bind, host: only one of them can be given"),
    (["--no-supervisor"], {}, "workers = 2", "workers: there can only be one without a supervisor"),
    (["--reload"], {"FASTSERVE_SUPERVISOR": "no"}, "", "reload: cannot be without a supervisor"),
]


@pytest.mark.parametrize(
    ("arguments", "variables", "text", "reason"), CONTRADICTIONS, ids=[row[3] for row in CONTRADICTIONS]
)
def test_contradictions(
    run: Run, write: Write, arguments: list[str], variables: dict[str, str], text: str, reason: str
) -> None:
    write("fastserve.toml", text)
    for more in ([], ["--print-config"]):
        ended = run("hello:app", *arguments, *more, **variables)
        assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"fastserve: error: {reason}\n")


REFUSED = [
    ("prot = 1", "prot: there is no such option; did you mean port?"),
    ("log-levle = 1", "log-levle: there is no such option; did you mean log-level?"),
    ("header = []", "header: there is no such option; did you mean headers?"),
    ("ap = 'a:b'", "ap: there is no such option; did you mean app?"),
    ("xyzzy = 1", "xyzzy: there is no such option"),
    ("app = 1", "app: 1 is not a string 'module:attribute'"),
    ("port = 65536", "port: 65536 is not between 0 and 65535"),
    ("port = 80.0", "port: 80.0 is not a whole number"),
    ("port = true", "port: True is not a whole number"),
    ("log-level = 'loud'", "log-level: 'loud' is not one of critical, error, warning, info, debug"),
    ("log_level = 'info'\nlog-level = 'info'", "log-level: given twice, with a dash and with an underscore"),
    ("workers = 'many'", "workers: 'many' is not a whole number, nor auto"),
    ("bind = ['127.0.0.1:http']", "bind: '127.0.0.1:http': the port 'http' is not a number between 0 and 65535"),
    ("bind = {a = 1}", "bind: {'a': 1} is not a list of addresses"),
    ("umask = 22", 'umask: 22 is a number; permission bits are written as text (such as "022")'),
    ("env = {A = 1}", "env: the value of A is not a string without NUL"),
    ("headers = ['A']", "headers: 'A' is not of the form 'Name: value'"),
    ("[limits]\nport = 1", "limits: there is no such option; did you mean limit-methods?"),
    ("port 80", "not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
    ("app = 'a:b'\nport =\n", "not valid TOML: Invalid value (at line 2, column 7)"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refuses(run: Run, write: Write, text: str, reason: str) -> None:
    write("fastserve.toml", text)
    ended = run("hello:app")
    assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"fastserve: error: fastserve.toml: {reason}\n")


def test_refusals_name_the_project_too(run: Run, write: Write) -> None:
    write("pyproject.toml", "[tool.fastserve]\nport = 'http'\n")
    assert run("hello:app").stderr == "fastserve: error: pyproject.toml: port: 'http' is not a whole number\n"
    write("pyproject.toml", "[tool]\nfastserve = 1\n")
    assert run("hello:app").stderr == "fastserve: error: pyproject.toml: tool.fastserve is not a table\n"


def test_file_that_is_named_and_is_none(run: Run, write: Write, tmp_path: Path) -> None:
    write("fastserve.toml", OWN)
    write("other/pyproject.toml", "[project]\n")
    (tmp_path / "binary.toml").write_bytes(b"app = '\xff'")
    for name, reason in [
        ("absent.toml", "cannot read the configuration absent.toml: no such file or directory"),
        (".", "cannot read the configuration .: is a directory"),
        ("other/pyproject.toml", "other/pyproject.toml: there is no table [tool.fastserve]"),
        ("binary.toml", "binary.toml: not UTF-8 at byte 7"),
    ]:
        ended = run("hello:app", "--config", name)
        assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"fastserve: error: {reason}\n")


def test_application_in_the_file_is_served(launch: Launch, write: Write) -> None:
    import httpx

    write("fastserve.toml", 'app = "hello:app"\n[headers]\nX-From = "file"\n')
    launched = launch()
    answer = httpx.get(f"http://127.0.0.1:{launched.named_port()}/", trust_env=False)
    assert (answer.text, answer.headers["x-from"]) == ("hello", "file")
    assert launched.stop().status == 0


def test_application_is_not_imported(run: Run, write: Write, module: Callable[..., Path]) -> None:
    module("loud", "print('imported')")
    write("fastserve.toml", 'app = "loud:app"\nhooks = "loud"\n')
    ended = run("--print-config")
    assert (ended.status, ended.stderr) == (0, "")
    assert "imported" not in ended.stdout


def test_print_config_shows_each_option_once_in_the_tables_order(run: Run) -> None:
    assert list(shown(run)) == ["app", *(option.name.replace("_", "-") for option in OPTIONS)]


VALUES = {"bind", "uds", "fd"}
"""Options that stand instead of others, tried by themselves."""


def test_what_print_config_shows_is_a_configuration_file(run: Run, write: Write) -> None:
    hidden = Secret | Variables
    shown = [option for option in OPTIONS if option.name not in VALUES and not isinstance(option.kind, hidden)]
    given = {option.name: option.flag for option in shown if option.name in SAMPLES}
    arguments = [argument for name, flag in given.items() for argument in (f"--{flag}", SAMPLES[name][0])]
    first = run("--print-config", "hello:app", *arguments, "--no-access-log", "--proc-name", 'B="\\\x7fé\n')
    assert (first.status, first.stderr) == (0, "")
    sources = [COMMENT.search(line) for line in first.stdout.splitlines()]
    assert {match[0] for match in sources if match} == {"  # command line", "  # default"}
    path = write("fastserve.toml", first.stdout)
    second = run("--print-config")
    assert COMMENT.sub("", second.stdout) == COMMENT.sub("", first.stdout)

    read = Settings({}, ConfigFile(str(path))).load()
    expected = {name: SAMPLES[name][1] for name in given}
    assert read == Config("hello:app", **{**expected, "proc_name": 'B="\\\x7fé\n'}, access_log=False)


def test_what_an_application_is_told_is_not_shown(run: Run, write: Write) -> None:
    """By variables, some of which usually are secrets; not in messages and not where the configuration is logged."""
    ended = run("--print-config", "hello:app", "--env", "TOKEN=t0ps3cret", "--env", "B=\x7f=t0ps3cret")
    assert (ended.status, ended.stderr) == (0, "")
    assert "# env is set, and not shown: TOKEN, B  # command line\n" in ended.stdout
    assert "t0ps3cret" not in ended.stdout
    assert "t0ps3cret" not in repr(Config("hello:app", env={"TOKEN": "t0ps3cret"}))
    write("fastserve.toml", ended.stdout)
    assert "\nenv = []  # default\n" in run("--print-config").stdout
    for wrong in ("t0ps3cret", "=t0ps3cret"):
        ended = run("hello:app", "--env", wrong)
        assert ended.status == 2
        assert "t0ps3cret" not in ended.stderr + ended.stdout


@pytest.mark.parametrize("name", sorted(VALUES))
def test_other_ways_to_listen_are_shown_too(run: Run, write: Write, name: str) -> None:
    text, value = SAMPLES[name]
    path = write("fastserve.toml", run("--print-config", "hello:app", f"--{name}", text).stdout)
    assert Settings({}, ConfigFile(str(path))).load() == Config("hello:app", **{name: value})


def test_what_toml_cannot_hold_is_shown_as_a_comment(run: Run) -> None:
    assert shown(run, "--uds", "a\udcffb")["uds"] == r"# uds is not UTF-8: 'a\udcffb'  # command line"


def test_configuration_is_read_again(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write("fastserve.toml", OWN)
    settings = Settings({"threads": Setting(3, Origin.COMMAND_LINE)}, ConfigFile())
    assert settings.load() == Config("hello:app", port=81, threads=3)
    monkeypatch.chdir("/")
    write("fastserve.toml", 'app = "hello:other"\nthreads = 4\n')
    assert settings.load() == Config("hello:other", threads=3)
    write("fastserve.toml", "port = 'http'")
    with pytest.raises(ValueError, match=r"^fastserve.toml: port: 'http' is not a whole number$"):
        settings.load()
    write("fastserve.toml", "")
    with pytest.raises(ValueError, match=r"^the application is missing; it is written module:attribute$"):
        settings.load()
    # Another file does not come in the place of one that was there.
    write("pyproject.toml", PROJECT)
    (tmp_path / "fastserve.toml").unlink()
    with pytest.raises(ValueError, match=r"^cannot read the configuration fastserve.toml: no such file or directory$"):
        settings.load()
    write("fastserve.toml", OWN)
    assert settings.load() == Config("hello:app", port=81, threads=3)
