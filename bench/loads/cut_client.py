"""`python -m bench.loads.cut_client PORT REQUESTS ABORTED SEED`: requests cut at random, connections that die.

REQUESTS requests (GET, POST with a length, POST in chunks) go out over 64 keep-alive connections, each in one to four
pieces; ABORTED connections are reset after a random part of a request. The application is bench/apps/upload.py, so the
right answer is the length of the body. Ends with status 1 at the first wrong one.
"""

import random
import socket
import struct
import sys
from dataclasses import dataclass

from bench.process import HOST

CONNECTIONS = 64
TIMEOUT = 30.0
BODY = b"x" * 1000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    wire: bytes
    answer: bytes


REQUESTS = (
    Request(b"GET /get?a=1 HTTP/1.1\r\nHost: cut\r\nAccept: text/plain\r\n\r\n", b"\r\n\r\n0"),
    Request(b"POST /length HTTP/1.1\r\nHost: cut\r\nContent-Length: 1000\r\n\r\n" + BODY, b"\r\n\r\n1000"),
    Request(
        b"POST /chunks HTTP/1.1\r\nHost: cut\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3e7\r\n" + BODY[1:] + b"\r\n1\r\nx\r\n0\r\n\r\n",
        b"\r\n\r\n1000",
    ),
)


def connect(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def pieces(wire: bytes, choose: random.Random) -> list[bytes]:
    """`wire` cut at up to three places."""
    cuts = sorted(choose.randrange(1, len(wire)) for _ in range(choose.randint(0, 3)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


def turn(connections: list[socket.socket], choose: random.Random) -> None:
    """One request on each connection, piece by piece over all of them, so that the pieces arrive apart."""
    requests = [choose.choice(REQUESTS) for _ in connections]
    cut = [pieces(request.wire, choose) for request in requests]
    for step in range(max(map(len, cut))):
        for connection, parts in zip(connections, cut, strict=True):
            if step < len(parts):
                connection.sendall(parts[step])
    for connection, request in zip(connections, requests, strict=True):
        expect(connection, request)


def expect(connection: socket.socket, request: Request) -> None:
    answer = b""
    while not answer.endswith(request.answer):
        piece = connection.recv(4096)
        if not piece:
            raise SystemExit(f"{request.wire[:20]!r} was answered with {answer!r}")
        answer += piece


def abort(port: int, choose: random.Random) -> None:
    """A connection that is reset after a random part of a request, or after the whole of it."""
    connection = connect(port)
    wire = choose.choice(REQUESTS).wire
    connection.sendall(wire[: choose.randint(0, len(wire))])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


def main() -> None:
    port, requests, aborted, seed = map(int, sys.argv[1:5])
    choose = random.Random(seed)
    connections = [connect(port) for _ in range(CONNECTIONS)]
    turns = -(-requests // CONNECTIONS)
    for number in range(turns):
        turn(connections, choose)
        for _ in range(aborted * number // turns, aborted * (number + 1) // turns):
            abort(port, choose)
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    main()
