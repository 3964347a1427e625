"""The peers' environment: one that cannot be installed leaves the others alone and is reported."""

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.field.peers import REQUIREMENTS, build_peers, missing, up_to_date
from bench.measure.cputime import tree
from bench.measure.rounds import run_rounds, summarize
from bench.measure.sample import Settings, check_server, server_command
from bench.plan import HERE, Answer, Scenario, Server, load_plan
from bench.process import SEARCH, cores, free_port, started

BJOERN = Server("bjoern", ("false",), packages=("bjoern",), peer=True, needs="libev's headers")
PLAN = load_plan()
OWN = Server("fastserve", ("false",), packages=("fastserve",))


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Two files: one whose package is nowhere, which comes first, and one whose wheel lies beside it."""
    folder = tmp_path / "peers"
    folder.mkdir()
    with zipfile.ZipFile(folder / "whole-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("whole-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: whole\nVersion: 1\n")
        wheel.writestr("whole-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("whole-1.dist-info/RECORD", "")
    for name in ("nowhere", "whole"):
        (folder / f"{name}.txt").write_text(f"--no-index\n--find-links {folder}\n{name}==1\n")
    return folder


@pytest.mark.slow
def test_what_cannot_be_installed_leaves_the_others_alone(requirements: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert not up_to_date(requirements, venv)
    (complaint,) = build_peers(sys.executable, requirements, venv)
    assert complaint.startswith("nowhere.txt could not be installed")
    assert "nowhere==1" in complaint
    ask = "from importlib import metadata; print(metadata.version('whole'))"
    assert subprocess.check_output([venv / "bin" / "python", "-c", ask], text=True) == "1\n"
    assert up_to_date(requirements, venv)
    (requirements / "whole.txt").write_text("another==2\n")
    assert not up_to_date(requirements, venv)


def test_a_missing_peer_is_named_with_what_it_needs() -> None:
    versions = {"bjoern": {"python": "3.11", "bjoern": None}, "fastserve": {"python": "3.11", "fastserve": None}}
    found = missing([BJOERN, OWN], versions)
    assert list(found) == ["bjoern"]
    assert "bjoern is not installed; it needs libev's headers" in found["bjoern"]
    assert missing([BJOERN], {"bjoern": {"bjoern": "3.2.2"}}) == {}


def test_an_environment_that_is_not_there_misses_everything() -> None:
    assert "bjoern" in missing([BJOERN], {"bjoern": {"python": "no such file"}})


def test_a_program_that_is_not_there_is_named_with_what_brings_it() -> None:
    nginx = Server(
        "nginx", ("false",), peer=True, program="no-such-program", needs="nginx (apt-get install nginx-light)"
    )
    assert missing([nginx], {}) == {
        "nginx": "missing: no-such-program is not on the PATH; install nginx (apt-get install nginx-light)"
    }
    assert missing([replace(nginx, program="sh")], {}) == {}


@pytest.mark.parametrize(("user", "absent"), [(0, True), (1000, False)])
def test_one_that_refuses_root_is_absent_for_root(user: int, absent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = missing([Server("apache", ("false",), peer=True, as_root=False)], {})
    assert found == ({"apache": "missing: it refuses to be run by root; be another user"} if absent else {})


def test_every_package_of_a_peer_is_pinned() -> None:
    lines = [line for path in REQUIREMENTS.glob("*.txt") for line in path.read_text().splitlines()]
    pinned = {line.partition("==")[0] for line in lines if "==" in line and not line.startswith("#")}
    assert {package for server in PLAN.servers.values() if server.peer for package in server.packages} <= pinned


def test_nginx_is_configured_to_return_the_answer_of_a_scenario() -> None:
    make = runpy.run_path(str(REQUIREMENTS / "nginx.py"))["configuration"]
    answer = Answer(headers={"content-type": "text/plain", "content-length": "4", "etag": '"1"'}, text="it's")
    text = make(8000, answer.on_the_wire(), Path("/scratch"))
    assert "listen 127.0.0.1:8000;" in text
    assert "default_type text/plain;" in text
    assert """add_header etag '"1"';""" in text
    assert "add_header content-length" not in text
    assert r"return 200 'it\'s';" in text
    assert text.count("/scratch/") == 6
    with pytest.raises(ValueError, match="dollar"):
        make(8000, replace(answer, text="$host").on_the_wire(), Path("/scratch"))


@pytest.mark.skipif(shutil.which("nginx", path=SEARCH) is None, reason="nginx is not installed")
def test_nginx_gives_the_answer_of_each_scenario_that_it_takes_part_in(tmp_path: Path) -> None:
    nginx = PLAN.servers["nginx"]
    for name in nginx.scenarios:
        port = free_port()
        command = server_command(PLAN.scenarios[name], nginx, Settings(), port, tmp_path)
        with started(command, port, cores()[0], tmp_path / "log", HERE.parent):
            check_server(PLAN.scenarios[name], port)


def test_who_is_behind_a_proxy_that_is_not_there_is_named() -> None:
    behind = replace(OWN, program="no-such-program", needs="nginx")
    assert missing([behind], {"fastserve": {"fastserve": "1"}}) == {
        "fastserve": "missing: no-such-program is not on the PATH; install nginx"
    }


def test_nginx_is_configured_as_a_proxy_with_and_without_tls() -> None:
    make = runpy.run_path(str(REQUIREMENTS / "behind_nginx.py"))["configuration"]
    plain = make(8000, Path("/scratch"))
    assert "listen 127.0.0.1:8000;" in plain
    assert "server unix:/scratch/server.sock;" in plain
    assert "ssl" not in plain
    over_tls = make(8000, Path("/scratch"), ["--tls", "a.pem", "b.pem", "--http2"])
    assert "listen 127.0.0.1:8000 ssl http2;" in over_tls
    assert "ssl_certificate a.pem;" in over_tls


@pytest.mark.skipif(shutil.which("nginx", path=SEARCH) is None, reason="nginx is not installed")
def test_a_server_behind_nginx_is_told_who_asks_and_ends_with_it(
    tmp_path: Path, children: Callable[[], list[int]]
) -> None:
    before = children()
    server = replace(PLAN.servers["fastserve-nginx"], answers={"forwarded": "http 203.0.113.7"})
    scenario = replace(PLAN.scenarios["proxied"], headers={"X-Forwarded-For": "203.0.113.7"})  # nginx adds its client
    port = free_port()
    command = server_command(scenario, server, Settings(), port, tmp_path)
    with started(command, port, cores()[0], tmp_path / "log", HERE.parent) as running:
        check_server(scenario.under(server), port)
        assert len(processes := tree(running.pid)) >= 4  # the starter, nginx, a supervisor and a worker
    assert children() == before
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


@pytest.mark.skipif(shutil.which("nginx", path=SEARCH) is None, reason="nginx is not installed")
def test_a_server_that_does_not_listen_has_no_nginx_in_front(tmp_path: Path) -> None:
    command = [sys.executable, str(REQUIREMENTS / "behind_nginx.py"), str(free_port()), str(tmp_path), "--", "false"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not listen" in done.stderr


def test_a_missing_peer_is_a_row_with_an_error(scenario: Scenario, settings: Settings) -> None:
    samples = run_rounds([(scenario, [BJOERN])], settings, 2, lambda _: None, {"bjoern": "missing: bjoern"})
    (row,) = summarize(samples)
    assert row.errors == ["missing: bjoern", "missing: bjoern"]
    assert row.cpu_us == 0


def test_an_interpreter_that_is_not_there_is_an_error_of_its_row(scenario: Scenario, settings: Settings) -> None:
    server = Server("bjoern", ("{peer_python}",))
    nowhere = Settings(settings.seconds, settings.warm, peer_python="/nonexistent/python")
    (row,) = summarize(run_rounds([(scenario, [server])], nowhere, 1, lambda _: None))
    assert "cannot be started" in row.errors[0]
