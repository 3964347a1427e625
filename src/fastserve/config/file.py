"""The configuration file: `fastserve.toml`, or the table `tool.fastserve` of a `pyproject.toml`; read and written."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fastserve.config import directory
from fastserve.config.option_types import Octal, Repeatable, Secret, Variables
from fastserve.config.options import OPTIONS, Option

OWN_NAME = "fastserve.toml"
PROJECT_NAME = "pyproject.toml"

_BY_NAME = {option.name: option for option in OPTIONS}


class ConfigFile:
    """The file of one server: found when first read, and from then on the same one.

    path: the file, or None for the one in the current directory, if there is any.
    """

    def __init__(self, path: str | None = None) -> None:
        self._directory = Path(directory.current())  # by its name; the server may leave it
        self._name = path

    @property
    def name(self) -> str:
        """The name as the user knows it; empty as long as no file was found."""
        return self._name or ""

    def read(self) -> dict[str, object]:
        """Returns the checked values by the names of options, and `app`. Empty when there is no file.

        Raises ValueError that names the file, and the line or the key.
        """
        if self._name is not None:
            return self._values(self._name)
        for name in (OWN_NAME, PROJECT_NAME):
            if (self._directory / name).is_file() and self._has_ours(name):
                self._name = name
                return self._values(name)
        return {}

    def _has_ours(self, name: str) -> bool:
        return name == OWN_NAME or _table(name, self._parsed(name)) is not None

    def _values(self, name: str) -> dict[str, object]:
        found = self._parsed(name)
        if Path(name).name == PROJECT_NAME:
            table = _table(name, found)
            if table is None:
                raise ValueError(f"{name}: there is no table [tool.fastserve]")
            found = table
        return _checked(name, found)

    def _parsed(self, name: str) -> dict[str, Any]:
        import tomllib  # not needed where there is no file

        try:
            return tomllib.loads((self._directory / name).read_text(encoding="utf-8"))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ValueError(f"cannot read the configuration {name}: {reason}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: not UTF-8 at byte {error.start}") from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{name}: not valid TOML: {error}") from None


def _table(name: str, project: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns our table of a project's file; None if it has no such table."""
    tools = project.get("tool", {})
    found = tools.get("fastserve") if isinstance(tools, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{name}: tool.fastserve is not a table")
    return found


def _checked(name: str, found: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in found.items():
        option = key.replace("-", "_")
        if option in values:
            raise ValueError(f"{name}: {key}: given twice, with a dash and with an underscore")
        try:
            values[option] = _value(option, value)
        except ValueError as error:
            raise ValueError(f"{name}: {key}: {error}") from None
    return values


def _value(name: str, value: object) -> object:
    if name == "app":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a string 'module:attribute'")
        return value
    option = _BY_NAME.get(name)
    if option is None:
        close = get_close_matches(name, [*_BY_NAME, "app"], n=1)
        raise ValueError("there is no such option" + (f"; did you mean {_key(close[0])}?" if close else ""))
    if isinstance(option.kind, Octal) and isinstance(value, int):
        # TOML's 22 would silently be 026, and whether it was written 0o22 can no longer be seen here.
        raise ValueError(f'{value} is a number; permission bits are written as text (such as "022")')
    return option.kind.convert(value)


def _key(name: str) -> str:
    return name.replace("_", "-")


def line(name: str, value: object, source: str) -> str:
    """Returns a line of such a file, with a comment that says where the value came from.

    name: an option's, or `app`. None, and a value that TOML cannot hold, become a comment as a whole.
    """
    option = _BY_NAME.get(name)
    if value is None:
        return f"# {_key(name)} is not set  # {source}"
    if option is not None and isinstance(option.kind, Secret):
        return f"# {_key(name)} is set, and not shown  # {source}"
    if option is not None and isinstance(option.kind, Variables) and value:
        assert isinstance(value, tuple)
        names = ", ".join(ascii(each)[1:-1] for each, _ in value)
        return f"# {_key(name)} is set, and not shown: {names}  # {source}"
    text = _toml(option, value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"# {_key(name)} is not UTF-8: {value!a}  # {source}"
    return f"{_key(name)} = {text}  # {source}"


def _toml(option: Option | None, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if option is None:
        return _quoted(str(value))
    if isinstance(value, tuple):
        texts = option.kind.texts(value) if isinstance(option.kind, Repeatable) else value
        return f"[{', '.join(map(_quoted, texts))}]"
    text = option.kind.show(value)
    if isinstance(value, int | float) and not isinstance(option.kind, Octal) and _is_number(text):
        return text
    return _quoted(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    # All escapes of JSON are valid in TOML too; only DEL has to be escaped in TOML and is not in JSON.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
