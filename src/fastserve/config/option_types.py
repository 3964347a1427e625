"""The kinds of option values: each converts text or a Python value, checks it, and shows it again.

`convert` raises ValueError with a reason that reads on after the option's name.
"""

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from fastserve.config.address import InheritedAddress, parse_address

UNIX_PEER = "unix"
"""In a list of trusted peers: every client of a Unix socket."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
# RFC 9110 section 5.6.2 (token) and section 5.5 (field-value)
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_OCTAL = re.compile(r"(?:0o)?[0-7]{1,4}", re.IGNORECASE)
_CPUS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


class Kind(Protocol):
    """A kind of value."""

    @property
    def metavar(self) -> str:
        """The placeholder for the value in the help; empty for a switch."""

    def convert(self, value: object) -> object:
        """Returns the checked value. Raises ValueError with the reason."""

    def show(self, value: object) -> str:
        """Returns the value as it would be written on the command line."""


@dataclass(frozen=True, slots=True)
class Text:
    metavar: str = "TEXT"

    def convert(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a string")
        if "\0" in value:
            raise ValueError(f"{value!r} contains a NUL")
        return value

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Secret(Text):
    """A text that is never shown, neither in the printed configuration nor in a message."""

    metavar: str = "TEXT"

    def convert(self, value: object) -> str:
        try:
            return Text.convert(self, value)
        except ValueError:
            raise ValueError("it is not a string without NUL") from None

    def show(self, value: object) -> str:
        return "***" if value else ""


@dataclass(frozen=True, slots=True)
class MountPath:
    """The prefix under which a proxy mounts the application: empty, or `/` and a name."""

    metavar: str = "PATH"

    def convert(self, value: object) -> str:
        text = Text().convert(value)
        if text and not text.startswith("/"):
            raise ValueError(f"{text!r} does not begin with '/'")
        return text.rstrip("/")

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int
    maximum: int
    metavar: str = "NUMBER"

    def convert(self, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip(), re.ASCII):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{value!r} is not a whole number")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not between {self.minimum} and {self.maximum}")
        return value

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, or with a suffix K, M or G (powers of 1024)."""

    minimum: int
    maximum: int
    metavar: str = "SIZE"
    or_zero: bool = False
    """0 is a value too, though it is less than the minimum."""

    def convert(self, value: object) -> int:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is None:
                raise ValueError(f"{value!r} is not a size (such as 8192, 8K, 10M or 1G)")
            value = int(match[1]) * _UNITS[match[2].lower()]
        size = Integer(0 if self.or_zero else self.minimum, self.maximum).convert(value)
        if 0 < size < self.minimum:
            raise ValueError(f"{size} is neither 0 nor at least {self.show(self.minimum)}")
        return size

    def show(self, value: object) -> str:
        assert isinstance(value, int)
        for suffix in ("g", "m", "k"):
            if value and value % _UNITS[suffix] == 0:
                return f"{value // _UNITS[suffix]}{suffix.upper()}"
        return str(value)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds, with fractions; kept as float."""

    minimum: float = 0.001
    maximum: float = 86400.0
    metavar: str = "SECONDS"

    def convert(self, value: object) -> float:
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise ValueError(f"{value!r} is not a number of seconds") from None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{value!r} is not a number of seconds")
        if not self.minimum <= value <= self.maximum:  # also refuses NaN
            raise ValueError(f"{value:g} is not between {self.minimum:.15g} and {self.maximum:.15g} seconds")
        return float(value)

    def show(self, value: object) -> str:
        assert isinstance(value, float)
        return f"{value:.15g}"


@dataclass(frozen=True, slots=True)
class Switch:
    metavar: str = ""

    def convert(self, value: object) -> bool:
        if isinstance(value, str):
            value = _SWITCH.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is neither true nor false")
        return value

    def show(self, value: object) -> str:
        return "on" if value else "off"


@dataclass(frozen=True, slots=True)
class Choice:
    names: tuple[str, ...]

    @property
    def metavar(self) -> str:
        return "|".join(self.names)

    def convert(self, value: object) -> str:
        if not isinstance(value, str) or value.lower() not in self.names:
            raise ValueError(f"{value!r} is not one of {', '.join(self.names)}")
        return value.lower()

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes; 0 stands for `auto`, as many as there are CPUs."""

    maximum: int = 512
    metavar: str = "NUMBER|auto"

    def convert(self, value: object) -> int:
        if isinstance(value, int) and value == 0 and value is not False:
            return 0  # the value that stands for auto
        if isinstance(value, str) and value.strip().lower() == "auto":
            return 0
        try:
            return Integer(1, self.maximum).convert(value)
        except ValueError as error:
            raise ValueError(f"{error}, nor auto") from None

    def show(self, value: object) -> str:
        return str(value) if value else "auto"


