"""The installed version."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Of the installed package; a checkout that is only on the path has none."""
    try:
        return installed("fastserve")
    except PackageNotFoundError:
        return "unknown"
