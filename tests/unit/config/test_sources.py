"""What was given in several places, and what of it counts."""

from pathlib import Path

import pytest

from fastserve.config.file import ConfigFile
from fastserve.config.sources import Origin, Setting, Settings

LINE, VARIABLE, SHARED = Origin.COMMAND_LINE, Origin.ENVIRONMENT, Origin.SHARED_VARIABLE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text('app = "a:b"\nport = 1\nthreads = 2\n')
    return path


def settings(file: Path, **given: tuple[object, Origin]) -> Settings:
    found = {name: Setting(value, origin, name.upper()) for name, (value, origin) in given.items()}
    return Settings(found, ConfigFile(str(file)))


def test_what_was_given_counts_more_than_the_file(file: Path) -> None:
    config = settings(file, threads=(5, LINE)).load()
    assert (config.app, config.port, config.threads) == ("a:b", 1, 5)


def test_the_file_is_read_each_time(file: Path) -> None:
    found = settings(file)
    assert found.load().port == 1
    file.write_text('app = "a:b"\nport = 2\n')
    assert found.load().port == 2


def test_an_address_stands_instead_of_one_that_counts_less(file: Path) -> None:
    config = settings(file, uds=("/run/a", VARIABLE)).load()
    assert (config.uds, config.port) == ("/run/a", 8000), (
        "the file's port would be no contradiction but another address"
    )
    assert settings(file, port=(9, SHARED)).load().port == 9, "by name it is the same option"
    config = settings(file, port=(9, SHARED), bind=((":7",), VARIABLE)).load()
    assert (config.bind, config.port) == ((":7",), 8000)


def test_how_many_workers_there_may_be_is_no_contradiction(file: Path) -> None:
    assert settings(file, workers=(4, SHARED), supervisor=(False, LINE)).load().workers == 1
    with pytest.raises(ValueError, match="workers"):
        settings(file, workers=(4, LINE), supervisor=(False, LINE)).load()


def test_an_application_has_to_be_somewhere(file: Path) -> None:
    file.write_text("port = 1\n")
    with pytest.raises(ValueError, match="the application is missing"):
        settings(file).load()


def test_every_option_is_shown_with_its_source(file: Path) -> None:
    lines = settings(file, threads=(5, VARIABLE)).lines()
    assert lines[0] == f'app = "a:b"  # file {file}'
    assert "threads = 5  # environment THREADS" in lines
    assert f"port = 1  # file {file}" in lines
    assert 'host = "127.0.0.1"  # default' in lines
