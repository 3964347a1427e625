"""A fast and complete HTTP server for Python web applications."""

from typing import TYPE_CHECKING, Any

from fastserve.observe.loggers import adopt

if TYPE_CHECKING:
    from fastserve.config.config import Config
    from fastserve.embed import Server
    from fastserve.errors import StartError
    from fastserve.process import run

    __version__: str

__all__ = ["Config", "Server", "StartError", "__version__", "run"]

_HOMES = {
    "Config": "fastserve.config.config",
    "Server": "fastserve.embed",
    "StartError": "fastserve.errors",
    "run": "fastserve.process",
}

adopt()


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `fastserve --help` needs no event loop."""
    if name == "__version__":
        from fastserve.version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
