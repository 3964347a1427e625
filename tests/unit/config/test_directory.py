"""The working directory by the name that was given, which may stand for another one later."""

import os
from pathlib import Path

from kit.calls import python

SEEN = """
import os, sys
from pathlib import Path
from fastserve.config import directory
print(directory.START)
for each in sys.argv[1:]:
    try:
        directory.enter(each)
    except OSError as error:
        print(type(error).__name__)
print(directory.name(), os.getcwd())
link = Path(directory.name())
if link.is_symlink() and (link.parent / "second").exists():
    link.unlink()
    link.symlink_to(link.parent / "second")
    print(directory.again(), os.getcwd(), directory.again())
"""


def seen(place: Path, pwd: str, *arguments: str) -> list[str]:
    """What a process says that was started there, with this PWD."""
    done = python(f"import os; os.chdir({str(place)!r})\n{SEEN}", *arguments, PWD=pwd)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_name_is_that_of_the_shell_where_it_is_the_same_directory(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "current").symlink_to("first")
    assert seen(tmp_path / "first", str(tmp_path / "current"))[0] == str(tmp_path / "current")
    for pwd in ("/", "", "current", str(tmp_path / "none")):
        assert seen(tmp_path / "first", pwd)[0] == str(tmp_path / "first"), pwd


def test_a_directory_is_entered_as_seen_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    start = str(tmp_path)
    assert seen(tmp_path, start, "a", "a/b") == [start, f"{start}/a/b", f"{start}/a/b"]
    assert seen(tmp_path, start, "none") == [start, "FileNotFoundError", start, start], "and else it stays"


def test_a_name_that_stands_for_another_directory(tmp_path: Path) -> None:
    """As it does once a deployment has pointed its link at the next release."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "first")
    *_, another, where, once_more = seen(tmp_path, str(tmp_path), "current")
    assert (another, where, once_more) == ("True", str(tmp_path / "second"), "False")
    assert os.path.realpath(tmp_path / "current") == str(tmp_path / "second")
