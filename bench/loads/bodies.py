"""Files that load programs read: a request's body, and the addresses that are asked for in turn."""

from pathlib import Path

from bench.loads.floor import BUILD
from bench.plan import Scenario
from bench.process import HOST


def body_file(scenario: Scenario) -> Path:
    """The request's body; it stays for the next run."""
    return _kept(f"body-{scenario.name}", scenario.payload)


def paths_file(scenario: Scenario, port: int) -> Path:
    """An address a line."""
    origin = f"{'https' if scenario.tls else 'http'}://{HOST}:{port}"
    return _kept(f"paths-{scenario.name}", "".join(f"{origin}{path}\n" for path in scenario.paths).encode())


def _kept(name: str, content: bytes) -> Path:
    path = BUILD / name
    if not path.exists() or path.read_bytes() != content:
        BUILD.mkdir(exist_ok=True)
        path.write_bytes(content)
    return path
