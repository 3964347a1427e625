"""Listening sockets and who owns them: `Listeners` in a process that serves, `SlotSockets` in a supervisor."""

import ipaddress
import logging
import os
import socket
from collections.abc import Container, Mapping, Sequence
from itertools import chain
from typing import Self

from fastserve.config.config import Config
from fastserve.sockets import endpoint, reuseport, tcp
from fastserve.sockets.endpoint import Configured, Description, Endpoint
from fastserve.sockets.errors import cannot_listen
from fastserve.sockets.inherited import Activation, activation, forget_activation, listens, set_listening
from fastserve.sockets.tls_by_listener import Security, open_tls, security

logger = logging.getLogger("fastserve")

PLAIN = Security()

KEYS_AHEAD = 30
"""Periods for which workers share keys of session tickets without being replaced. Each costs 14 KiB."""

NOTHING: Mapping[str, Description] = {}


class Listeners:
    """Owns listening sockets: `close` closes them and removes the paths that were made for Unix sockets."""

    def __init__(
        self, sockets: Sequence[socket.socket], endpoints: Sequence[Endpoint] = (), security: Security = PLAIN
    ) -> None:
        """endpoints: the endpoints of the sockets, if they are ours as a whole.
        security: which of the sockets speak TLS.
        """
        self.sockets = tuple(sockets)
        self.security = security
        self._endpoints = endpoints
        self._given: set[socket.socket] = set()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses as a person would type them."""
        return tuple(self.security.address(each) for each in self.sockets)

    def listen(self, backlog: int) -> None:
        """Makes the endpoints listen that are ours as a whole and do not listen yet. Raises StartError."""
        for each in self._endpoints:
            if not each.listening:
                each.listen(backlog)

    def take_listening(self) -> list[socket.socket]:
        """Returns the sockets that listen and were not returned yet. Others listen once a first worker can answer."""
        found = [each for each in self.sockets if each not in self._given and listens(each)]
        self._given.update(found)
        return found

    @property
    def all_given(self) -> bool:
        """Whether `take_listening` has returned every socket."""
        return len(self._given) == len(self.sockets)

    def forget(self) -> None:
        """In a child that the application has forked: closes its copies. The paths are the parent's."""
        self._endpoints = ()
        for each in self.sockets:
            each.close()

    def close(self) -> None:
        """Closes the sockets. Idempotent. Leaves a path alone that has meanwhile become another server's socket."""
        for each in self.sockets:
            each.close()
        endpoint.close_all(self._endpoints)