@dataclass(frozen=True, slots=True)
class Octal:
    """Permission bits; a text is octal, as for chmod."""

    metavar: str = "MODE"

    def convert(self, value: object) -> int:
        if isinstance(value, str):
            if _OCTAL.fullmatch(value.strip()) is None:
                raise ValueError(f"{value!r} is not an octal number (such as 660)")
            value = int(value, 8)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{value!r} is not an octal number (such as 660)")
        if not 0 <= value <= 0o777:
            raise ValueError(f"{value:o} is not between 0 and 777 (octal)")
        return value

    def show(self, value: object) -> str:
        assert isinstance(value, int)
        return f"{value:03o}"


@dataclass(frozen=True, slots=True)
class Owner:
    """`USER:GROUP`, `USER` or `:GROUP`, names or numbers."""

    metavar: str = "USER:GROUP"

    def convert(self, value: object) -> str:
        text = Text().convert(value).strip()
        user, colon, group = text.partition(":")
        if not (user or group) or ":" in group or (user and colon and not group):
            raise ValueError(f"{text!r} is not of the form USER:GROUP, USER or :GROUP")
        return text

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class CPUs:
    """CPU numbers and ranges, `auto`, or empty; kept as text, in order and each CPU once."""

    metavar: str = "auto|LIST"

    def convert(self, value: object) -> str:
        text = Text().convert(value).strip().lower()
        if text in ("", "auto"):
            return text
        numbers = sorted({number for part in text.split(",") for number in _cpu_range(part.strip())})
        spans: list[list[int]] = []
        for number in numbers:
            if spans and number == spans[-1][1] + 1:
                spans[-1][1] = number
            else:
                spans.append([number, number])
        return ",".join(f"{first}-{last}" if first != last else f"{first}" for first, last in spans)

    def show(self, value: object) -> str:
        return str(value)


def _cpu_range(text: str) -> range:
    match = _CPUS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a CPU or a range of them (such as 0,2-5)")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise ValueError(f"{text!r} is a range that ends before it begins")
    return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class OneAddress:
    """An address to listen on, with its port; kept as canonical text."""

    metavar: str = "ADDRESS"

    def convert(self, value: object) -> str:
        address = parse_address(Text().convert(value), default_port=None)
        if isinstance(address, InheritedAddress):
            raise ValueError(f"'{address}' is neither HOST:PORT nor unix:PATH")
        return str(address)

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Repeatable(ABC):
    """A kind whose option may be given more than once; kept as a tuple. One text may also hold several elements."""

    separator: ClassVar[str] = ","
    """The separator between the elements of one text, as in a variable."""
    contents: ClassVar[str]
    """What the elements are called in messages."""

    def split(self, text: str) -> list[str]:
        """Returns the elements of one text, without empty ones."""
        return [part.strip() for part in text.split(self.separator) if part.strip()]

    def convert(self, value: object) -> tuple[object, ...]:
        if isinstance(value, str):
            value = self.split(value)
        if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
            raise ValueError(f"{value!r} is not a list of {self.contents}")
        return tuple(self.element(entry) for entry in value)

    def show(self, value: object) -> str:
        return self.separator.join(self.texts(value))

    def texts(self, value: object) -> list[str]:
        """Returns the elements as they would be written on the command line."""
        assert isinstance(value, tuple)
        return [str(entry) for entry in value]

    @abstractmethod
    def element(self, entry: object) -> object:
        """Returns one element, checked. Raises ValueError with the reason."""


@dataclass(frozen=True, slots=True)
class Texts(Repeatable):
    """Texts, none of them empty."""

    contents: ClassVar[str] = "texts"

    metavar: str = "TEXT"

    def element(self, entry: object) -> str:
        text = Text().convert(entry)
        if not text:
            raise ValueError("an empty text")
        return text


@dataclass(frozen=True, slots=True)
class Words:
    """Some of a few words, separated by commas; kept as a tuple in the order of `words`. `prefix` may be left out."""

    words: tuple[str, ...]
    prefix: str = ""
    metavar: str = "LIST"

    def convert(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, Iterable):
            raise ValueError(f"{value!r} is not a list of words")
        given = [str(entry).strip().lower().removeprefix(self.prefix) for entry in value]
        for word in filter(None, given):
            if word not in self.words:
                raise ValueError(f"{word!r} is not one of {', '.join(self.words)}")
        return tuple(word for word in self.words if word in given)

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return ",".join(value)


