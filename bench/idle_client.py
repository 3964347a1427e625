"""`python -m bench.idle_client PORT COUNT END`: COUNT idle connections.

Each has had one answer, which ends with END, and then stays silent. Prints `ready` when all of them are idle and holds
them until its standard input ends.
"""

import socket
import sys

from bench.process import HOST

REQUEST = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
TIMEOUT = 10.0


def open_idle(port: int, end: bytes) -> socket.socket:
    """A connection that has been answered once; `end` is how the answer ends."""
    connection = socket.create_connection((HOST, port), TIMEOUT)
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(end):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError(f"closed after {answer!r}")
        answer += piece
    return connection


def main() -> None:
    port, count, end = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
    connections = [open_idle(port, end) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    main()