class SlotSockets:
    """The listening sockets of a supervisor, by slot: for each TCP address one a slot, all others once for all slots.

    Sockets of a slot share the connections by SO_REUSEPORT, in the order of the slots: only the last slot can go.
    """

    def __init__(self, endpoints: Sequence[Endpoint], slots: int, backlog: int, security: Security) -> None:
        self._endpoints = tuple(endpoints)
        self._slots = slots
        self._backlog = backlog
        self._security = security

    @classmethod
    def open(cls, config: Config, slots: int, inherited: Mapping[str, Description] = NOTHING) -> Self:
        """Binds and listens as the configuration says.

        slots: at least one. If more are inherited, all of them are kept, since connections may wait in them.
        inherited: what another supervisor's `for_exec` described, its descriptors open here; those of addresses that
        are not configured are closed.
        Raises StartError with the reason, and then closes what it has opened and taken; an inherited path is kept.
        """
        tls = open_tls(config)
        wanted = _addresses(config, had=inherited) if inherited else _at_the_start(config)
        taken: dict[str, Endpoint] = {}
        try:
            for each in wanted:
                if (text := str(each)) in inherited:
                    taken[text] = endpoint.adopt(each, inherited[text], config.backlog)
            slots = max([slots, *(len(group) for each in taken.values() for group in each.groups)])
            opened = _opened(wanted, taken, slots, config)
        except BaseException:
            endpoint.close_all(taken.values(), keep_paths=True)
            raise
        for fd in [fd for text, left in inherited.items() if text not in taken for fd in left["fds"]]:
            os.close(fd)
        return cls(opened, slots, config.backlog, security(tls, opened, config))

    def reopened(self, config: Config) -> "SlotSockets":
        """Returns the sockets of another configuration: addresses of the same text keep theirs, others get new ones.

        Both objects hold the sockets that stay. One of them is used from then on; its `without` returns what only the
        other one has. Raises StartError, and then nothing has changed.
        """
        tls = self._security.tls.reopened(config) if self._security.tls is not None else open_tls(config)
        had = {each.text: each for each in self._endpoints}
        endpoints = _opened(_addresses(config, had), had, self._slots, config)
        return SlotSockets(endpoints, self._slots, config.backlog, security(tls, endpoints, config))

    def without(self, other: "SlotSockets") -> Listeners:
        """Returns the sockets that `other` lacks, to be closed when nobody serves them any more."""
        gone = [each for each in self._endpoints if each not in other._endpoints]
        return Listeners(_sockets(gone), gone)

    @property
    def slots(self) -> int:
        return self._slots

    def of_slot(self, index: int) -> tuple[socket.socket, ...]:
        """Returns the slot's own sockets, one for each TCP address."""
        return tuple(group[index] for group in self._groups if index < len(group))

    @property
    def shared(self) -> tuple[socket.socket, ...]:
        """Unix and inherited sockets, which all slots accept from."""
        return tuple(chain.from_iterable(each.shared for each in self._endpoints))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses as `address` gives them, each once, in the order of the configuration."""
        return tuple(dict.fromkeys(self._security.address(each) for each in _sockets(self._endpoints)))

    @property
    def reached_from_elsewhere(self) -> bool:
        """Whether a TCP address is not on loopback."""
        found = [each for each in _sockets(self._endpoints) if each.family != socket.AF_UNIX]
        return any(not ipaddress.ip_address(each.getsockname()[0].partition("%")[0]).is_loopback for each in found)

    def renew_keys(self) -> None:
        """In a supervisor: renews the keys of TLS session tickets that are due, and makes those of periods to come."""
        if self._security.tls is not None:
            self._security.tls.renew_keys(KEYS_AHEAD)

    def keep(self, index: int) -> Listeners:
        """For a forked worker: returns its slot's sockets and the shared ones; closes all others in this process."""
        kept = (*self.of_slot(index), *self.shared)
        for group in self._groups:
            tcp.close_all([each for each in group if each not in kept])
        return Listeners(kept, security=self._security)

    @property
    def listening(self) -> bool:
        """Whether all of them listen."""
        return all(each.listening for each in self._endpoints)

    def listen(self) -> None:
        """Makes the sockets listen, in the order of the slots. Raises StartError."""
        for each in self._endpoints:
            if not each.listening:
                each.listen(self._backlog)

    def add_slot(self) -> int:
        """Adds a socket for each TCP address. Returns the new slot. Raises OSError, and then nothing has changed."""
        tcp.grow(self._groups, self._slots + 1, self._backlog)
        self._slots += 1
        return self._slots - 1

    def close_slot(self, index: int, *, shared: bool = False) -> None:
        """Closes the sockets of the last slot, and of no other. Connections that wait there are lost.

        shared: another supervisor has its sockets too, and goes on with them.
        """
        if index != self._slots - 1 or index == 0:
            raise ValueError(f"slot {index} of {self._slots} is not the last one, or the only one")
        for group in self._groups:
            (tcp.close_all if shared else tcp.end_all)(group[index:])
            del group[index:]
        self._slots -= 1

    def steer(self, slots: int) -> bool:
        """Makes new connections go to the first slots only. Returns False if the kernel cannot do that.

        slots: their number, at least one. With one slot there is nothing to steer.
        """
        if not reuseport.available():
            return False
        try:
            for group in self._groups:
                if len(group) > 1:
                    reuseport.steer(group[0], slots)
        except OSError:
            self.unsteer()
            return False
        return True

    def unsteer(self) -> None:
        """Makes new connections go to all slots again."""
        if reuseport.available():
            for group in self._groups:
                reuseport.unsteer(group[0])

    def waiting(self, index: int) -> int:
        """Returns how many connections the slot's sockets hold that nobody has accepted."""
        return sum(reuseport.waiting(each) for each in self.of_slot(index))

    def for_exec(self) -> tuple[dict[str, Description], list[int]]:
        """Returns, for `open` in the successor, a description for JSON and the descriptors that it must inherit."""
        descriptions = {each.text: each.describe() for each in self._endpoints}
        return descriptions, [each.fileno() for each in _sockets(self._endpoints)]

    def close(self, *, keep_paths: bool = False) -> None:
        """Closes all sockets. Idempotent. keep_paths: another supervisor has the same Unix sockets."""
        endpoint.close_all(self._endpoints, keep_paths=keep_paths)

    @property
    def _groups(self) -> list[list[socket.socket]]:
        return [group for each in self._endpoints for group in each.groups]


