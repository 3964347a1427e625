"""A strict reader of HTTP/1.1 responses (RFC 9112): what is not exactly right is an error."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n")
FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
    rb"[\x21-\x7e\x80-\xff])?)?)\r\n"
)
CHUNK_LINE = re.compile(rb"(0|[1-9a-f][0-9a-f]*)\r\n", re.IGNORECASE)


class BrokenAnswer(AssertionError):  # noqa: N818 - it is the answer that is wrong
    """The bytes are not one whole and valid response; `seen` holds them."""

    def __init__(self, why: str, seen: bytes) -> None:
        super().__init__(f"{why}; seen: {seen[:2000]!r}")
        self.seen = seen


@dataclass
class Answer:
    """One response as it came over the wire."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    raw_head: bytes
    body: bytes = b""
    framing: str = "none"
    """How the body was delimited: none, length, chunked or close (RFC 9112 section 6.3)."""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def all(self, name: bytes) -> list[bytes]:
        """The values of every field of this name, in order."""
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """The only value of this field, None when it is absent; twice is an error."""
        values = self.all(name)
        if len(values) > 1:
            raise BrokenAnswer(f"field {name!r} comes {len(values)} times", self.raw_head)
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether it says Connection: close."""
        return (self.get(b"connection") or b"").lower() == b"close"


class Reader:
    """Cuts responses out of a byte source.

    `more` returns the next bytes, b"" at the end of the stream.
    """

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self.buffer = b""
        self._seen = b""

    def answer(self, method: str = "GET") -> Answer:
        """Reads one response to a request with this method; raises BrokenAnswer."""
        return self.rest_of(self.head(), method)

    def head(self) -> Answer:
        """Reads a head alone, whose `rest_of` may be a long time coming."""
        self._seen = b""
        return self._head()

    def rest_of(self, answer: Answer, method: str = "GET") -> Answer:
        """Reads what belongs to the head."""
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            self._check_bodiless(answer)
            return answer
        self._body(answer)
        return answer

    def _head(self) -> Answer:
        line = self._line()
        match = STATUS_LINE.fullmatch(line)
        if match is None:
            raise BrokenAnswer("bad status line", self._seen)
        answer = Answer(int(match[1]), match[2], self._fields(), b"")
        answer.raw_head = self._seen
        return answer

    def _fields(self) -> list[tuple[bytes, bytes]]:
        fields = []
        while (line := self._line()) != b"\r\n":
            match = FIELD_LINE.fullmatch(line)
            if match is None:
                raise BrokenAnswer(f"bad field line {line!r}", self._seen)
            fields.append((match[1], match[2]))
        return fields

    def _check_bodiless(self, answer: Answer) -> None:
        forbidden = answer.status < 200 or answer.status == 204
        if forbidden and (answer.get(b"content-length") or answer.get(b"transfer-encoding")):
            raise BrokenAnswer("framing fields in a 1xx or 204 (RFC 9110 section 8.6)", self._seen)
        if answer.get(b"content-length") is not None:
            self._length(answer)

    def _length(self, answer: Answer) -> int:
        length = answer.get(b"content-length") or b""
        if not re.fullmatch(rb"0|[1-9][0-9]*", length):
            raise BrokenAnswer("bad Content-Length", self._seen)
        if answer.get(b"transfer-encoding") is not None:
            raise BrokenAnswer("Content-Length with Transfer-Encoding", self._seen)
        return int(length)

    def _body(self, answer: Answer) -> None:
        coding = answer.get(b"transfer-encoding")
        if answer.get(b"content-length") is not None:
            answer.framing = "length"
            answer.body = self.exactly(self._length(answer))
        elif coding is not None:
            if coding != b"chunked":
                raise BrokenAnswer(f"unknown transfer coding {coding!r}", self._seen)
            answer.framing = "chunked"
            self._chunked(answer)
        else:
            answer.framing = "close"
            answer.body = self._to_the_end()

    def _chunked(self, answer: Answer) -> None:
        while True:
            line = self._line()
            match = CHUNK_LINE.fullmatch(line)
            if match is None:
                raise BrokenAnswer(f"bad chunk line {line!r}", self._seen)
            size = int(match[1], 16)
            if size == 0:
                break
            answer.chunks.append(self.exactly(size))
            if self.exactly(2) != b"\r\n":
                raise BrokenAnswer("no CRLF after a chunk", self._seen)
        answer.body = b"".join(answer.chunks)
        answer.trailers = self._fields()

    def _fill(self) -> bool:
        data = self._more()
        self.buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        if len(self._seen) < 100_000:
            self._seen += taken
        return taken

    def _line(self) -> bytes:
        while b"\n" not in self.buffer:
            if not self._fill():
                raise BrokenAnswer("the stream ended inside a line", self._seen + self.buffer)
        return self._take(self.buffer.index(b"\n") + 1)

    def exactly(self, size: int) -> bytes:
        parts = [self._take(size)]
        have = len(parts[0])
        while have < size:
            if not self._fill():
                raise BrokenAnswer(f"the stream ended after {have} of {size} bytes", self._seen)
            parts.append(self._take(size - have))
            have += len(parts[-1])
        return b"".join(parts)

    def _to_the_end(self) -> bytes:
        while self._fill():
            pass
        return self._take(len(self.buffer))
