"""WebSocket clients that others have written: websockets, aiohttp, picows, and a browser."""

import asyncio

import aiohttp
import picows
import pytest
from websockets.asyncio.client import connect

from kit import Serve, Server
from kit.browser import browsing
from kit.waiting import PATIENCE

MESSAGES: list[str | bytes] = ["", "hello", "é€𝄞" * 500, b"", bytes(range(256)) * 300, "x" * 100_000]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websockets(server: Server, compression: str | None) -> None:
    async def main() -> None:
        url = f"ws://127.0.0.1:{server.port}/echo"
        async with connect(url, compression=compression, proxy=None, open_timeout=PATIENCE) as connection:
            for message in MESSAGES:
                await connection.send(message)
                assert await connection.recv() == message
            await connection.send([b"in ", b"fragments"])
            assert await connection.recv() == b"in fragments"
            await (await connection.ping())
        assert (connection.close_code, connection.close_reason) == (1000, "")

    asyncio.run(main())


@pytest.mark.parametrize("compress", [0, 15, 9])
def test_aiohttp(server: Server, compress: int) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{server.url}/echo", compress=compress) as connection:
                for message in MESSAGES:
                    if isinstance(message, str):
                        await connection.send_str(message)
                        assert await connection.receive_str() == message
                    else:
                        await connection.send_bytes(message)
                        assert await connection.receive_bytes() == message
            assert connection.close_code == 1000

    asyncio.run(main())


class Echoed(picows.WSListener):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []
        self.ended = asyncio.Event()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        for number in range(100):
            transport.send(picows.WSMsgType.BINARY, b"%d" % number)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()
            return
        self.seen.append(frame.get_payload_as_bytes())
        if len(self.seen) == 100:
            transport.send_close(picows.WSCloseCode.OK)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.ended.set()


def test_picows(server: Server) -> None:
    async def main() -> None:
        listener = Echoed()
        await picows.ws_connect(lambda: listener, f"ws://127.0.0.1:{server.port}/echo")
        await asyncio.wait_for(listener.ended.wait(), PATIENCE)
        assert listener.seen == [b"%d" % number for number in range(100)]

    asyncio.run(main())


@pytest.mark.slow
def test_a_browser(serve: Serve) -> None:
    """The page connects, has a message sent back, is closed with a reason, and reports what it shows."""
    server = serve("browsed:app")
    with browsing(server.url):
        assert server.get("/seen") == b"open chat|echo hello|echo 3 bytes|closed 3000 as you wish true"
