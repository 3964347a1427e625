"""Logging configurations that do not name the server's loggers: they stay as they are, in supervisor and workers."""

import json
import signal
from pathlib import Path

import pytest

from kit.script import request
from supervised.conftest import Supervise, Write
from supervised.supervised import Supervised

APPLICATION = """
import logging.config
CONFIGURATION

async def app(scope, receive, send):
    raise RuntimeError("no answer")

def wsgi(environ, start_response):
    raise RuntimeError("no answer")
"""
DICTIONARY = 'logging.config.dictConfig({"version": 1})'
FILE = """
import io
logging.config.fileConfig(io.StringIO('''
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
handlers =
'''))
"""
ROOT = {
    "version": 1,
    "formatters": {"plain": {"format": "root|%(name)s|%(levelname)s|%(message)s"}},
    "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["err"], "level": "INFO"},
}

BOTH = pytest.mark.parametrize("app", ["app", "wsgi"])


def fails(supervised: Supervised) -> None:
    """Asks the application, which raises; waits for its traceback."""
    start = len(supervised.log.text)
    with supervised.connect() as client:
        assert client.exchange(request("/", "Connection: close")).status == 500
    supervised.log.wait_for("RuntimeError: no answer\n", start=start)


def start(supervise: Supervise, app: str, *options: str) -> Supervised:
    return supervise(f"served:{app}", *(("--lifespan", "off") if app == "app" else ()), *options)


@BOTH
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("configuration", [DICTIONARY, FILE], ids=["dictConfig", "fileConfig"])
def test_configuration_of_the_application(
    supervise: Supervise, write: Write, app: str, preload: tuple[str, ...], configuration: str
) -> None:
    write(APPLICATION.replace("CONFIGURATION", configuration))
    supervised = start(supervise, app, *preload)
    fails(supervised)
    supervised.signal(signal.SIGHUP).log.wait_for("[INFO] reloaded\n")
    fails(supervised)
    assert supervised.stop() == 0
    assert supervised.log.text.endswith("[INFO] stopped\n")


@BOTH
def test_configuration_of_the_server(supervise: Supervise, write: Write, tmp_path: Path, app: str) -> None:
    (tmp_path / "log.json").write_text(json.dumps(ROOT))
    write(APPLICATION.replace("CONFIGURATION", ""))
    supervised = supervise(f"served:{app}", "--log-config", "log.json", "--lifespan", "auto")
    fails(supervised)
    assert supervised.stop() == 0
    assert supervised.log.text.endswith("root|fastserve|INFO|stopping\nroot|fastserve|INFO|stopped\n")


@BOTH
@pytest.mark.parametrize("way", [(), ("--no-supervisor",)], ids=["supervised", "alone"])
def test_reason_of_a_start_that_fails(
    supervise: Supervise, write: Write, tmp_path: Path, app: str, way: tuple[str, ...]
) -> None:
    (tmp_path / "log.json").write_text(json.dumps(ROOT))
    write(APPLICATION.replace("CONFIGURATION", f"{DICTIONARY}\nraise OSError('no database')"))
    supervised = supervise(f"served:{app}", "--log-config", "log.json", *way, listens=False)
    assert supervised.wait() == 1
    assert "cannot import 'served': OSError: no database" in supervised.log.text


@BOTH
def test_configuration_that_names_the_logger_counts(supervise: Supervise, write: Write, app: str) -> None:
    named = '{"version": 1, "loggers": {"fastserve": {"level": "CRITICAL"}}}'
    write(APPLICATION.replace("CONFIGURATION", f"logging.config.dictConfig({named})"))
    supervised = start(supervise, app)
    with supervised.connect() as client:
        assert client.exchange(request("/", "Connection: close")).status == 500
    assert supervised.stop() == 0
    assert "RuntimeError" not in supervised.log.text
