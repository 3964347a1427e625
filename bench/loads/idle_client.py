"""`python -m bench.loads.idle_client PORT COUNT END`: COUNT idle connections; `--websocket` as END: WebSockets.

Each has had one answer, which ends with END, or one echo, and then stays silent. Prints `ready` when all of them are
idle and holds them until its standard input ends.
"""

import socket
import sys

from bench.process import HOST

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: idle\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ECHOED, ECHO = b"\x81\x82\0\0\0\0hi", b"\x81\x02hi"  # a text and its echo
REQUEST = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
TIMEOUT = 10.0


def open_idle(port: int, end: bytes) -> socket.socket:
    """A connection that has been answered once; `end` is how the answer ends."""
    connection = socket.create_connection((HOST, port), TIMEOUT)
    exchange(connection, REQUEST, end)
    return connection


def open_websocket(port: int) -> socket.socket:
    """One that has had a message sent back."""
    connection = socket.create_connection((HOST, port), TIMEOUT)
    exchange(connection, HANDSHAKE, b"\r\n\r\n")
    exchange(connection, ECHOED, ECHO)
    return connection


def exchange(connection: socket.socket, request: bytes, end: bytes) -> None:
    """Raises ConnectionError when the server closes before its answer ends so."""
    connection.sendall(request)
    answer = b""
    while not answer.endswith(end):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError(f"closed after {answer!r}")
        answer += piece


def main() -> None:
    port, count, end = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    websocket = end == "--websocket"
    connections = [open_websocket(port) if websocket else open_idle(port, end.encode()) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    main()
