"""One configured address, and the sockets that listen on it."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fastserve.config.address import Address, InheritedAddress, TCPAddress, UnixAddress, parse_address
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.sockets import inherited, tcp, unix
from fastserve.sockets.inherited import Activation
from fastserve.sockets.unix import Permissions, SocketPath

_TWIN = "insecure "


@dataclass(frozen=True, slots=True)
class Insecure:
    """An address that is served without TLS, beside those with TLS.

    twin: an address with TLS is written the same; this one gets another free port of the same host.
    """

    address: Address
    twin: bool = False

    def __str__(self) -> str:
        return f"{_TWIN}{self.address}" if self.twin else str(self.address)


Configured = Address | Activation | Insecure

Description = Mapping[str, Sequence[int]]
"""An endpoint for another process that has its descriptors: `fds`, and for a Unix socket's path the `identity`."""


@dataclass(slots=True, eq=False)
class Endpoint:
    """A configured address with the sockets that listen on it, which it owns."""

    configured: Configured
    groups: list[list[socket.socket]] = field(default_factory=list)
    """TCP: for each address of the name, the sockets that share the connections, one a slot."""
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
        """Listens; called again, changes the backlog, but not that of an inherited socket. Raises StartError."""
        for group in self.groups:
            tcp.listen(group, backlog)
        for each in self.shared:
            if isinstance(address := _written(self.configured), UnixAddress):
                unix.listen(each, backlog, address.path)
            else:
                inherited.set_listening(each, backlog)
        self.listening = True

    def refresh(self, config: Config) -> None:
        """Applies what another configuration says of the same address. Raises StartError."""
        if self.path is not None:
            permissions(config).apply(self.path, None)
        if self.listening:
            self.listen(config.backlog)

    def close(self, *, keep_path: bool = False) -> None:
        """Closes the sockets. Idempotent. keep_path: another process listens there with the same socket."""
        tcp.close_all(self.sockets)
        if self.path is not None and not keep_path:
            self.path.remove()

    def describe(self) -> Description:
        identity = self.path.identity if self.path is not None else None
        fds = [each.fileno() for each in self.sockets]
        return {"fds": fds} if identity is None else {"fds": fds, "identity": list(identity)}


def configured(config: Config, activation: Activation | None) -> list[Configured]:
    """Returns the addresses, in order. Configured ones override those of systemd, which override the defaults.

    Raises StartError if an address is given both with TLS and without; with port 0 these are two addresses.
    """
    main = _main(config, activation)
    texts = {str(each) for each in main}
    plain = [Insecure(parse_address(each), each in texts) for each in config.insecure_bind]
    for each in plain:
        if each.twin and not (isinstance(each.address, TCPAddress) and each.address.port == 0):
            raise StartError(f"insecure_bind: {each.address} is served with TLS; a plain address needs another port")
    return [*main, *plain]


def unused(config: Config) -> str:
    """Returns, in a line, the configured addresses that are not listened on; empty for none."""
    instead = "uds" if config.uds is not None else "fd"
    given = [name for name in ("host", "port") if getattr(config, name) != getattr(Config, name)]
    if not given or config.bind or (config.uds is None and config.fd is None):
        return ""
    return f"--{' and --'.join(given)} {'is' if len(given) == 1 else 'are'} not used: --{instead} is given"


def without_tls(endpoints: Iterable[Endpoint], config: Config) -> list[Endpoint]:
    """Returns the endpoints that `config` has served without TLS; an open one may have been served otherwise before."""
    twins = {each.text.removeprefix(_TWIN) for each in endpoints if each.text.startswith(_TWIN)}
    texts = {_TWIN + each if each in twins else each for each in config.insecure_bind}
    return [each for each in endpoints if each.text in texts]


def _written(configured: Configured) -> Address | Activation:
    return configured.address if isinstance(configured, Insecure) else configured


def _v6_only(address: TCPAddress, wanted: Iterable[Configured]) -> bool:
    """Whether `::` leaves IPv4 to another address of the same port."""
    others = [each for each in map(_written, wanted) if isinstance(each, TCPAddress) and each != address]
    return address.port != 0 and any(each.port == address.port and ":" not in each.host for each in others)


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


def open_all(addresses: Sequence[Configured], config: Config, wanted: Sequence[Configured]) -> list[Endpoint]:
    """Opens the endpoints of these addresses. Raises StartError, and then closes what it opened.

    wanted: these addresses and those that are already open.

    All are bound before the first one listens, so that a start that fails breaks off no connection. With
    --listen-when-ready none listens yet, except sockets from elsewhere that already do.
    """
    opened: list[Endpoint] = []
    try:
        for each in addresses:
            opened.append(_bind(each, config, wanted))  # noqa: PERF401 -- those before one that fails have to be closed
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
    """Returns the endpoint that another process described. Raises StartError; descriptors not taken then stay open."""
    groups: dict[object, list[socket.socket]] = {}
    try:
        for fd in description["fds"]:
            taken = inherited.adopt(fd, backlog)
            groups.setdefault((taken.family, taken.getsockname()), []).append(taken)
    except BaseException:
        for group in groups.values():
            tcp.close_all(group)
        raise
    written = _written(address)
    if isinstance(written, TCPAddress):
        return Endpoint(address, groups=list(groups.values()))
    shared = list(chain.from_iterable(groups.values()))
    if isinstance(written, UnixAddress) and "identity" in description:
        device, inode = description["identity"]
        return Endpoint(address, shared=shared, path=SocketPath(written.path, (device, inode)))
    return Endpoint(address, shared=shared)


def check(address: Configured, config: Config, wanted: Sequence[Configured]) -> None:
    """Raises StartError if the address could not be listened on now. Nobody's connections are touched.

    wanted: all configured addresses.
    """
    match _written(address):
        case TCPAddress() as written:
            tcp.close_all(tcp.bind(written, v6_only=_v6_only(written, wanted)))
        case UnixAddress(path):
            unix.check(path, permissions(config))
        case InheritedAddress(fd):
            inherited.check(fd)
        case Activation(fds):
            for fd in fds:
                inherited.check(fd)


def close_all(endpoints: Iterable[Endpoint], *, keep_paths: bool = False) -> None:
    for each in endpoints:
        each.close(keep_path=keep_paths)


def _bind(address: Configured, config: Config, wanted: Sequence[Configured]) -> Endpoint:
    backlog = None if config.listen_when_ready else config.backlog
    match _written(address):
        case TCPAddress() as written:
            bound = tcp.bind(written, v6_only=_v6_only(written, wanted))
            return Endpoint(address, groups=[[each] for each in bound])
        case UnixAddress(path):
            listener, made = unix.bind(path, permissions(config))
            return Endpoint(address, shared=[listener], path=made)
        case InheritedAddress(fd):
            return Endpoint(address, shared=[inherited.adopt(fd, backlog)])
        case Activation(fds):
            return adopt(address, {"fds": fds}, backlog)
