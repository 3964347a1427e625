"""The examples of deployment: each is valid for the program that reads it, and agrees with our options."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.config import Config
from fastserve.config.file import ConfigFile
from fastserve.config.options import OPTIONS
from kit.waiting import PATIENCE

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "deploy"
FORCE = 10
"""Seconds for what is ended by force, after the graceful time."""

FLAGS = {option.flag: option for option in OPTIONS}
OTHERS = {"config", "print-config", "check", "version", "help"} | {
    "kill-whom",
    "signal",
    "now",
}  # those are systemctl's


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def sample() -> Config:
    return Config(**ConfigFile(str(FOLDER / "fastserve.toml")).read())  # type: ignore[arg-type]


def manifest(kind: str) -> Any:
    yaml = pytest.importorskip("yaml")
    [found] = [each for each in yaml.safe_load_all(text("kubernetes.yaml")) if each["kind"] == kind]
    return found


def unit(name: str, key: str) -> str:
    [value] = re.findall(rf"^{key}=(.*)$", text(name), re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_flag_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", path.read_text(encoding="utf-8")))
    assert named - set(FLAGS) - OTHERS == set()


def test_every_file_is_explained_and_nothing_else() -> None:
    linked = set(re.findall(r"\]\(([\w.-]+)\)", text("README.md")))
    assert linked == {path.name for path in FOLDER.iterdir()} - {"README.md"}


def test_the_sample_is_a_good_configuration() -> None:
    assert sample().app == "shop.asgi:app"


def test_a_pod_has_the_time_that_its_stop_takes() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    given = dict(each.removeprefix("--").split("=", 1) for each in container["args"] if each.startswith("--"))
    values = {FLAGS[flag].name: FLAGS[flag].kind.convert(value) for flag, value in given.items()}
    config = Config(container["args"][0], **values)
    needed = config.drain_delay + config.timeout_graceful_shutdown + FORCE
    assert pod["terminationGracePeriodSeconds"] >= needed
    ready, startup = container["readinessProbe"], container["startupProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < config.drain_delay
    assert startup["periodSeconds"] * startup["failureThreshold"] > config.timeout_startup
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert config.bind == (f"0.0.0.0:{ports['http']}",)
    assert config.admin == f"0.0.0.0:{ports['admin']}"
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {each["port"] for each in probes.values()} == {"admin"}
    assert [each["path"] for each in probes.values()] == ["/readyz", "/readyz", "/livez"]


def test_the_service_leads_to_the_pods() -> None:
    service, deployment = manifest("Service")["spec"], manifest("Deployment")["spec"]
    assert service["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
    assert [port["targetPort"] for port in service["ports"]] == ["http"]


def test_systemd_waits_for_the_start_and_the_stop() -> None:
    config = sample()
    assert int(unit("fastserve.service", "TimeoutStartSec")) > config.timeout_startup
    needed = config.drain_delay + config.timeout_graceful_shutdown + FORCE
    assert int(unit("fastserve.service", "TimeoutStopSec")) >= needed
    assert config.bind == ()  # else the sockets would not be taken
    assert unit("fastserve.service", "Requires") == "fastserve.socket"


def test_the_proxies_take_less_time_than_we_give() -> None:
    config = sample()
    assert float(re.findall(r"keepalive_timeout (\d+)s", text("nginx.conf"))[0]) < config.timeout_keep_alive
    assert float(re.findall(r"proxy_read_timeout (\d+)s", text("nginx.conf"))[0]) > config.timeout_request
    client, server = re.findall(r"timeout (?:client|server) (\d+)s", text("haproxy-tcp.cfg"))
    assert min(float(client), float(server)) > max(config.timeout_keep_alive, config.timeout_request_body)
    assert float(re.findall(r"timeout server (\d+)s", text("haproxy.cfg"))[0]) > config.timeout_request


@pytest.mark.parametrize("name", ["haproxy.cfg", "haproxy-tcp.cfg"])
def test_haproxy_notices_a_stop_in_time(name: str) -> None:
    interval, fall = re.findall(r"inter (\d+)s fall (\d+)", text(name))[0]
    assert int(interval) * int(fall) < sample().drain_delay


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The files with what a check needs here: a program that exists, and no port that somebody else might have."""
    for name in ("fastserve.service", "fastserve.socket", "haproxy.cfg", "haproxy-tcp.cfg"):
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text(name), flags=re.MULTILINE))
    assert "listen 8080;" in text("nginx.conf")  # which nginx binds even when it only tests
    (tmp_path / "nginx.conf").write_text(text("nginx.conf").replace("listen 8080;", f"listen unix:{tmp_path}/web;"))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("systemd-analyze", "verify", "{0}/fastserve.service", "{0}/fastserve.socket"),
        ("haproxy", "-c", "-f", "{0}/haproxy.cfg"),
        ("haproxy", "-c", "-f", "{0}/haproxy-tcp.cfg"),
        ("nginx", "-t", "-p", "{0}", "-c", "{0}/nginx.conf"),
    ],
    ids=lambda command: f"{command[0]} {command[-1].rpartition('/')[2]}",
)
def test_the_program_that_reads_it_finds_it_valid(copies: Path, command: tuple[str, ...]) -> None:
    program = shutil.which(
        command[0], path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"
    )  # not on everybody's
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    words = [program, *(word.format(copies) for word in command[1:])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if command[0] == "systemd-analyze":
        assert done.stderr == ""  # what it complains about need not be an error to it
