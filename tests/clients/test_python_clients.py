"""httpx and aiohttp, synchronous and asynchronous, and a keep-alive client that dies in the middle."""

import asyncio
import subprocess
import sys
import urllib.request

import aiohttp
import httpx

from kit import Server, request, script
from kit.script import answers, body, start
from kit.waiting import PATIENCE, until


def test_httpx_keep_alive_and_streams(server: Server) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for _ in range(50):
            assert client.get("/").text == "ok"
        run = script(server, start(), ("pieces", 100, 10_000))
        with client.stream("GET", run.target) as response:
            assert sum(len(piece) for piece in response.iter_raw()) == 1_000_000
        assert client.post("/echo", content=iter([b"a", b"b"])).content == b"ab"


def test_httpx_many_at_once(server: Server) -> None:
    async def main() -> list[bytes]:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            posts = [client.post("/echo", content=b"%d" % number * 1000) for number in range(100)]
            return [response.content for response in await asyncio.gather(*posts)]

    assert asyncio.run(main()) == [b"%d" % number * 1000 for number in range(100)]


def test_aiohttp(server: Server) -> None:
    async def one(session: aiohttp.ClientSession, number: int) -> bytes:
        async with session.post(
            f"{server.url}/echo", data=b"%d" % number * 5000, expect100=number % 2 == 0
        ) as response:
            assert response.status == 200
            return await response.read()

    async def main() -> list[bytes]:
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*[one(session, number) for number in range(100)])

    assert asyncio.run(main()) == [b"%d" % number * 5000 for number in range(100)]


def test_aiohttp_reads_a_stream(server: Server) -> None:
    run = script(server, start(), body(b"first", True), ("turn", 5), ("pieces", 10, 100_000))

    async def main() -> bytes:
        async with aiohttp.ClientSession() as session, session.get(server.url + run.target) as response:
            return await response.read()

    assert asyncio.run(main()) == b"first" + bytes(1_000_000)


def test_urllib(server: Server) -> None:
    """Connection: close on each request."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(5):
        with opener.open(server.url + "/") as response:
            assert response.read() == b"ok"


DYING = """
import os, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
answer = b""
while not answer.endswith(b"ok"):
    piece = connection.recv(65536)
    assert piece
    answer += piece
connection.sendall(bytes.fromhex(sys.argv[2]))
os._exit(1)
"""


def test_keep_alive_client_that_dies_in_its_second_request(server: Server) -> None:
    """The kernel ends the connection of a dead process; the application learns of it, nothing is left."""
    server.get("/")
    before = server.descriptors()
    run = script(server, ("body",))
    half = run.request("Content-Length: 100", method="POST") + b"half"
    for data in (half, b"GET / HTTP/1.1\r\nHo", script(server, ("pause", 0.1), *answers()).request()):
        command = [sys.executable, "-c", DYING, str(server.port), data.hex()]
        assert subprocess.run(command, timeout=PATIENCE, check=False).returncode == 1
    assert run.journal()[0] == ("body", 4, "http.disconnect")
    assert until(lambda: server.descriptors() <= before)
    with server.connect() as client:
        assert client.exchange(request("/")).body == b"ok"
