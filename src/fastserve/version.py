"""The installed version."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Returns the installed package's version; a checkout that is only on the path has none."""
    try:
        return installed("fastserve")
    except PackageNotFoundError:
        return "unknown"
