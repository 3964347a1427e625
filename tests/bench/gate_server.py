"""A server that gives the gate what it asks for, but for one fault: `gate_server.py PORT FAULT`.

FAULT is `none`, `bare` (joins cookies without a space, which is no fault), or `waits` (for a whole second request
before it answers the first), `head` (a body after it), `comma` (joins cookies), `injects`, `whole` (ends what broke
off), `open` (leaves it open), `serial` (one connection at a time), `dies` (at a line break in a header), `worker`
(the same, in a child that is replaced), or `deaf` (answers wrongly).
"""

import os
import socket
import sys
import threading
import time

END = b"\r\n\r\n"
STOP = b"0\r\n\r\n"


def answer(target: str, body: bytes, *fields: str) -> bytes:
    head = "".join(f"{field}\r\n" for field in (f"content-length: {len(body)}", *fields))
    return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + (b"" if target.startswith("HEAD ") else body)


class GateServer:
    def __init__(self, fault: str) -> None:
        self.fault = fault

    def run(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=self.serve, args=[connection], daemon=True)
            thread.start()
            if self.fault == "serial":
                thread.join()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            buffer = b""
            while data := connection.recv(65_536):
                buffer += data
                while END in buffer and not (self.fault == "waits" and not buffer.endswith(END)):
                    head, _, buffer = buffer.partition(END)
                    if not self.reply(connection, head.decode()):
                        return

    def reply(self, connection: socket.socket, head: str) -> bool:
        """Whether the connection stays open."""
        target, *fields = head.split("\r\n")
        method, path, _ = target.split()
        if path == "/broken":
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\npiece\r\n")
            if self.fault == "open":
                time.sleep(60)
            if self.fault == "whole":
                connection.sendall(STOP)
            return False
        if path == "/injected":
            if self.fault in ("dies", "worker"):
                os._exit(3)
            value = "a\r\nx-injected: 1" if self.fault == "injects" else "a"
            connection.sendall(answer(target, b"", f"x-value: {value}"))
            return True
        cookies = [value for name, _, value in (field.partition(": ") for field in fields) if name == "Cookie"]
        joined = {"comma": ", ", "bare": ";"}.get(self.fault, "; ").join(cookies)
        body = joined.encode() if path == "/cookies" else b"wrong" if self.fault == "deaf" else path.encode()
        connection.sendall(answer("GET " if method == "HEAD" and self.fault == "head" else target, body))
        return True


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    if sys.argv[2] == "worker":
        while os.fork():
            os.wait()
    GateServer(sys.argv[2]).run(listener)


if __name__ == "__main__":
    main()
