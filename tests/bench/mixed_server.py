"""A server for the loads that wrk is not: `mixed_server.py PORT MODE`, a thread for each connection.

`/` is hello, `/5` is hello after 5 ms, `/sized/1000` has 1000 times the letter x. MODE is `right`, `wrong` (another
text), `error` (status 500), `closes` (each connection after the head of its request), `starves` (a sized answer ends
after its first bytes, and its connection stays open) or `tells` (right, and prints the request's fields).
"""

import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    mode = "right"

    def do_GET(self) -> None:
        if self.mode == "closes":
            self.close_connection = True
            return
        if self.mode == "tells":
            print(*(f"{name}: {value}" for name, value in self.headers.items()), sep=" | ", flush=True)
        *_, kind, last = self.path.split("/")
        body = b"x" * int(last) if kind == "sized" else b"Hello, Wally!" if self.mode == "wrong" else b"Hello, World!"
        if kind != "sized" and last:
            time.sleep(int(last) / 1000)
        self.send_response(500 if self.mode == "error" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.mode == "wrong" and kind == "sized":
            body = b"y" + body[1:]
        self.wfile.write(body[:10] if self.mode == "starves" and kind == "sized" else body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.headers["Content-Type"], len(body), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        pass  # a client that has left in the middle


if __name__ == "__main__":
    Handler.mode = sys.argv[2]
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
