"""`python -m bench.loads.slow_client PORT METHOD PATH BYTES PER_SECOND`: one transfer, paced.

A POST sends a body of BYTES bytes and then checks that the answer is their number; a GET reads an answer of BYTES
bytes. Both move PER_SECOND bytes in each second. Prints `ready` when the transfer runs, and then goes on until it is
done or standard input ends. Its last line is the number of bytes that have moved. Ends with status 1 when the server
does not keep up, breaks off or answers wrongly.
"""

import http.client
import select
import socket
import sys
import time
from collections.abc import Iterator

from bench.process import HOST

TURNS = 50  # a second: pieces are small, so that the pace is even
TIMEOUT = 10.0
RECEIVE_BUFFER = 65_536  # the default would take in megabytes that nobody has read yet
BEHIND = 2.0  # seconds of the pace that may be missing: more, and the server is what is slow


def paced(size: int, per_second: int) -> Iterator[int]:
    """Lengths of pieces that add up to `size`, each when it is due; ends early with standard input.

    Raises TimeoutError when the transfer has fallen behind.
    """
    piece = max(1, per_second // TURNS)
    start, moved = time.monotonic(), 0
    while moved < size:
        early = start + moved / per_second - time.monotonic()
        if early < -BEHIND:
            raise TimeoutError(f"{-early:.1f} s behind after {moved} bytes")
        if select.select([sys.stdin], [], [], max(0.0, early))[0]:
            return
        length = min(piece, size - moved)
        yield length
        moved += length


def connect(port: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    connection.sock = socket.socket()
    connection.sock.settimeout(TIMEOUT)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.sock.connect((HOST, port))
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def upload(connection: http.client.HTTPConnection, path: str, size: int, per_second: int) -> int:
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    print("ready", flush=True)
    moved = 0
    for length in paced(size, per_second):
        connection.send(b"x" * length)
        moved += length
    if moved == size:
        answer = answered(connection).read()
        if answer != b"%d" % size:
            raise ConnectionError(f"{size} bytes were answered with {answer[:80]!r}")
    return moved


def download(connection: http.client.HTTPConnection, path: str, size: int, per_second: int) -> int:
    connection.request("GET", path)
    response = answered(connection)
    print("ready", flush=True)
    moved = 0
    for length in paced(size, per_second):
        piece = response.read(length)
        if len(piece) < length:
            raise ConnectionError(f"ended after {moved + len(piece)} of {size} bytes")
        moved += length
    if moved == size and (more := response.read(1)):
        raise ConnectionError(f"more than {size} bytes: {more!r}")
    return moved


def answered(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    response = connection.getresponse()
    if response.status != 200:
        raise ConnectionError(f"status {response.status}")
    return response


def main() -> None:
    port, method, path, size, per_second = sys.argv[1:]
    transfer = upload if method == "POST" else download
    connection = connect(int(port))
    print(transfer(connection, path, int(size), int(per_second)))
    connection.close()


if __name__ == "__main__":
    main()
