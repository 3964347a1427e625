"""The watch over source files: which count, and what is reported."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.host import source_watch
from kit.calls import reason
from kit.process import Output
from kit.waiting import PATIENCE


@pytest.mark.parametrize(
    ("name", "include", "exclude", "counts"),
    [
        ("app.py", (), (), True),
        ("package/deep/app.py", (), (), True),
        ("page.html", (), (), False),
        ("page.html", ("*.html",), (), True),
        ("app.py", ("*.html",), (), True),
        ("templates/page.html", ("templates/*.html",), (), True),
        ("other/page.html", ("templates/*.html",), (), False),
        (".hidden.py", (), (), False),
        (".env", (".env",), (), True),
        ("app.pyc", ("app.*",), (), True),
        (".venv/lib/x.py", (), (), False),
        ("venv/lib/python3/site-packages/x.py", (), (), False),
        ("__pycache__/x.py", (), (), False),
        (".git/x.html", ("*.html",), (), False),
        ("app.py", (), ("app.*",), False),
        ("app.py", ("app.py",), ("app.*",), False),
        ("data/x.py", (), ("data",), False),
        ("a/data/x.py", (), ("a/data",), False),
        ("b/data/x.py", (), ("a/data",), True),
        ("app.py", (), ("*.py",), False),
    ],
)
def test_which_files_count(name: str, include: tuple[str, ...], exclude: tuple[str, ...], counts: bool) -> None:
    roots = [Path("/.hidden/project"), Path("/elsewhere")]
    assert source_watch.source_filter(roots, include, exclude)(f"/.hidden/project/{name}") is counts


def test_of_many_names_some_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_watch.line([str(tmp_path / "b.py"), str(tmp_path / "a\n.py")]) == "a?.py, b.py\n"
    assert source_watch.line(f"{index:02}.py" for index in range(10)) == (
        "00.py, 01.py, 02.py, 03.py, 04.py, 05.py, 06.py, 07.py and 2 more\n"
    )


WATCH = """
import signal, sys
from fastserve.host import source_watch
from fastserve.config.config import Config
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
source_watch.run(Config("a:b", reload_dir=(sys.argv[1],)), 1)
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts a watch over tmp_path whose reports are its standard output; ended by the test or here."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", WATCH, str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def change_until_reported(path: Path, output: Output) -> None:
    """The watch says nothing when it begins: the file is changed until a change is reported."""
    for attempt in range(100):
        path.write_text(f"x = {attempt}\n")
        try:
            output.wait_for("\n", timeout=0.2)
        except AssertionError:
            continue
        return
    pytest.fail("no change was ever reported")


def test_a_change_is_reported_and_sigterm_ends_the_watch(watched: Callable[[], Any], tmp_path: Path) -> None:
    process = watched()
    output = Output(process.stdout)
    (tmp_path / "notes.txt").write_text("not source")
    change_until_reported(tmp_path / "app.py", output)
    assert set(output.text.splitlines()) == {"app.py"}
    process.send_signal(signal.SIGINT)  # Ctrl-C is the supervisor's business
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_watch_ends_when_nobody_listens(watched: Callable[[], Any], tmp_path: Path) -> None:
    process = watched()
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == b""


def test_why_a_watch_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    assert reason(lambda: source_watch.check(Config("a:b", reload_dir=(str(missing),)))) == (
        f"--reload-dir {missing}: there is no such directory"
    )
    source_watch.check(Config("a:b", app_dir=str(tmp_path)))
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    needed = "--reload needs watchfiles: pip install 'fastserve[reload]'"
    assert reason(lambda: source_watch.check(Config("a:b"))) == needed
