"""The reader of the golden cases: what it takes for right must be right."""

from pathlib import Path

import pytest

from golden import cases
from golden.cases import Case, FormatError

SMALL = r"""
# a comment
case: first
limit: max_head 64
in: GET /a?b HTTP/1.1\r\n
in: X: \{3*ab\x00}\\\r\n\r\n
eof:
event: head GET /a?b HTTP/1.1
event: path /a
event: query b
event: field x: \{2*z}
event: body hi
event: end
event: error bad-field
maybe: HTTP/1.1 100 Continue\r\n\r\n
echo: hi
answer: 400
then: close

case: second
only: rooms
in: x
then: open
"""


@pytest.fixture
def both(tmp_path: Path) -> list[Case]:
    path = tmp_path / "small.txt"
    path.write_text(SMALL)
    return cases.read(path)


def test_what_is_read(both: list[Case]) -> None:
    first, second = both
    assert first.data == b"GET /a?b HTTP/1.1\r\nX: ab\0ab\0ab\0\\\r\n\r\n"
    assert (first.limits, first.eof, first.closes, first.rooms_only) == ({"max_head": 64}, True, True, False)
    assert first.error == "bad-field"
    [request] = first.requests
    assert (request.method, request.target, request.path, request.query) == ("GET", b"/a?b", b"/a", b"b")
    assert (request.fields, request.body, request.complete, request.error) == ([(b"x", b"zz")], b"hi", True, None)
    assert (second.rooms_only, second.closes, second.requests) == (True, False, [])


ECHO = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"
ANSWER = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad"


@pytest.mark.parametrize("reply", [ECHO + ANSWER, b"HTTP/1.1 100 Continue\r\n\r\n" + ECHO + ANSWER])
def test_a_right_reply(both: list[Case], reply: bytes) -> None:
    assert both[0].mismatch(reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        ECHO,
        ECHO + ANSWER[:-1],
        ECHO + ANSWER + b"x",
        ECHO.replace(b"hi", b"ho") + ANSWER,
        ECHO + ANSWER.replace(b"connection: close\r\n", b""),
        ECHO + ANSWER.replace(b"400", b"500"),
        ECHO + ANSWER.replace(b"content-length: 3\r\n", b""),
    ],
)
def test_a_wrong_reply(both: list[Case], reply: bytes) -> None:
    assert both[0].mismatch(reply)


def test_splits(both: list[Case]) -> None:
    data = both[0].data
    splits = list(both[0].splits())
    assert len(splits) == len(data) + 1
    assert all(b"".join(pieces) == data for pieces in splits)
    assert len(splits[1]) == len(data)


@pytest.mark.parametrize(
    "text", ["in: x", "case: x\nin: x", "case: x\nnonsense", "case: x\nfoo: bar", "case: x\nin: \\q"]
)
def test_what_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(FormatError):
        cases.read(path)


def test_every_case_is_readable_and_has_a_name_of_its_own() -> None:
    every = cases.read_all()
    assert every
    names = [(case.topic, case.name) for case in every]
    assert len(names) == len(set(names))
    for case in every:
        assert case.events or case.reply, case.id