def open_listeners(config: Config) -> Listeners:
    """Binds as the configuration says, and unless --listen-when-ready listens. Raises StartError with the reason."""
    tls = open_tls(config)
    endpoints = _opened(_at_the_start(config), {}, 1, config)
    return Listeners(_sockets(endpoints), endpoints, security(tls, endpoints, config))


def take_over(sockets: Sequence[socket.socket], config: Config) -> Listeners:
    """Returns listeners of sockets that somebody else has bound, with TLS if that is configured. Raises StartError."""
    for each in sockets:
        set_listening(each, config.backlog)
    return Listeners(sockets, security=Security(open_tls(config)))


def check(config: Config) -> None:
    """Raises StartError, with the reason, if an address could not be bound now or TLS not be spoken. Does not disturb a
    server that runs there."""
    open_tls(config)
    wanted = _at_the_start(config)
    for each in wanted:
        endpoint.check(each, config, wanted)


def _addresses(config: Config, had: Container[str] = ()) -> list[Configured]:
    """Returns the configured addresses. had: texts of those that are already open."""
    passed = activation(os.environ)
    if passed is None and str(Activation()) in had:
        passed = Activation()  # taken from the environment long ago
    addresses = endpoint.configured(config, passed)
    if passed is not None and passed.fds and passed not in addresses:
        logger.warning("the sockets that systemd passes (LISTEN_FDS) are not used: an address is configured")
    return addresses


def _at_the_start(config: Config) -> list[Configured]:
    unused = endpoint.unused(config)
    if unused:
        logger.warning("%s", unused)
    return _addresses(config)


def _opened(wanted: list[Configured], had: Mapping[str, Endpoint], slots: int, config: Config) -> list[Endpoint]:
    """Returns the endpoints in the order wanted, and opens missing ones. Raises StartError, and closes the new ones."""
    new = endpoint.open_all([each for each in wanted if str(each) not in had], config, wanted)
    by_text = {**had, **{each.text: each for each in new}}
    endpoints = [by_text[str(each)] for each in wanted]
    try:
        for opened in endpoints:
            _grow(opened, slots, config.backlog)
        for opened in endpoints:
            if opened not in new:
                opened.refresh(config)
    except BaseException:
        endpoint.close_all(new)
        raise
    if any(isinstance(opened.configured, Activation) for opened in new):
        forget_activation(os.environ)
    return endpoints


def _grow(opened: Endpoint, slots: int, backlog: int) -> None:
    try:
        tcp.grow(opened.groups, slots, backlog)
    except OSError as error:
        raise cannot_listen(opened.text, error) from None


def _sockets(endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    return list(chain.from_iterable(each.sockets for each in endpoints))
