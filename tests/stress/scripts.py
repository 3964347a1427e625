"""Draws clients: what each sends, in which pieces, and how it leaves."""

import random
import struct

from hpack import Encoder

from kit import http2
from kit import websocket as ws
from stress import programs
from stress.answers import HTTP1Reader, HTTP2Reader, Request
from stress.client import Client, Step, Way
from stress.marks import INJECTED, cell
from stress.setting import Setting

CUTS = 6
SMUGGLED = f"GET {INJECTED}%s HTTP/1.1\r\nHost: test\r\n\r\n"


class Draw:
    """Draws the clients of one scene.

    without: letters of steps that are left out.
    """

    def __init__(self, setting: Setting, scene: int, without: str = "") -> None:
        self.setting = setting
        self.scene = scene
        self.without = without
        self.rng = random.Random(f"{setting.seed} scene {scene}")
        self.count = 0

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def client(self, number: int) -> Client:
        rng = self.rng
        ways = [Way.TCP, Way.TCP, Way.UNIX, Way.PROXY] + [Way.TLS] * (4 if self.setting.tls else 0)
        way = rng.choice(ways)
        stays = self.chance(0.5)
        kinds = [self.http1] * 5 + [self.http2] * 5 + [self.websocket, self.websocket, self.websocket2, self.garbage]
        name = f"{self.scene}.{number}"
        client = rng.choice(kinds)(name, way, stays)
        if way is Way.PROXY:
            client.steps.insert(0, Step("send", self.proxy_header()))
        client.receive_buffer = rng.choice([0, 0, 0, 2048])
        return client

    def mark(self) -> str:
        self.count += 1
        return f"{self.scene:x}.{self.count:x}"

    def proxy_header(self) -> bytes:
        rng = self.rng
        if self.chance(0.1):
            return rng.choice([b"PROXY TCP4 1.2.3.4\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n\0\r\nQUIT\n\xff"])
        if self.chance(0.5):
            return b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n"
        address = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + struct.pack(">HH", 4000, 80)
        return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(address)) + address

    # ---- pieces and ends

    def cut(self, data: bytes) -> list[Step]:
        """Sends it in one piece or in some."""
        rng = self.rng
        if len(data) < 2 or self.chance(0.5):
            return [Step("send", data)]
        edges = [1, 2, 9, 16, 23, 24, len(data) - 1, len(data) // 2]
        points = {rng.choice([rng.randrange(1, len(data)), *edges]) for _ in range(rng.randint(1, CUTS))}
        steps = []
        before = 0
        for point in [*sorted(each for each in points if 0 < each < len(data)), len(data)]:
            steps.append(Step("send", data[before:point]))
            before = point
            if self.chance(0.3):
                steps.append(self.reading())
        return steps

    def reading(self) -> Step:
        return Step("read", size=self.rng.choice([1, 100, 5000, 100_000, 1 << 20]))

    def leaving(self, steps: list[Step], stays: bool) -> list[Step]:
        """How it ends: with all answers, or in the midst of everything."""
        rng = self.rng
        if stays:
            if self.chance(0.2):
                steps.append(Step("half"))
            if self.chance(0.1):
                steps += [self.reading() for _ in range(3)]
            return [*steps, Step("wait"), Step(rng.choice(["close", "close", "reset"]))]
        if self.chance(0.4):
            steps = steps[: rng.randint(1, len(steps))]
        if self.chance(0.3):
            steps.append(self.reading())
        if self.chance(0.2):
            steps.append(Step("half"))
        if self.chance(0.2):
            steps += [Step("nothing")] * rng.randint(1, 30)
        return [*steps, Step(rng.choice(["close", "reset", "reset"]))]

    def first_act(self, data: bytes) -> list[Step]:
        return [Step("send", data), Step("wait", size=1), Step("act")]

    # ---- HTTP/1.1

    def http1(self, name: str, way: Way, stays: bool) -> Client:
        requests: list[Request] = []
        data = b""
        before: list[Step] = []
        if self.chance(0.3):
            mark = self.mark()
            requests.append(Request(mark))
            before = self.first_act(f"GET /run/{mark} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3, 6])):
            data += self.request1(requests, stays)
        if self.chance(0.1):
            data += self.noise()
        client = Client(name, way, before + self.leaving(self.cut(data), stays), requests, stays=stays)
        client.reader = HTTP1Reader(requests)
        return client

    def request1(self, requests: list[Request], stays: bool) -> bytes:
        rng = self.rng
        mark = self.mark()
        method = rng.choice(["GET", "GET", "GET", "POST", "POST", "HEAD"])
        program = programs.http_program(rng, self.setting.interface, stays, self.without)
        version = "1.0" if self.chance(0.03) else "1.1"
        head = f"{method} /run/{mark}/{program} HTTP/{version}\r\nHost: test\r\n"
        if self.chance(0.07):
            head += f"Connection: {rng.choice(['close', 'keep-alive', 'x'])}\r\n"
        if self.chance(0.1):
            head += "TE: trailers\r\n"
        requests.append(Request(mark, method))
        if method != "POST":
            return head.encode() + b"\r\n"
        if self.chance(0.15):
            head += "Expect: 100-continue\r\n"
        body = self.upload(mark)
        if version == "1.1" and self.chance(0.5):
            return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + self.chunked(body)
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def upload(self, mark: str) -> bytes:
        """A body that looks like requests."""
        smuggled = (SMUGGLED % mark).encode()
        size = self.rng.choice([0, 1, 60, 4000, 70_000, 70_000, 300_000])
        return (smuggled * (size // len(smuggled) + 1))[:size]

    def chunked(self, body: bytes) -> bytes:
        size = self.rng.choice([1000, 5000, 65536]) if len(body) > 5000 else self.rng.choice([2, 7, 1000])
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    def noise(self) -> bytes:
        rng = self.rng
        return rng.choice(
            [
                rng.randbytes(rng.randint(1, 300)),
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"GET /" + b"x" * 10000,
                b"\r\n" * rng.randint(1, 20),
                b"GET / HTTP/1.1\r\nX: " + b"y" * 40000,
            ]
        )

    def garbage(self, name: str, way: Way, stays: bool) -> Client:
        """What is no request, or only the first part of one."""
        rng = self.rng
        preface = http2.PREFACE
        data = rng.choice(
            [
                self.noise(),
                b"PRI * " + rng.randbytes(10),
                preface[: rng.randint(1, 23)],
                preface + rng.randbytes(rng.randint(1, 100)),
                preface + bytes(300_000),
                preface[:12] + bytes(300_000),
                b"",
                b"\x16\x03\x01\x02\x00\x01" + rng.randbytes(200),
            ]
        )
        steps = self.cut(data)
        if way is Way.TLS and self.chance(0.5):
            steps = [Step("raw", each.data) for each in steps]
        requests: list[Request] = []
        return Client(name, way, self.leaving(steps, False), requests, stays=False)

    # ---- HTTP/2

    def http2(self, name: str, way: Way, stays: bool) -> Client:
        return Session(self, name, way, stays).client()

    # ---- WebSocket

    def websocket(self, name: str, way: Way, stays: bool) -> Client:
        mark = self.mark()
        program = programs.websocket_program(self.rng, stays, self.without)
        lines = ["Sec-WebSocket-Extensions: permessage-deflate"] if self.chance(0.3) else []
        request = Request(mark, checked=False)
        data = [ws.handshake(f"/run/{mark}/{program}", *lines), *self.messages(mark, bool(lines))]
        steps = self.cut(b"".join(data)) if self.chance(0.5) else [step for each in data for step in self.cut(each)]
        client = Client(name, way, self.leaving(steps, stays), [request], stays=stays)
        client.reader = HTTP1Reader([request])
        return client

    def websocket2(self, name: str, way: Way, stays: bool) -> Client:
        return Session(self, name, way, stays, tunnel=True).client()

    def messages(self, mark: str, deflate: bool) -> list[bytes]:
        """Frames of a client, mostly good ones; the last is mostly a close frame."""
        rng = self.rng
        found = []
        for _ in range(rng.choice([0, 1, 3, 10])):
            payload = cell(mark) * programs.cells(rng)
            kind = rng.random()
            if kind < 0.6:
                found.append(ws.frame(ws.FIN | ws.BINARY, payload))
            elif kind < 0.75:
                found.append(ws.frame(ws.TEXT, b"half a "))
                found.append(ws.frame(ws.FIN | 0, b"message"))
            elif kind < 0.85:
                found.append(ws.frame(ws.FIN | ws.PING, b"ping"))
            elif kind < 0.93:
                found.append(ws.frame(ws.TEXT, b"never to be ended"))
            else:
                wrong = [ws.frame(0x83, b""), ws.frame(ws.FIN | ws.TEXT, b"\xff\xfe"), b"\x82\xff" + b"\x7f" * 12]
                wrong.append(ws.frame(ws.FIN | ws.RSV1 | ws.BINARY, rng.randbytes(20)))
                found.append(rng.choice(wrong))
        if self.chance(0.7):
            found.append(ws.frame(ws.FIN | ws.CLOSE, ws.close_payload(1000)))
        return found


class Session:
    """Draws one client of HTTP/2: its frames, all of them made beforehand."""

    def __init__(self, draw: Draw, name: str, way: Way, stays: bool, tunnel: bool = False) -> None:
        self.draw = draw
        self.rng = draw.rng
        self.name = name
        self.way = way
        self.stays = stays
        self.tunnel = tunnel
        self.encoder = Encoder()
        self.streams: dict[int, Request] = {}
        self.frames: list[bytes] = []
        self.next = 1
        self.credit = 65_535  # of the connection's window, as far as it is open from the start

    def client(self) -> Client:
        rng = self.rng
        self.begin()
        before: list[Step] = []
        if self.draw.chance(0.3):
            self.request(f"/run/{(mark := self.draw.mark())}", mark)
            before = self.draw.first_act(b"".join(self.frames))
            self.frames.clear()
        for _ in range(rng.choice([1, 1, 2, 3, 8])):
            self.tunnelled() if self.tunnel and self.draw.chance(0.7) else self.drawn_request()
            if self.draw.chance(0.3):
                self.between()
        data = b"".join(self.frames)
        edges = self.frames if self.draw.chance(0.5) else [data]
        steps = [step for each in edges for step in self.draw.cut(each)]
        steps = before + self.draw.leaving(steps, self.stays)
        client = Client(self.name, self.way, steps, list(self.streams.values()), stays=self.stays)
        client.alpn = ["h2"]
        polite = self.stays or self.draw.chance(0.7)
        client.reader = HTTP2Reader(self.streams, client.say, polite, polite)
        return client

    def begin(self) -> None:
        rng = self.rng
        pairs = []
        if self.draw.chance(0.4):
            window = rng.choice([0, 1, 100, 65535, 1 << 20]) if not self.stays else rng.choice([16384, 1 << 20])
            pairs.append((http2.INITIAL_WINDOW_SIZE, window))
        if self.draw.chance(0.2):
            pairs.append((http2.HEADER_TABLE_SIZE, rng.choice([0, 4096])))
        self.frames.append(http2.PREFACE + http2.settings(*pairs))

    def stream(self, request: Request) -> int:
        number, self.next = self.next, self.next + 2
        self.streams[number] = request
        return number

    def head(self, stream: int, fields: list[tuple[str, str]], end: bool) -> None:
        block = self.encoder.encode(fields)
        flags = http2.END_STREAM if end else 0
        if len(block) > 10 and self.draw.chance(0.1):
            cut = self.rng.randrange(1, len(block))
            self.frames.append(http2.frame(http2.HEADERS, flags, stream, block[:cut]))
            self.frames.append(http2.frame(http2.CONTINUATION, http2.END_HEADERS, stream, block[cut:]))
        else:
            self.frames.append(http2.frame(http2.HEADERS, flags | http2.END_HEADERS, stream, block))

    def drawn_request(self) -> None:
        rng = self.rng
        mark = self.draw.mark()
        program = programs.http_program(rng, self.draw.setting.interface, self.stays, self.draw.without)
        self.request(f"/run/{mark}/{program}", mark, rng.choice(["GET", "GET", "POST", "HEAD"]))

    def request(self, target: str, mark: str, method: str = "GET") -> None:
        request = Request(mark, method)
        stream = self.stream(request)
        self.head(stream, http2.get(target, method=method), method != "POST")
        if method == "POST":
            self.body(stream, mark)

    def body(self, stream: int, mark: str) -> None:
        data = self.draw.upload(mark)[: self.credit]
        self.credit -= len(data)
        size = self.rng.choice([100, 1000, 16384])
        pieces = [data[at : at + size] for at in range(0, len(data), size)][:40]
        for piece in pieces:
            self.frames.append(http2.frame(http2.DATA, 0, stream, piece))
        if self.stays or self.draw.chance(0.8):
            self.frames.append(http2.frame(http2.DATA, http2.END_STREAM, stream))

    def tunnelled(self) -> None:
        """A WebSocket over a stream (RFC 8441)."""
        mark = self.draw.mark()
        program = programs.websocket_program(self.rng, self.stays, self.draw.without)
        request = Request(mark, "CONNECT", checked=False)
        stream = self.stream(request)
        fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", f"/run/{mark}/{program}"),
            (":authority", "test"),
            ("sec-websocket-version", "13"),
        ]
        self.head(stream, fields, False)
        for message in self.draw.messages(mark, False):
            message = message[: min(self.credit, 16384)]
            self.credit -= len(message)
            self.frames.append(http2.frame(http2.DATA, 0, stream, message))
        if self.stays or self.draw.chance(0.5):
            self.frames.append(http2.frame(http2.DATA, http2.END_STREAM, stream))

    def between(self) -> None:
        """Other frames, some of which nobody may send; those who stay for their answers leave the worst out."""
        rng = self.rng
        stream = rng.choice([0, *self.streams])
        good = [
            http2.frame(http2.PING, 0, 0, b"12345678"),
            http2.frame(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", rng.choice([1, 1000, 100_000]))),
            http2.frame(http2.PRIORITY, 0, stream or 1, struct.pack(">IB", 0, 10)),
            http2.frame(http2.SETTINGS),
            http2.frame(0x77, 0, stream, b"unknown"),
            http2.settings((http2.INITIAL_WINDOW_SIZE, rng.choice([16384, 65535, 1 << 20]))),
        ]
        bad = [
            http2.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", rng.choice([0, 5, 7, 8]))),
            http2.frame(http2.RST_STREAM, 0, stream or 1, struct.pack(">I", 8)),
            http2.frame(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", rng.choice([0, 0x7FFFFFFF]))),
            http2.frame(http2.GOAWAY, 0, 0, struct.pack(">II", 0, 0)),
            http2.frame(http2.DATA, 0, stream, b"x" * rng.choice([0, 1, 16384])),
            http2.frame(http2.SETTINGS, 0, 0, b"odd"),
            http2.settings((http2.INITIAL_WINDOW_SIZE, rng.choice([0, 1, 0x80000000]))),
            http2.frame(http2.CONTINUATION, 0, stream, b""),
            http2.frame(http2.PUSH_PROMISE, 0, stream, b"1234"),
            http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, rng.randbytes(20)),
            http2.frame(http2.PING, 0, 0, b"short"),
            struct.pack(">I", 1 << 20)[1:] + b"\0\0" + bytes(4),
            rng.randbytes(rng.randint(1, 60)),
        ]
        self.frames.append(rng.choice(good if self.stays or self.draw.chance(0.4) else bad))
