"""A server for the slow clients: `slow_server.py PORT MODE`, a thread for each connection.

MODE is `right`, `wrong` (a wrong number for an upload, half of a download), `error` (status 500), `closes` (each
connection after the head of its request) or `hoards` (right, but a body stays in memory).
"""

import socketserver
import sys
from http.server import BaseHTTPRequestHandler

BLOCK = 65_536
hoard: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    mode = "right"

    def do_GET(self) -> None:
        if self.path.startswith("/download"):
            self.answer(int(self.path.partition("?")[2]))
        else:
            self.answer_text("Hello, World!")

    def do_POST(self) -> None:
        length = left = int(self.headers["Content-Length"])
        if self.mode == "closes":
            self.close_connection = True
            return
        while left:
            piece = self.rfile.read1(min(BLOCK, left))
            if not piece:
                raise ConnectionError("the client has left")
            left -= len(piece)
            if self.mode == "hoards":
                hoard.append(piece)
        self.answer_text(str(length + 1) if self.mode == "wrong" else str(length))

    def answer_text(self, text: str) -> None:
        self.send_response(500 if self.mode == "error" else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def answer(self, size: int) -> None:
        if self.mode in ("error", "closes"):
            self.close_connection = True
            return self.answer_text("no") if self.mode == "error" else None
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        left = size // 2 if self.mode == "wrong" else size
        self.close_connection = self.mode == "wrong"
        while left:
            left -= self.wfile.write(b"x" * min(BLOCK, left))
        return None

    def log_message(self, *_: object) -> None:
        pass


class SlowServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        pass  # clients leave in the middle: that is what they are for


if __name__ == "__main__":
    Handler.mode = sys.argv[2]
    SlowServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
