"""Reads the golden cases for the Python runners; README.md has the format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|\{(\d+)\*([^}]*)\}|([rnt\\])|(.|$))", re.DOTALL)
_REPEAT = re.compile(r"\\\{(\d+)\*([^}]*)\}")
_LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
_ECHO_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n%s\r\n"


class FormatError(Exception):
    """A case is not written as README.md says."""


class Kind(Enum):
    """How a part of the reply is compared."""

    BYTES = "out"
    MAYBE = "maybe"
    ANSWER = "answer"


@dataclass(frozen=True)
class Part:
    """A part of the expected reply: bytes, or the status of a response that the server words itself."""

    kind: Kind
    data: bytes = b""
    status: int = 0
    bodiless: bool = False


@dataclass
class Request:
    """What the application sees of one request, collected from the events.

    `complete` is false where an error or the end of the input came first. `error` is the error that ended reading
    inside this request.
    """

    method: str
    target: bytes
    version: str
    path: bytes
    query: bytes = b""
    length: int | None = None
    flags: set[str] = field(default_factory=set)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False
    error: str | None = None


@dataclass
class Case:
    """One case. `limits` has the names of `ext/proto/limits.h`."""

    topic: str
    name: str
    line: int
    rooms_only: bool = False
    limits: dict[str, int] = field(default_factory=dict)
    data: bytes = b""
    eof: bool = False
    events: list[str] = field(default_factory=list)
    reply: list[Part] = field(default_factory=list)
    closes: bool | None = None

    @property
    def id(self) -> str:
        """For pytest: topic and line."""
        return f"{self.topic}-{self.line}-{re.sub(r'[^a-z0-9]+', '-', self.name.lower()).strip('-')[:60]}"

    @property
    def requests(self) -> list[Request]:
        """The requests that the events tell of, in order."""
        return list(_requests(self.events))

    @property
    def error(self) -> str | None:
        """The name of the error that ends reading, as in `ext/proto/error.c`."""
        last = self.events[-1] if self.events else ""
        return last.removeprefix("error ") if last.startswith("error ") else None

    def splits(self, most: int = 0) -> Iterator[tuple[bytes, ...]]:
        """The input whole, byte by byte, and in two at every place; with `most`, at about that many places only."""
        yield (self.data,)
        yield tuple(self.data[at : at + 1] for at in range(len(self.data)))
        step = max(1, len(self.data) // most) if most else 1
        for at in range(1, len(self.data), step):
            yield self.data[:at], self.data[at:]

    def mismatch(self, reply: bytes) -> str | None:
        """None when the bytes are the expected reply, else what is wrong with them."""
        rest = reply
        for number, part in enumerate(self.reply):
            last = number + 1 == len(self.reply)
            if part.kind is Kind.ANSWER:
                length = _answer_length(part, rest, closes=last and bool(self.closes))
                if length is None:
                    return f"expected a whole answer with status {part.status} in place of {rest!r}"
                rest = rest[length:]
            elif rest.startswith(part.data):
                rest = rest[len(part.data) :]
            elif part.kind is Kind.BYTES:
                return f"expected {part.data!r} in place of {rest!r}"
        return f"nothing expected after the reply, but {rest!r}" if rest else None


def decode(text: str) -> bytes:
    """The bytes that a value stands for. Raises FormatError for an unknown escape."""

    def one(match: re.Match[bytes]) -> bytes:
        code, count, repeated, letter, unknown = match.groups()
        if code is not None:
            return bytes.fromhex(code.decode())
        if count is not None:
            return _ESCAPE.sub(one, repeated) * int(count)
        if letter is None:
            raise FormatError(f"unknown escape \\{unknown.decode()} in {text!r}")
        return _LETTERS[letter]

    return _ESCAPE.sub(one, text.encode("ascii"))


def read(path: Path) -> list[Case]:
    """The cases of one file. Raises FormatError."""
    cases: list[Case] = []
    for number, line in enumerate(path.read_text(encoding="ascii").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon or (value and not value.startswith(" ")):
            raise FormatError(f"{path.name}:{number}: neither a comment nor `key: value`")
        if key == "case":
            cases.append(Case(path.stem, value[1:], number))
        elif not cases:
            raise FormatError(f"{path.name}:{number}: a line before the first case")
        else:
            _add(cases[-1], key, value[1:])
    for case in cases:
        if not case.data or case.closes is None:
            raise FormatError(f"{path.name}:{case.line}: a case needs `in` and `then`")
    return cases


def read_all() -> list[Case]:
    """Every case of this folder, file by file. Raises FormatError."""
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def _add(case: Case, key: str, value: str) -> None:
    match key:
        case "only":
            case.rooms_only = value == "rooms"
        case "limit":
            name, number = value.split()
            case.limits[name] = int(number)
        case "in":
            case.data += decode(value)
        case "eof":
            case.eof = True
        case "event":
            case.events.append(_REPEAT.sub(lambda match: match[2] * int(match[1]), value))
        case "then":
            case.closes = value == "close"
        case _:
            case.reply.append(_part(key, value))


def _part(key: str, value: str) -> Part:
    match key:
        case "out" | "maybe":
            return Part(Kind(key), decode(value))
        case "echo" | "echo-close":
            body = decode(value)
            close = b"connection: close\r\n" if key == "echo-close" else b""
            return Part(Kind.BYTES, _ECHO_HEAD % (len(body), close) + body)
        case "answer":
            status, _, rest = value.partition(" ")
            return Part(Kind.ANSWER, status=int(status), bodiless=rest == "bodiless")
    raise FormatError(f"unknown key {key!r}")


def _answer_length(part: Part, reply: bytes, *, closes: bool) -> int | None:
    head, end, _ = reply.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    lengths = [line[16:] for line in lines[1:] if line.startswith(b"content-length: ")]
    if not end or not lines[0].startswith(b"HTTP/1.1 %d " % part.status) or len(lengths) != 1:
        return None
    if closes != (b"connection: close" in lines[1:]):
        return None
    length = len(head) + len(end) + (0 if part.bodiless else int(lengths[0]))
    return length if length <= len(reply) else None


def _requests(events: list[str]) -> Iterator[Request]:
    request: Request | None = None
    for event in events:
        word, _, rest = event.partition(" ")
        if word == "head":
            if request is not None:
                yield request
            method, target, version = rest.split(" ")
            request = Request(method, decode(target), version.removeprefix("HTTP/"), decode(target))
        elif request is not None and not request.complete:
            _note(request, word, rest)
    if request is not None:
        yield request


def _note(request: Request, word: str, rest: str) -> None:
    match word:
        case "path":
            request.path = decode(rest)
        case "query":
            request.query = decode(rest)
        case "length":
            request.length = int(rest)
        case "flag":
            request.flags.add(rest)
        case "field":
            request.fields.append(_name_and_value(rest))
        case "body":
            request.body = decode(rest)
        case "trailer":
            request.trailers.append(_name_and_value(rest))
        case "end":
            request.complete = True
        case "error":
            request.error = rest
        case _:
            raise FormatError(f"unknown event {word!r}")


def _name_and_value(text: str) -> tuple[bytes, bytes]:
    name, _, value = text.partition(": ")
    return decode(name), decode(value)
