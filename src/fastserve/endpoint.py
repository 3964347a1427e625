"""One configured address, and the sockets that listen on it."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fastserve import inherited, tcp_socket, unix_socket
from fastserve.address_syntax import Address, InheritedAddress, TCPAddress, UnixAddress, parse_address
from fastserve.config import Config
from fastserve.errors import StartError
from fastserve.inherited import Activation
from fastserve.unix_socket import Permissions, SocketPath

Configured = Address | Activation

Description = Mapping[str, Sequence[int]]
"""An endpoint for another process that has its descriptors: `fds`, and of a Unix socket's path the `identity`."""


@dataclass(slots=True, eq=False)
class Endpoint:
    """Owns its sockets."""

    configured: Configured
    groups: list[list[socket.socket]] = field(default_factory=list)
    """TCP: a list for each address of the name; in it the sockets that share the connections, one a slot."""
    shared: list[socket.socket] = field(default_factory=list)
    """Unix and inherited sockets: one for all slots."""
    path: SocketPath | None = None
    listening: bool = True

    @property
    def text(self) -> str:
        return str(self.configured)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return (*chain.from_iterable(self.groups), *self.shared)

    def listen(self, backlog: int) -> None:
        """Raises StartError. Once more, to change the backlog; that of an inherited socket is not ours to change."""
        for group in self.groups:
            tcp_socket.listen(group, backlog)
        for each in self.shared:
            if isinstance(self.configured, UnixAddress):
                unix_socket.listen(each, backlog, self.configured.path)
            else:
                inherited.set_listening(each, backlog)
        self.listening = True

    def refresh(self, config: Config) -> None:
        """Takes on what another configuration says of the same address. Raises StartError."""
        if self.path is not None:
            permissions(config).apply(self.path, None)
        if self.listening:
            self.listen(config.backlog)

    def close(self, *, keep_path: bool = False) -> None:
        """Idempotent. keep_path: another process listens there with the same socket."""
        tcp_socket.close_all(self.sockets)
        if self.path is not None and not keep_path:
            self.path.remove()

    def describe(self) -> Description:
        identity = self.path.identity if self.path is not None else None
        fds = [each.fileno() for each in self.sockets]
        return {"fds": fds} if identity is None else {"fds": fds, "identity": list(identity)}


def configured(config: Config, activation: Activation | None) -> list[Configured]:
    """The addresses, in order. What systemd passed counts more than the defaults, and less than what is configured.

    Raises StartError where one is given for both, with TLS and without.
    """
    main = _main(config, activation)
    plain = [parse_address(each) for each in config.insecure_bind]
    for each in plain:
        if each in main:
            raise StartError(f"insecure_bind: {each} is served with TLS; a plain address needs another port")
    return [*main, *plain]


def is_plain(address: Configured, config: Config) -> bool:
    """Whether it is served without TLS."""
    return not config.tls or str(address) in config.insecure_bind


def _main(config: Config, activation: Activation | None) -> list[Configured]:
    if config.bind:
        return [parse_address(each) for each in config.bind]
    if config.uds is not None:
        return [UnixAddress(config.uds)]
    if config.fd is not None:
        return [InheritedAddress(config.fd)]
    if activation is not None and (config.host, config.port) == (Config.host, Config.port):
        return [activation]
    return [TCPAddress(config.host.removeprefix("[").removesuffix("]"), config.port)]


def permissions(config: Config) -> Permissions:
    return Permissions(config.uds_mode, config.uds_owner)


def open_all(addresses: Sequence[Configured], config: Config) -> list[Endpoint]:
    """Raises StartError, and closes what it opened.

    All are bound before the first one listens: a start that fails breaks off no connection. With --listen-when-ready
    none listens yet, but for what came from elsewhere and does.
    """
    opened: list[Endpoint] = []
    try:
        for each in addresses:
            opened.append(_bind(each, config))  # noqa: PERF401 -- those before one that fails have to be closed
        for endpoint in opened:
            if config.listen_when_ready:
                endpoint.listening = all(map(inherited.listens, endpoint.sockets))
            else:
                endpoint.listen(config.backlog)
    except BaseException:
        close_all(opened)
        raise
    return opened


def adopt(address: Configured, description: Description, backlog: int | None) -> Endpoint:
    """The endpoint that another process described. Raises StartError; descriptors that it has not taken stay open."""
    groups: dict[object, list[socket.socket]] = {}
    try:
        for fd in description["fds"]:
            taken = inherited.adopt(fd, backlog)
            groups.setdefault((taken.family, taken.getsockname()), []).append(taken)
    except BaseException:
        for group in groups.values():
            tcp_socket.close_all(group)
        raise
    if isinstance(address, TCPAddress):
        return Endpoint(address, groups=list(groups.values()))
    shared = list(chain.from_iterable(groups.values()))
    if isinstance(address, UnixAddress) and "identity" in description:
        device, inode = description["identity"]
        return Endpoint(address, shared=shared, path=SocketPath(address.path, (device, inode)))
    return Endpoint(address, shared=shared)


def check(address: Configured, config: Config) -> None:
    """Raises StartError if the address could not be listened on now. Nobody's connections are touched."""
    match address:
        case TCPAddress():
            tcp_socket.close_all(tcp_socket.bind(address))
        case UnixAddress(path):
            unix_socket.check(path, permissions(config))
        case InheritedAddress(fd):
            inherited.check(fd)
        case Activation(fds):
            for fd in fds:
                inherited.check(fd)


def close_all(endpoints: Iterable[Endpoint], *, keep_paths: bool = False) -> None:
    for each in endpoints:
        each.close(keep_path=keep_paths)


def _bind(address: Configured, config: Config) -> Endpoint:
    backlog = None if config.listen_when_ready else config.backlog
    match address:
        case TCPAddress():
            return Endpoint(address, groups=[[each] for each in tcp_socket.bind(address)])
        case UnixAddress(path):
            listener, made = unix_socket.bind(path, permissions(config))
            return Endpoint(address, shared=[listener], path=made)
        case InheritedAddress(fd):
            return Endpoint(address, shared=[inherited.adopt(fd, backlog)])
        case Activation(fds):
            return adopt(address, {"fds": fds}, backlog)
