"""`python -m bench.loads.crowd_client PORT CONNECTIONS PATH BYTES PER_SECOND`: a crowd of slow clients.

Each connection asks for PATH and takes its answer of BYTES times the letter x at PER_SECOND bytes a second, then asks
again. Prints `ready` when all have got the first of it, or some seconds have passed, and goes on until standard input
ends. Its last line is how many bytes have come, and how many connections got less than half of what they were ready to
take. Ends with status 1 when an answer is wrong or breaks off.
"""

import selectors
import socket
import sys
import time
from dataclasses import dataclass

from bench.process import HOST

TIMEOUT = 10.0
PIECES = 4  # a second: what a slow link brings at a time
RECEIVE_BUFFER = 8192  # the default would take in all of it at once
SEGMENT = 1460  # Ethernet's, by which the server's kernel measures how much it takes: loopback's would be all of it
ENOUGH = 0.5
SETTLED = 5.0  # seconds: who has nothing by then waits for the others


@dataclass
class Client:
    """One connection. Before the head of its answer has come, none of the body is `owed`."""

    connection: socket.socket
    due: float
    owed: int = 0
    head: bytes = b""
    turns: int = 0
    moved: int = 0


class WrongAnswerError(Exception):
    """What came is not the answer that was asked for."""


def opened(port: int) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(TIMEOUT)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    connection.connect((HOST, port))
    return connection


def take(client: Client, request: bytes, size: int, most: int) -> None:
    """Returns at most this many of the bytes that have come. Raises WrongAnswerError."""
    try:
        piece = client.connection.recv(most)
    except BlockingIOError:
        return
    if not piece:
        raise WrongAnswerError(f"closed after {client.moved} bytes")
    client.moved += len(piece)
    if not client.owed:
        head, end, piece = (client.head + piece).partition(b"\r\n\r\n")
        client.head = b"" if end else head
        if not end:
            return
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if status.split()[1:2] != ["200"]:
            raise WrongAnswerError(status)
        client.owed = size
    if piece.strip(b"x") or len(piece) > client.owed:
        raise WrongAnswerError(f"other bytes after {client.moved}")
    client.owed -= len(piece)
    if not client.owed:
        client.connection.send(request)


def run(clients: list[Client], request: bytes, size: int, piece: int) -> None:
    """Until standard input ends."""
    begun, told = time.monotonic(), False
    with selectors.DefaultSelector() as ended:
        ended.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for client in clients:
                if ended.select(max(0.0, client.due - time.monotonic())):
                    return
                take(client, request, size, piece)
                client.turns += 1
                client.due = time.monotonic() + 1 / PIECES  # what was missed is not made up for
            if not told and (all(client.moved for client in clients) or time.monotonic() > begun + SETTLED):
                told = True
                print("ready", flush=True)


def main() -> None:
    port, count, path, size, per_second = sys.argv[1:]
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    connections = [opened(int(port)) for _ in range(int(count))]
    begun, clients = time.monotonic(), []
    for number, connection in enumerate(connections):
        connection.send(request)
        connection.setblocking(False)
        clients.append(Client(connection, begun + number / len(connections) / PIECES))
    piece = int(per_second) // PIECES
    run(clients, request, int(size), piece)
    behind = sum(client.moved < ENOUGH * piece * client.turns for client in clients)
    print(sum(client.moved for client in clients), behind)


if __name__ == "__main__":
    main()
