"""`fake_websocket.py PORT KIND`: a WebSocket server with a known fault: right, deflate, wrong, refuse, die."""

import asyncio
import sys
import zlib

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
KIND = sys.argv[2]


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    size &= 0x7F
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = await reader.readexactly(4) * (size // 4 + 1)
    payload = await reader.readexactly(size)
    clear = int.from_bytes(payload, "big") ^ int.from_bytes(mask[:size], "big")
    return first, clear.to_bytes(size, "big")


def framed(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    wide, mark = (2, 126) if size < 65536 else (8, 127)
    return bytes([first, mark]) + size.to_bytes(wide, "big") + payload


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    out, into = zlib.compressobj(1, zlib.DEFLATED, -12), zlib.decompressobj(-15)
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        if KIND == "refuse":
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if b"permessage-deflate" in request else b""
        writer.write(ANSWER + extension + b"\r\n")
        while True:
            first, payload = await frame(reader)
            if KIND == "die":
                return
            if first & 0x40:
                message = into.decompress(payload + b"\0\0\xff\xff")
                payload = (out.compress(message) + out.flush(zlib.Z_SYNC_FLUSH))[:-4]
            elif KIND == "wrong":
                payload = payload[::-1]
            writer.write(framed(first, payload))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), limit=1 << 20) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
