"""A deployment points a symbolic link at another release: it is taken anew, by the name that was given."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from kit.certificates import shared
from kit.waiting import until
from supervised.conftest import Supervise
from supervised.supervised import Supervised

APPLICATION = """
import json, os, part

def facts():
    return json.dumps([part.RELEASE, os.getcwd(), os.environ.get("RELEASE"), os.getpid()]).encode()

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": facts()})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [facts()]
"""
HOOKS = """
import part
from pathlib import Path

def on_reload(info):
    Path(__file__).with_name("noted").write_text(part.RELEASE)
"""
BOTH = pytest.mark.parametrize("app", ["served:app", "served:wsgi"])
WAYS = pytest.mark.parametrize("way", ["started in it", "--chdir", "relative --chdir"])


@pytest.fixture(autouse=True)
def releases(tmp_path: Path) -> None:
    for number in "12":
        release = tmp_path / "releases" / number
        release.mkdir(parents=True)
        (release / "served.py").write_text(APPLICATION)
        (release / "part.py").write_text(f"RELEASE = '{number}'")
        (release / "noting.py").write_text(HOOKS)
        (release / "settings").write_text(f"RELEASE={number}\n")
    switch(tmp_path, "1")


def switch(directory: Path, number: str) -> None:
    """As deployments do it: at once."""
    (directory / "new").symlink_to(f"releases/{number}")
    (directory / "new").rename(directory / "current")


IN_CURRENT = ("sh", "-c", 'cd current && exec "$0" "$@"')


def start(supervise: Supervise, tmp_path: Path, way: str, app: str, *options: str) -> Supervised:
    wrapper = IN_CURRENT if way == "started in it" else ()
    chdir = {"--chdir": str(tmp_path / "current"), "relative --chdir": "current"}.get(way)
    where = ("--chdir", chdir) if chdir is not None else ()
    return supervise(app, "--lifespan", "auto", *where, *options, wrapper=wrapper)


def facts(server: Supervised) -> list[Any]:
    found: list[Any] = json.loads(server.get())
    return found


def hup(server: Supervised, says: str = "] reloaded\n") -> str:
    begin = len(server.log.text)
    return server.signal(signal.SIGHUP).log.wait_for(says, start=begin)


@BOTH
@WAYS
def test_reload(supervise: Supervise, tmp_path: Path, app: str, way: str) -> None:
    server = start(supervise, tmp_path, way, app, "--env-file", "settings", "--hooks", "noting")
    assert facts(server)[:3] == ["1", str(tmp_path / "releases" / "1"), "1"]
    switch(tmp_path, "2")
    hup(server)
    server.wait_for_workers(1)
    assert facts(server)[:3] == ["2", str(tmp_path / "releases" / "2"), "2"]
    assert (tmp_path / "releases" / "2" / "noted").read_text() == "2"
    shutil.rmtree(tmp_path / "releases" / "1")
    hup(server)
    assert facts(server)[0] == "2"
    assert server.stop() == 0


@BOTH
@WAYS
def test_worker_that_follows_another(supervise: Supervise, tmp_path: Path, app: str, way: str) -> None:
    """Recycling, and a crash."""
    server = start(supervise, tmp_path, way, app, "--max-requests", "3", "--hooks", "noting")
    assert facts(server)[0] == "1"
    switch(tmp_path, "2")
    for _ in range(3):
        server.get()
    assert until(lambda: facts(server)[0] == "2")
    switch(tmp_path, "1")
    os.kill(facts(server)[3], signal.SIGKILL)
    assert until(lambda: facts(server)[0] == "1")


@BOTH
@WAYS
def test_upgrade(supervise: Supervise, tmp_path: Path, app: str, way: str) -> None:
    server = start(supervise, tmp_path, way, app)
    assert facts(server)[0] == "1"
    switch(tmp_path, "2")
    server.signal(signal.SIGUSR2).log.wait_for("serving beside supervisor")
    server.signal(signal.SIGQUIT).process.wait()
    assert until(lambda: facts(server)[0] == "2")


@BOTH
@WAYS
def test_path_that_is_gone(supervise: Supervise, tmp_path: Path, app: str, way: str) -> None:
    server = start(supervise, tmp_path, way, app)
    before = facts(server)
    (tmp_path / "current").unlink()
    hup(server, "not reloaded, the workers go on as they are: the working directory ")
    assert f"{tmp_path}/current: no such file or directory\n" in server.log.text
    assert facts(server) == before
    switch(tmp_path, "2")
    hup(server)
    server.wait_for_workers(1)
    assert facts(server)[0] == "2"


@BOTH
def test_release_without_the_application(supervise: Supervise, tmp_path: Path, app: str) -> None:
    """It is not looked for in the one before."""
    server = start(supervise, tmp_path, "started in it", app)
    before = facts(server)
    (tmp_path / "releases" / "2" / "served.py").unlink()
    switch(tmp_path, "2")
    hup(server, "the reload failed, the workers go on as they are: there is no module 'served'")
    assert facts(server) == before


@pytest.mark.parametrize("name", ["fastserve.toml", "relative --config"])
def test_configuration_file(supervise: Supervise, tmp_path: Path, name: str) -> None:
    file = "fastserve.toml" if name == "fastserve.toml" else "server.toml"
    for number in "12":
        text = f"app = 'served:wsgi'\nbind = ['unix:{tmp_path}/server']\nenv = ['RELEASE=file {number}']\n"
        (tmp_path / "releases" / number / file).write_text(text)
    config = () if name == "fastserve.toml" else ("--config", file)
    server = supervise(*config, "--uds", str(tmp_path / "server"), wrapper=IN_CURRENT)
    assert facts(server)[2] == "file 1"
    switch(tmp_path, "2")
    hup(server)
    server.wait_for_workers(1)
    assert facts(server)[2] == "file 2"


@pytest.mark.plain
def test_certificates(supervise: Supervise, tmp_path: Path) -> None:
    expected = {}
    for number in "12":
        release = tmp_path / "releases" / number
        for file, name in zip(shared().certificate("localhost"), ("cert.pem", "key.pem"), strict=True):
            shutil.copy(file, release / name)
        expected[number] = ssl.PEM_cert_to_DER_cert((release / "cert.pem").read_text().partition("-----END")[0] + END)
    options = ("--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem")
    server = supervise("served:wsgi", *options, "--port", "0", wrapper=IN_CURRENT, listens=False)
    found = re.search(r"listening on https://127.0.0.1:(\d+)\n", server.log.wait_for("listening on https://127.0.0.1:"))
    assert found is not None
    port = int(found[1])
    assert certificate_of(port) == expected["1"]
    switch(tmp_path, "2")
    hup(server)
    server.wait_for_workers(1)
    assert certificate_of(port) == expected["2"]
    assert server.stop() == 0


END = "-----END CERTIFICATE-----"


def certificate_of(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True) or b""
