"""The keys of session tickets: how long a session goes on, and in which processes, by handshakes through memory."""

import gc
import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from fastserve.tls import contexts as tls_module
from fastserve.tls.contexts import TLS
from kit.certificates import Authority
from kit.memory_tls import opened, serial, shake, shown, trusting

DAY = 86400.0
VERSIONS = ["TLSv1_2", "TLSv1_3"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock on."""
    moment = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: moment[0], strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(tls_module, "time", clock)

    def passed(seconds: float) -> None:
        moment[0] += seconds

    return passed


def goes_on(tls: TLS, client: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    return bool(shake(tls, client, session=session)[0].session_reused)


@pytest.mark.parametrize("version", VERSIONS)
def test_keys_are_replaced_every_day(authority: Authority, version: str, pass_time: Callable[[float], None]) -> None:
    pair = authority.certificate("localhost")
    tls = opened(pair)
    tls.offer(["http/1.1"])
    client = trusting(authority, version)
    client.set_alpn_protocols(["http/1.1"])
    for _ in range(3):
        one, other = shake(tls, client)
        session = one.session
        assert tls.describe(other)["server_cert"] == pair[0].read_text()
        pass_time(DAY - 1)
        tls.renew()
        assert goes_on(tls, client, session)
        pass_time(1)
        tls.renew()
        assert not goes_on(tls, client, session)
        assert shake(tls, client)[1].selected_alpn_protocol() == "http/1.1"
        assert tls.describe(other)["server_cert"] == pair[0].read_text()  # of a connection that was there before


def test_never(authority: Authority, pass_time: Callable[[float], None]) -> None:
    tls = opened(authority.certificate("localhost"), ssl_ticket_key_age=0)
    client = trusting(authority, "TLSv1_2")
    session = shake(tls, client)[0].session
    pass_time(1000 * DAY)
    tls.renew()
    assert goes_on(tls, client, session)


class Workers:
    """Processes that are forked from this one, each for a single handshake."""

    def __init__(self, tls: TLS, client: ssl.SSLContext, pass_time: Callable[[float], None]) -> None:
        self._tls = tls
        self._client = client
        self._pass_time = pass_time

    def greet(self, days: float, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
        """Makes a handshake with a new one, days after its fork. Whether the session was resumed, and the next one."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                self._pass_time(days * DAY)
                self._tls.renew()
                with self._tls.context.wrap_socket(theirs, server_side=True) as wire:
                    wire.sendall(b"x")
                    wire.recv(1)
            finally:
                os._exit(0)
        theirs.close()
        with self._client.wrap_socket(ours, server_hostname="localhost", session=session) as wire:
            assert wire.recv(1) == b"x"
            found = bool(wire.session_reused), wire.session
        os.waitpid(pid, 0)
        return found


def test_workers_have_the_same_keys_in_each_period(authority: Authority, pass_time: Callable[[float], None]) -> None:
    """Those of times to come as well, whenever they were forked. Beyond that each has its own."""
    tls = opened(authority.certificate("localhost"))
    workers = Workers(tls, trusting(authority, "TLSv1_2"), pass_time)
    tls.renew_keys(ahead=3)
    sessions = {days: workers.greet(days)[1] for days in (0, 1, 3, 4)}
    assert {days: workers.greet(days, session)[0] for days, session in sessions.items()} == {
        0: True,
        1: True,
        3: True,
        4: False,
    }
    assert not workers.greet(2, sessions[1])[0]
    pass_time(DAY)
    tls.renew_keys(ahead=3)  # the supervisor's day has passed too: those that follow know one more
    assert [workers.greet(days, sessions[days + 1])[0] for days in (0, 2)] == [True, True]
    assert not workers.greet(0, sessions[0])[0]
    last = workers.greet(3)[1]
    assert workers.greet(3, last)[0]


def test_a_process_that_stood_still(authority: Authority, pass_time: Callable[[float], None]) -> None:
    tls = opened(authority.certificate("localhost"))
    client = trusting(authority, "TLSv1_2")
    tls.renew_keys(ahead=2)
    pass_time(1_000_000 * DAY)
    tls.renew()
    session = shake(tls, client)[0].session
    assert goes_on(tls, client, session)
    tls.renew()
    assert goes_on(tls, client, session)


def test_a_certificate_that_was_renewed_is_shown_with_new_keys(
    authority: Authority, pass_time: Callable[[float], None]
) -> None:
    tls = opened(authority.certificate("localhost", name="server"))
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA, trustme.KeyType.ECDSA):
        renewed = authority.certificate("localhost", name="server", kind=kind)
        tls.renew()
        assert shown(tls, authority) == serial(renewed)
        pass_time(DAY)
        tls.renew()
        assert shown(tls, authority) == serial(renewed)


def test_of_several_names(authority: Authority, pass_time: Callable[[float], None]) -> None:
    one, two = authority.certificate("one.test"), authority.certificate("two.test")
    tls = opened(one, two)
    client = trusting(authority, "TLSv1_2")
    for _ in range(2):
        session = shake(tls, client, "two.test")[0].session
        assert shake(tls, client, "two.test", session=session)[0].session_reused
        pass_time(DAY)
        tls.renew()
        assert not shake(tls, client, "two.test", session=session)[0].session_reused
        assert shown(tls, authority, "two.test") == serial(two)
        assert shown(tls, authority, "one.test") == serial(one)


def test_files_are_not_read_again_for_it(authority: Authority, pass_time: Callable[[float], None]) -> None:
    """A worker's user may not be allowed to."""
    pair = authority.certificate("localhost")
    crl = authority.revocations()
    tls = opened(pair, ssl_ca_certs=str(authority.file), ssl_cert_reqs="optional", ssl_crl=str(crl))
    client = trusting(authority, "TLSv1_2", authority.certificate("client.test"))
    session = shake(tls, client)[0].session
    for each in (*pair, crl, authority.file):
        each.write_bytes(each.read_bytes().replace(b"-----BEGIN", b"-----began"))
    pass_time(DAY)
    tls.renew_keys()
    one, other = shake(tls, client, session=session)
    assert not one.session_reused
    assert other.getpeercert()


def test_by_a_context_of_somebodys_own_they_stay(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
) -> None:
    (tmp_path / "lasting_contexts.py").write_text("def own(default):\n    return default()\n")
    monkeypatch.syspath_prepend(tmp_path)
    tls = opened(authority.certificate("localhost"), ssl_context="lasting_contexts:own")
    before = tls.context
    pass_time(DAY)
    tls.renew()
    assert tls.context is before


def test_no_memory_is_left(authority: Authority, pass_time: Callable[[float], None]) -> None:
    tls = opened(authority.certificate("localhost"))
    seen = []
    for _ in range(5):
        seen.append(weakref.ref(tls.context))
        pass_time(DAY)
        tls.renew_keys(ahead=2)
    gc.collect()
    assert [each() for each in seen] == [None] * 5
