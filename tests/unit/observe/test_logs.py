"""Logging: lines, levels, colours, configuration files, and where the access log goes."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.observe.logs import AccessLog, configure
from kit.waiting import PATIENCE

LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[(.*)\] (.*)\n")

SETTINGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(name)s|%(levelname)s|%(message)s"}},
    "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "loggers": {"fastserve": {"handlers": ["err"], "level": "WARNING", "propagate": False}},
}
TOML = """
version = 1
disable_existing_loggers = false
formatters.plain.format = "%(name)s|%(levelname)s|%(message)s"
loggers.fastserve = { handlers = ["err"], level = "WARNING", propagate = false }
[handlers.err]
class = "logging.StreamHandler"
formatter = "plain"
stream = "ext://sys.stderr"
"""
INI = """
[loggers]
keys = root,fastserve
[handlers]
keys = err
[formatters]
keys = plain
[logger_root]
handlers =
[logger_fastserve]
qualname = fastserve
handlers = err
level = WARNING
propagate = 0
[handler_err]
class = StreamHandler
formatter = plain
args = (sys.stderr,)
[formatter_plain]
format = %(name)s|%(levelname)s|%(message)s
"""


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The loggers as they were, afterwards."""
    loggers = [logging.getLogger(), logging.getLogger("fastserve")]
    before = [(each, each.level, each.propagate, list(each.handlers)) for each in loggers]
    yield
    for each, level, propagate, handlers in before:
        each.setLevel(level)
        each.propagate, each.handlers[:] = propagate, handlers


def configured(**options: Any) -> logging.Logger:
    configure(Config("a:b", **options))
    return logging.getLogger("fastserve")


def test_line(capfd: pytest.CaptureFixture[str]) -> None:
    configured().info("listening")
    match = LINE.fullmatch(capfd.readouterr().err)
    assert match is not None
    assert match.groups() == (str(os.getpid()), "INFO", "listening")


def test_errors_of_requests_go_the_same_way(capfd: pytest.CaptureFixture[str]) -> None:
    configured()
    logging.getLogger("fastserve.error").error("failed")
    assert capfd.readouterr().err.endswith("[ERROR] failed\n")


def test_level_without_an_option_is_info(capfd: pytest.CaptureFixture[str]) -> None:
    logger = configured()
    logger.debug("hidden")
    logger.info("shown")
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("level", ["critical", "error", "warning", "info", "debug"])
def test_level(level: str) -> None:
    assert configured(log_level=level).level == getattr(logging, level.upper())


def test_configured_twice_writes_once(capfd: pytest.CaptureFixture[str]) -> None:
    configured()
    configured().info("once")
    assert capfd.readouterr().err.count("once") == 1


def test_colors(capfd: pytest.CaptureFixture[str]) -> None:
    configured(use_colors=True).error("x")
    assert "[\x1b[31mERROR\x1b[0m] x\n" in capfd.readouterr().err
    configured(use_colors=False).error("x")
    assert "\x1b" not in capfd.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_colors_by_themselves_on_a_terminal(
    terminal: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    configured().error("x")
    assert ("\x1b" in capfd.readouterr().err) is terminal


def as_yaml(settings: Any) -> str:
    return str(pytest.importorskip("yaml").safe_dump(settings))


FILES: dict[str, Callable[[], str]] = {
    "log.json": lambda: json.dumps(SETTINGS),
    "log.yaml": lambda: as_yaml(SETTINGS),
    "log.YML": lambda: as_yaml(SETTINGS),
    "log.toml": lambda: TOML,
    "log.ini": lambda: INI,
    "log.conf": lambda: INI,
}


@pytest.mark.parametrize("name", FILES)
def test_configuration_file(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_text(FILES[name]())
    logger = configured(log_config=str(path))
    logger.info("hidden")
    logger.warning("shown")
    assert capfd.readouterr().err == "fastserve|WARNING|shown\n"


def test_level_counts_before_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps(SETTINGS))
    configured(log_config=str(path), log_level="info").info("shown")
    assert capfd.readouterr().err == "fastserve|INFO|shown\n"


@pytest.mark.parametrize("name", ["fastserve", "fastserve.error"])
def test_only_code_that_means_it_disables_a_logger(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    configured()
    logger = logging.getLogger(name)
    logging.config.dictConfig({"version": 1})
    logger.error("shown")
    assert capfd.readouterr().err.endswith("[ERROR] shown\n")
    logger.disabled = True
    try:
        logger.error("hidden")
        assert capfd.readouterr().err == ""
    finally:
        logger.disabled = False


def test_program_with_a_class_of_its_own_for_loggers() -> None:
    code = (
        "import logging, logging.config\n"
        "class Mine(logging.Logger): pass\n"
        "logging.setLoggerClass(Mine)\n"
        "import fastserve\n"
        "logging.config.dictConfig({'version': 1})\n"
        "for name in ('fastserve', 'fastserve.error'):\n"
        "    logger = logging.getLogger(name)\n"
        "    assert isinstance(logger, Mine) and not logger.disabled\n"
        "    fastserve.observe.loggers.adopt()\n"
        "    assert type(logger).__mro__.count(fastserve.observe.loggers.OwnLogger) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=True)


@pytest.mark.parametrize("name", ["absent.json", "absent.ini"])
def test_absent_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(StartError) as caught:
        configured(log_config=str(path))
    assert str(caught.value) == f"cannot read the logging configuration {path}: no such file or directory"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("log.json", "{", "Expecting property name"),
        ("log.json", "{}", "dictionary doesn't specify a version"),
        ("log.json", '{"version": 1, "handlers": {"h": {"class": "no.Such"}}}', "Unable to configure handler 'h'"),
        ("log.toml", "=", "Invalid statement"),
        ("log.ini", "nothing", ""),
    ],
)
def test_file_that_does_not_fit(name: str, text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(StartError) as caught:
        configured(log_config=str(path))
    assert str(caught.value).startswith(f"the logging configuration {path} is not valid: {why}")
    assert "\n" not in str(caught.value)


def test_access_log_goes_to_standard_output() -> None:
    log = AccessLog(Config("a:b"))
    assert log.fd == 1
    log.close()
    os.fstat(1)


def test_no_access_log(tmp_path: Path) -> None:
    assert AccessLog(Config("a:b", access_log=False)).fd == -1
    path = tmp_path / "access.log"
    assert AccessLog(Config("a:b", access_log=False, access_logfile=str(path))).fd == -1
    assert not path.exists()


def test_access_log_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    log = AccessLog(Config("a:b", access_logfile=str(path)))
    os.write(log.fd, b"after\n")
    assert os.get_inheritable(log.fd) is False
    fd = log.fd
    log.close()
    log.close()
    assert path.read_text() == "before\nafter\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_access_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "none" / "access.log"
    with pytest.raises(StartError) as caught:
        AccessLog(Config("a:b", access_logfile=str(path)))
    assert str(caught.value) == f"cannot open the access log {path}: no such file or directory"