@dataclass(frozen=True, slots=True)
class Addresses(Repeatable):
    """Addresses to listen on, as canonical texts; `parse_address` takes them apart."""

    contents: ClassVar[str] = "addresses"

    metavar: str = "ADDRESS"

    def convert(self, value: object) -> tuple[object, ...]:
        found = Repeatable.convert(self, value)
        for address in found:
            if found.count(address) > 1:
                raise ValueError(f"'{address}' is given twice")
        return found

    def element(self, entry: object) -> str:
        return str(parse_address(Text().convert(entry)))


@dataclass(frozen=True, slots=True)
class HostNames(Repeatable):
    """Names of hosts, or `*` for any; kept in lower case."""

    contents: ClassVar[str] = "host names"

    metavar: str = "NAME"

    def element(self, entry: object) -> str:
        name = Text().convert(entry).lower().removesuffix(".")
        if name != "*" and _HOST_NAME.fullmatch(name) is None:
            raise ValueError(f"{entry!r} is not a host name")
        return name


@dataclass(frozen=True, slots=True)
class Variables(Repeatable):
    """Environment variables: `NAME=VALUE`, pairs, or a mapping; kept as pairs. Their values are never shown, since some
    usually are secrets."""

    separator: ClassVar[str] = "\n"
    contents: ClassVar[str] = "environment variables"

    metavar: str = "NAME=VALUE"

    def convert(self, value: object) -> tuple[object, ...]:
        return Repeatable.convert(self, value.items() if isinstance(value, Mapping) else value)

    def texts(self, value: object) -> list[str]:
        assert isinstance(value, tuple)
        return [f"{name}={text}" for name, text in value]

    def element(self, entry: object) -> tuple[str, str]:
        if isinstance(entry, str):
            name, equals, text = entry.partition("=")
            if not equals:
                raise ValueError("one is not of the form NAME=VALUE: there is no '='")
            entry = (name, text)
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise ValueError("one is not a pair of name and value")
        name = Text().convert(entry[0])
        if not name or "=" in name:
            raise ValueError(f"{name!r} is not a name of an environment variable")
        try:
            return name, Secret().convert(entry[1])
        except ValueError:
            raise ValueError(f"the value of {name} is not a string without NUL") from None


@dataclass(frozen=True, slots=True)
class Fields(Repeatable):
    """Header fields: lines of `Name: value`, pairs of str or bytes, or a mapping; kept as pairs of bytes."""

    separator: ClassVar[str] = "\n"
    contents: ClassVar[str] = "header fields"

    metavar: str = "'NAME: VALUE'"

    def convert(self, value: object) -> tuple[object, ...]:
        return Repeatable.convert(self, value.items() if isinstance(value, Mapping) else value)

    def texts(self, value: object) -> list[str]:
        assert isinstance(value, tuple)
        return [f"{name.decode('latin-1')}: {text.decode('latin-1')}" for name, text in value]

    def element(self, entry: object) -> tuple[bytes, bytes]:
        return _field(entry)


def _field(entry: object) -> tuple[bytes, bytes]:
    if isinstance(entry, str):
        name, colon, text = entry.partition(":")
        if not colon:
            raise ValueError(f"{entry!r} is not of the form 'Name: value'")
        entry = (name, text.strip())
    if not isinstance(entry, tuple | list) or len(entry) != 2:
        raise ValueError(f"{entry!r} is not a pair of name and value")
    name_bytes, value_bytes = (_octets(part) for part in entry)
    if _FIELD_NAME.fullmatch(name_bytes) is None:
        raise ValueError(f"{name_bytes.decode('latin-1')!r} is not a valid field name")
    if _FIELD_VALUE.fullmatch(value_bytes) is None:
        raise ValueError(f"the value of {name_bytes.decode('latin-1')!r} contains a control character")
    return name_bytes, value_bytes


def _octets(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    if not isinstance(part, str):
        raise ValueError(f"{part!r} is neither str nor bytes")
    try:
        return part.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{part!r} has characters beyond Latin-1") from None


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses, networks, `unix` and `*`, separated by commas; kept as a tuple of canonical texts."""

    metavar: str = "LIST"

    def convert(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, Iterable):
            raise ValueError(f"{value!r} is not a list of addresses")
        return tuple(_peer(entry) for entry in value if not isinstance(entry, str) or entry.strip())

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return ",".join(value)


def _peer(entry: object) -> str:
    text = str(entry).strip()
    if text in ("*", UNIX_PEER):
        return text
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(str(error)) from None
    return str(network) if network.num_addresses > 1 else str(network.network_address)
