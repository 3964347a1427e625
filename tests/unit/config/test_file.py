"""The configuration file, read and written: which one counts, and what of it cannot be."""

from pathlib import Path

import pytest

from fastserve.config.file import ConfigFile, line


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    return tmp_path


def test_without_a_file_there_is_nothing() -> None:
    file = ConfigFile()
    assert (file.read(), file.name) == ({}, "")


def test_the_own_file_counts_more_than_the_projects(directory: Path) -> None:
    (directory / "pyproject.toml").write_text("[tool.fastserve]\nport = 1\n")
    first = ConfigFile()
    assert first.read() == {"port": 1}
    (directory / "fastserve.toml").write_text('app = "a:b"\ntimeout-write = 2\n')
    assert first.read() == {"port": 1}, "the one that was found stays the one"
    assert ConfigFile().read() == {"app": "a:b", "timeout_write": 2.0}


def test_a_file_is_found_though_the_server_has_left_its_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ConfigFile("server.toml")
    (directory / "server.toml").write_text("port = 7\n")
    monkeypatch.chdir("/")
    assert (file.read(), file.name) == ({"port": 7}, "server.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prot = 1", "there is no such option; did you mean port"),
        ("port = 'x'", "server.toml: port: "),
        ("port = ", "not valid TOML"),
        ("umask = 22", "permission bits are written as text"),
        ("app = 1", "is not a string 'module:attribute'"),
        ("timeout-write = 1\ntimeout_write = 1", "given twice"),
    ],
)
def test_what_is_wrong_is_named(directory: Path, text: str, reason: str) -> None:
    (directory / "server.toml").write_text(text)
    with pytest.raises(ValueError, match=reason):
        ConfigFile("server.toml").read()


def test_a_line_says_where_its_value_came_from() -> None:
    assert line("port", 80, "command line") == "port = 80  # command line"
    assert line("uds", None, "default") == "# uds is not set  # default"
    assert line("ssl_keyfile_password", "hush", "environment X") == (
        "# ssl-keyfile-password is set, and not shown  # environment X"
    )
    assert line("app", 'a:"b"', "file x") == 'app = "a:\\"b\\""  # file x'
