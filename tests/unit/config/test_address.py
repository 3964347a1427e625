"""How an address to listen on is written."""

from typing import Any

import pytest

from fastserve import Config
from fastserve.config.address import InheritedAddress, TCPAddress, UnixAddress, parse_address


async def app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        (" localhost ", "localhost:8000"),
        ("[0:0::1]:80", "[::1]:80"),
        ("[fe80::1%lo]", "[fe80::1%lo]:8000"),
        (":080", ":80"),
        ("example.org:0", "example.org:0"),
        ("unix:server.sock", "unix:server.sock"),
        ("unix:///run/a b.sock", "unix:/run/a b.sock"),
        ("unix:@name", "unix:@name"),
        ("fd://03", "fd://3"),
    ],
)
def test_addresses_have_one_form(written: str, canonical: str) -> None:
    assert Config(app, bind=[written]).bind == (canonical,)
    assert str(parse_address(canonical)) == canonical


def test_an_address_is_taken_apart() -> None:
    assert parse_address("[::1]:80") == TCPAddress("::1", 80)
    assert parse_address(":80") == TCPAddress("", 80)
    assert parse_address("unix:a:b") == UnixAddress("a:b")
    assert parse_address("fd://3") == InheritedAddress(3)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "'' is not an address (such as 127.0.0.1:8000, unix:/run/server.sock or fd://3)"),
        ("http://a:80", "'http://a:80' is not an address (such as 127.0.0.1:8000, unix:/run/server.sock or fd://3)"),
        ("a b:80", "'a b:80' is not an address (such as 127.0.0.1:8000, unix:/run/server.sock or fd://3)"),
        ("*:80", "'*:80' is not an address (such as 127.0.0.1:8000, unix:/run/server.sock or fd://3)"),
        ("8000", "'8000' is not an address; a port alone is written :8000"),
        ("::1", "'::1': an IPv6 address is written in brackets (such as [::1]:8000)"),
        ("::1:80", "'::1:80': an IPv6 address is written in brackets (such as [::1]:8000)"),
        ("fe80::1%eth0", "'fe80::1%eth0': an IPv6 address is written in brackets (such as [::1]:8000)"),
        ("[a]:80", "'[a]:80': 'a' is not an IPv6 address"),
        ("a:", "'a:': the port '' is not a number between 0 and 65535"),
        ("a:http", "'a:http': the port 'http' is not a number between 0 and 65535"),
        ("a:65536", "'a:65536': the port '65536' is not a number between 0 and 65535"),
        ("a:+1", "'a:+1': the port '+1' is not a number between 0 and 65535"),
        ("unix:", "'unix:' names no path (such as unix:/run/server.sock)"),
        ("fd://x", "'fd://x': the descriptor 'x' is not a number between 0 and 2147483647"),
    ],
)
def test_refuses_what_is_no_address(written: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Config(app, bind=[written])
    assert str(caught.value) == f"bind: {reason}"
