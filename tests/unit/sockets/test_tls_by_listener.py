"""Which listeners speak TLS, where the others send their clients, and how each is called."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fastserve import Config
from fastserve.sockets.listeners import Listeners, open_listeners
from fastserve.sockets.tls_by_listener import Security, open_tls
from kit.certificates import Authority

FREE = "127.0.0.1:0"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Listeners]:
    """One address with TLS and one without, which redirects."""
    certificate, key = Authority(tmp_path).standing()
    secure = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    config = Config("a:b", bind=(FREE,), insecure_bind=(FREE,), ssl_redirect=True, **secure)
    with closing(open_listeners(config)) as found:
        yield found


def test_each_address_has_its_scheme(both: Listeners) -> None:
    secure, plain = both.sockets
    ports = [each.getsockname()[1] for each in both.sockets]
    assert both.addresses == (f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
    assert (both.security.of(secure), both.security.of(plain)) == (both.security.tls, None)


def test_plain_requests_are_redirected_to_the_port_of_the_other(both: Listeners) -> None:
    secure, plain = both.sockets
    assert both.security.redirect_of(plain) == secure.getsockname()[1]
    assert both.security.redirect_of(secure) == 0
    assert both.security.options(plain)["redirect"] == secure.getsockname()[1]
    assert both.security.options(secure)["tls"] is both.security.tls


def test_an_address_has_a_number_that_every_process_knows(both: Listeners) -> None:
    secure, plain = both.sockets
    numbers = {Security.name(secure), Security.name(plain)}
    assert len(numbers) == 2
    assert 0 not in numbers
    with secure.dup() as copy:
        assert Security.name(copy) == Security.name(secure)


def test_a_unix_socket_is_called_by_its_path(tmp_path: Path) -> None:
    for name in (str(tmp_path / "socket"), f"@{tmp_path}"):
        with closing(open_listeners(Config("a:b", uds=name))) as found:
            assert found.addresses == (f"unix:{name}",)
            assert found.security.of(found.sockets[0]) is None


def test_without_a_certificate_there_is_no_tls() -> None:
    assert open_tls(Config("a:b")) is None
