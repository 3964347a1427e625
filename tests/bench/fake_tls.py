"""`fake_tls.py PORT KIND CERTIFICATE KEY`: a server of TLS with a known fault, a connection for each request.

KIND is right, wrong (another body), status (500), resumed (a full handshake is answered wrongly), old (TLS 1.2), refuse
(ends each connection at once), or short (ends it in the middle of the answer). All but `resumed` answer wrongly on a
session that was resumed.
"""

import asyncio
import ssl
import sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\nconnection: close\r\n\r\nHello, World!"
PORT, KIND, CERTIFICATE, KEY = sys.argv[1:]


def answer(resumed: bool) -> bytes:
    if KIND == "wrong" or resumed != (KIND == "resumed"):
        return ANSWER.replace(b"World", b"Wally")
    return ANSWER[:-5] if KIND == "short" else ANSWER.replace(b"200 OK", b"500 Oh") if KIND == "status" else ANSWER


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if KIND != "refuse":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(writer.get_extra_info("ssl_object").session_reused))
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    if KIND == "old":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    secure = None if KIND == "refuse" else context
    async with await asyncio.start_server(serve, "127.0.0.1", int(PORT), ssl=secure) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
