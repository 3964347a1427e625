"""Kinds of values: what each takes as a text, how it is shown, and that what is shown is taken again."""

import pytest

from fastserve.config.option_types import (
    Choice,
    CPUs,
    Integer,
    Kind,
    MountPath,
    Octal,
    Seconds,
    Secret,
    Size,
    Switch,
    Text,
)
from fastserve.config.options import OPTIONS


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Text(), "a", "a"),
        (MountPath(), "/shop/", "/shop"),
        (MountPath(), "", ""),
        (Integer(0, 9), " 7 ", 7),
        (Size(1, 1 << 40), "8k", 8192),
        (Size(1, 1 << 40), "10 MiB", 10 << 20),
        (Size(64, 1 << 40, or_zero=True), "0", 0),
        (Switch(), "yes", True),
        (Switch(), "off", False),
        (Choice(("one", "two")), "two", "two"),
        (CPUs(), "2,0-1", "0-2"),
    ],
)
def test_a_text_becomes_a_value(kind: Kind, text: str, value: object) -> None:
    assert kind.convert(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (Text(), "a\0", "contains a NUL"),
        (MountPath(), "shop", "does not begin with '/'"),
        (Integer(1, 9), "10", "10 is not between 1 and 9"),
        (Integer(1, 9), "1.5", "is not a whole number"),
        (Size(1, 99), "1T", "is not a size"),
        (Size(64, 99, or_zero=True), "5", "5 is neither 0 nor at least 64"),
        (Switch(), "perhaps", "'perhaps'"),
        (Choice(("one", "two")), "three", "is not one of one, two"),
        (Octal(), "8", "'8'"),
    ],
)
def test_what_is_none_says_why(kind: Kind, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.convert(text)


def test_a_secret_is_in_no_message() -> None:
    with pytest.raises(ValueError, match=r"^it is not a string without NUL$"):
        Secret().convert("hush\0")
    assert Secret().show("hush") == "***"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_a_default_that_is_shown_is_taken_again(option: object) -> None:
    from fastserve.config.options import Option

    assert isinstance(option, Option)
    if option.default is None or isinstance(option.kind, Switch):
        return
    shown = option.kind.show(option.default)
    assert option.kind.show(option.kind.convert(shown)) == shown


def test_seconds_have_fractions() -> None:
    assert Seconds().convert("0.25") == 0.25
