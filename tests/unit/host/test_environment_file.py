"""The file of --env-file."""

from pathlib import Path

import pytest

from fastserve.host import environment_file
from kit.calls import reason


def test_an_environment_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# the database\n"
        "HOST=db.example\n"
        "\n"
        "export PORT = 5432  # a comment\n"
        'URL="pg://${HOST}:5432/a b"\n'
        "PLAIN='a $1 # b'\n"
        'KEY="one\n'
        'two"\n'
        "EMPTY=\n"
    )
    assert environment_file.read(str(path)) == {
        "HOST": "db.example",
        "PORT": "5432",
        "URL": "pg://db.example:5432/a b",
        "PLAIN": "a $1 # b",
        "KEY": "one\ntwo",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n\n\n=2\nB=3\n", "line 4: it is not of the form NAME=VALUE"),
        ("A='1\nB=2\n", "line 1: it is not of the form NAME=VALUE"),
        ("A=1\nDEBUG\n", "line 2: DEBUG has no value; write DEBUG= for an empty one"),
        ("A=1\nB=2\0\n", "line 2: a NUL"),
    ],
)
def test_a_bad_line_of_an_environment_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    assert reason(lambda: environment_file.read(str(path)), ValueError) == f"{path}, {expected}"


def test_an_environment_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert reason(lambda: environment_file.read(str(path)), ValueError) == (
        f"cannot read {path}: no such file or directory"
    )
    path.write_bytes(b"A=\xff\n")
    assert reason(lambda: environment_file.read(str(path)), ValueError) == f"{path}: not UTF-8 at byte 2"
