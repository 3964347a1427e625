"""Forwarding fields: who is believed, and what is taken from whom."""

import pytest

from fastserve.worker.forwarding import Forwarded, TrustedProxies

NOTHING = Forwarded(None, "", b"")


def read(peers: list[str], *fields: tuple[bytes, bytes]) -> Forwarded:
    return TrustedProxies(peers).read([(b"host", b"inner:8000"), (b"accept", b"*/*"), *fields])


@pytest.mark.parametrize(
    ("peers", "host", "trusted"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["127.0.0.1"], "::1", False),
        (["127.0.0.1"], None, False),
        (["unix"], None, True),
        (["unix"], "127.0.0.1", False),
        (["*"], None, True),
        (["*"], "203.0.113.9", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["2001:db8::/32"], "2001:db8:1::2", True),
        (["2001:db8::/32"], "2001:db9::2", False),
        (["127.0.0.1"], "::ffff:127.0.0.1", True),
        ([], "127.0.0.1", False),
        ([], None, False),
    ],
)
def test_trusted_peers(peers: list[str], host: str | None, trusted: bool) -> None:
    assert TrustedProxies(peers).trusts(host) is trusted


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"203.0.113.9", ("203.0.113.9", 0)),
        (b"203.0.113.9:4711", ("203.0.113.9", 4711)),
        (b"2001:db8::1", ("2001:db8::1", 0)),
        (b"[2001:db8::1]", ("2001:db8::1", 0)),
        (b"[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        (b"2001:DB8:0::1", ("2001:db8::1", 0)),
        (b"::ffff:203.0.113.9", ("203.0.113.9", 0)),
        # the rightmost hop that is not trusted; what a client wrote itself stands left of it
        (b"1.1.1.1, 203.0.113.9", ("203.0.113.9", 0)),
        (b"1.1.1.1, 203.0.113.9, 10.0.0.7", ("203.0.113.9", 0)),
        (b"1.1.1.1,203.0.113.9:80,10.0.0.7:81,127.0.0.1", ("203.0.113.9", 80)),
        # nobody but proxies: the outermost
        (b"10.0.0.9, 10.0.0.7", ("10.0.0.9", 0)),
        # empty elements do not count
        (b" , 203.0.113.9 ,, 10.0.0.7 ,", ("203.0.113.9", 0)),
        # what cannot be read hides what stands left of it
        (b"1.1.1.1, unknown, 10.0.0.7", ("10.0.0.7", 0)),
        (b"1.1.1.1, unknown", None),
        (b"", None),
        (b"example.org", None),
        (b"_hidden", None),
        (b"203.0.113.9:", None),
        (b"203.0.113.9:65536", None),
        (b"203.0.113.9:-1", None),
        (b"203.0.113.256", None),
        (b"0203.0.113.9", None),
        (b"[203.0.113.9", None),
        (b"fe80::1%eth0", None),
        (b"203.0.113.9\xff", None),
        (b"\xb2.1.1.1", None),
    ],
)
def test_client(value: bytes, client: tuple[str, int] | None) -> None:
    assert read(["127.0.0.1", "10.0.0.0/8"], (b"x-forwarded-for", value)) == (client, "", b"")


def test_client_over_several_lines() -> None:
    lines = [(b"x-forwarded-for", each) for each in (b"1.1.1.1", b"203.0.113.9, 10.0.0.8", b"10.0.0.7")]
    assert read(["10.0.0.0/8"], *lines).client == ("203.0.113.9", 0)


def test_star_believes_every_hop() -> None:
    assert read(["*"], (b"x-forwarded-for", b"1.1.1.1, 2.2.2.2")).client == ("1.1.1.1", 0)


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        (b"https", "https"),
        (b"HTTPS", "https"),
        (b" https ", "https"),
        (b"http", "http"),
        (b"wss", "https"),
        (b"WSS", "https"),
        (b"ws", "http"),
        (b"ws, wss", "https"),
        (b"gopher", ""),
        (b"", ""),
        (b"https;", ""),
        (b"http, https", "https"),
        (b"https, gopher", ""),
    ],
)
def test_scheme(value: bytes, scheme: str) -> None:
    assert read(["*"], (b"x-forwarded-proto", value)) == (None, scheme, b"")


def test_scheme_and_host_are_those_of_the_clients_hop() -> None:
    said = read(
        ["127.0.0.1", "10.0.0.0/8"],
        (b"x-forwarded-for", b"1.1.1.1, 203.0.113.9, 10.0.0.7"),
        (b"x-forwarded-proto", b"gopher, https, http"),
        (b"x-forwarded-host", b"forged.example, example.org, inner"),
    )
    assert said == (("203.0.113.9", 0), "https", b"example.org")


def test_a_single_scheme_counts_for_every_hop() -> None:
    said = read(["10.0.0.0/8"], (b"x-forwarded-for", b"203.0.113.9, 10.0.0.7"), (b"x-forwarded-proto", b"https"))
    assert said.scheme == "https"


@pytest.mark.parametrize("host", [b"example.org", b"example.org:8443", b"192.0.2.1", b"[2001:db8::1]:80", b"a_b-c.d"])
def test_host(host: bytes) -> None:
    assert read(["*"], (b"x-forwarded-host", host)) == (None, "", host)


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"user@a", b"a:", b"a:x", b"a:123456", b"[::1", b"\xe9.org"])
def test_malformed_host_is_ignored(host: bytes) -> None:
    assert read(["*"], (b"x-forwarded-host", host)) == NOTHING


def test_the_fields_may_be_any_iterable() -> None:
    fields = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"a")]
    assert TrustedProxies(["*"]).read(iter(fields)) == Forwarded(("203.0.113.9", 0), "https", b"a")


def test_other_fields_say_nothing() -> None:
    assert read(["*"]) == NOTHING
    assert read(["*"], (b"forwarded", b"for=1.1.1.1"), (b"x-forwarded-port", b"81")) == NOTHING
    assert TrustedProxies(["*"]).read([]) == NOTHING
