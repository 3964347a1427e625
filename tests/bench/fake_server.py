"""A server with a known cost, for the harness: `fake_server.py PORT MODE COST_NS`.

Every answered request brings the CPU time of this thread up to COST_NS more than the request before: however long it
takes to read and write, it is part of the cost. MODE is `right`, `wrong` (another body), `short` (another length),
`error` (status 500 after the first request), `dies` (exits with status 3 after 200 requests), or `grows` (takes
GROWS_BY bytes of memory with the second request).
"""

import selectors
import socket
import sys
import time

ANSWERS = {
    "right": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!",
    "wrong": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, Wally!",
    "short": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nHello",
    "error": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
}
DIES_AFTER = 200
GROWS_BY = 64 * 2**20


class FakeServer:
    def __init__(self, port: int, mode: str, cost_ns: int) -> None:
        self.mode = mode
        self.cost_ns = cost_ns
        self.answered = 0
        self.due = 0
        self.memory = b""
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.selector.register(self.listener.accept()[0], selectors.EVENT_READ)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self.serve(key.fileobj)

    def serve(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.selector.unregister(connection)
            connection.close()
            return
        self.burn()
        connection.sendall(self.answer())

    def burn(self) -> None:
        if self.answered == 0:
            self.due = time.thread_time_ns()
        self.due += self.cost_ns
        while time.thread_time_ns() < self.due:
            pass

    def answer(self) -> bytes:
        self.answered += 1
        if self.mode == "dies" and self.answered > DIES_AFTER:
            sys.exit(3)
        if self.mode == "grows" and self.answered == 2:
            self.memory = b"x" * GROWS_BY
        if self.mode in ("dies", "grows") or (self.mode == "error" and self.answered == 1):
            return ANSWERS["right"]
        return ANSWERS[self.mode]


if __name__ == "__main__":
    FakeServer(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])).run()
