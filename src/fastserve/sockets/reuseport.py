"""Which sockets of a SO_REUSEPORT group get new connections: all of them, or the first ones only.

The kernel spreads connections by a hash over all listening sockets. Before one is closed, a classic BPF program sends
new connections to the others, so that everything that waits in it can be accepted. The program returns an index in the
order in which the sockets began to listen, which stays right as long as only the last one is closed.
"""

import array
import errno
import functools
import socket
import struct

_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68

_LOAD_WORD = 0x20
_MODULO = 0x94
_RETURN_ACCUMULATOR = 0x16
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM

_NOT_STEERED = (errno.ENOENT, errno.EINVAL)  # no program; a socket that has never shared its address

_UNACKED_AT = 24  # tcpi_unacked in struct tcp_info: of a listening socket, the connections that wait


def steer(member: socket.socket, count: int) -> None:
    """Makes new connections of the member's group go to its first `count` sockets, at random. Raises OSError."""
    code = ((_LOAD_WORD, _RANDOM), (_MODULO, count), (_RETURN_ACCUMULATOR, 0))
    program = array.array("B", b"".join(struct.pack("HBBI", operation, 0, 0, operand) for operation, operand in code))
    description = struct.pack("HP", len(code), program.buffer_info()[0])
    member.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, description)


def unsteer(member: socket.socket) -> None:
    """Undoes `steer`. Does nothing to a group that is not steered. Raises OSError."""
    try:
        member.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
    except OSError as error:
        if error.errno not in _NOT_STEERED:
            raise


@functools.cache
def available() -> bool:
    """Whether the kernel can steer, and can undo it (Linux 5.3)."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            steer(probe, 1)
            probe.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
        except OSError:
            return False
    return True


def waiting(listener: socket.socket) -> int:
    """Returns how many connections are established and not yet accepted. Raises OSError."""
    information = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_AT + 4)
    (count,) = struct.unpack_from("I", information, _UNACKED_AT)
    return int(count)
