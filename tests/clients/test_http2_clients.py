"""HTTP/2 clients that others have written: curl, h2load, httpx, Node's, and a browser; against ASGI and WSGI."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from kit import Serve, Server
from kit.browser import browsing
from kit.certificates import shared
from kit.waiting import PATIENCE

MIB = 1 << 20


@pytest.fixture(params=["scripted:app", "wsgi_scripted:app"])
def application(request: pytest.FixtureRequest) -> str:
    """One of either interface; both answer /echo with the request's body and all else with `ok`."""
    name: str = request.param
    return name


@pytest.fixture(params=["cleartext", "tls"])
def either(request: pytest.FixtureRequest, serve: Serve, application: str) -> Server:
    return serve(application, secure=request.param == "tls")


def needs(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(server: Server, target: str, *arguments: str) -> str:
    version = ["--http2", "--cacert", str(shared().file)] if server.secure else ["--http2-prior-knowledge"]
    common = ["--silent", "--show-error", "--noproxy", "*", "--max-time", str(PATIENCE)]
    return run(needs("curl"), *common, *version, *arguments, server.url + target)


def test_curl(either: Server, tmp_path: Path) -> None:
    assert curl(either, "/", "--write-out", " %{http_version}") == "ok 2"
    assert curl(either, "/", "--head").startswith("HTTP/2 200")
    upload, download = tmp_path / "upload", tmp_path / "download"
    upload.write_bytes(os.urandom(3 * MIB))
    curl(either, "/echo", "--data-binary", f"@{upload}", "--output", str(download))
    assert download.read_bytes() == upload.read_bytes()


def test_curl_falls_back_to_http_1(serve: Serve, application: str) -> None:
    server = serve(application, secure=True, http="1.1")
    assert curl(server, "/", "--write-out", " %{http_version}") == "ok 1.1"


def test_h2load(either: Server) -> None:
    text = run(needs("h2load"), "-n", "3000", "-c", "10", "-m", "30", either.url + "/")
    assert "3000 succeeded, 0 failed, 0 errored, 0 timeout" in text
    assert "status codes: 3000 2xx" in text


def test_httpx(serve: Serve, application: str) -> None:
    server = serve(application, secure=True)
    data = os.urandom(MIB)

    async def main() -> None:
        async with httpx.AsyncClient(
            http2=True, verify=shared().context(), base_url=server.url, trust_env=False
        ) as client:
            answers = await asyncio.gather(*(client.post("/echo", content=data[: size * 1000]) for size in range(50)))
            assert [answer.content for answer in answers] == [data[: size * 1000] for size in range(50)]
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert (await client.post("/echo", content=data)).content == data

    asyncio.run(main())


NODE = """
const http2 = require('http2'), fs = require('fs');
const [url, ca] = process.argv.slice(1);
const session = http2.connect(url, ca ? {ca: fs.readFileSync(ca)} : {});
const data = Buffer.alloc(2 << 20, 'node ');
function ask(path, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request({':path': path, ':method': body ? 'POST' : 'GET'});
    const parts = [];
    let status;
    stream.on('response', (fields) => { status = fields[':status']; });
    stream.on('data', (part) => parts.push(part));
    stream.on('end', () => resolve([status, Buffer.concat(parts)]));
    stream.on('error', reject);
    stream.end(body);
  });
}
function cancelled() {
  return new Promise((resolve) => {
    const stream = session.request({':path': '/echo', ':method': 'POST'});
    stream.on('close', () => resolve(stream.rstCode));
    stream.on('error', () => {});
    stream.close(http2.constants.NGHTTP2_CANCEL);
  });
}
(async () => {
  const answers = await Promise.all(Array.from({length: 50}, (_, i) => ask('/echo', Buffer.from('body ' + i))));
  const [status, echoed] = await ask('/echo', data);
  const code = await cancelled();
  const [after, text] = await ask('/');
  session.close();
  console.log(JSON.stringify({
    answers: answers.map(([status, body]) => [status, body.toString()]), status, same: echoed.equals(data), code,
    after: [after, text.toString()]}));
})();
"""


def test_node(either: Server) -> None:
    authority = [str(shared().file)] if either.secure else []
    url = either.url.replace("127.0.0.1", "localhost")
    seen = json.loads(run(needs("node"), "-e", NODE, url, *authority))
    assert seen["answers"] == [[200, f"body {number}"] for number in range(50)]
    assert (seen["status"], seen["same"]) == (200, True)
    assert seen["code"] == 8
    assert seen["after"] == [200, "ok"]


@pytest.mark.slow
def test_a_browser(serve: Serve) -> None:
    """A page whose script fetches from where it came; the protocol is what the browser says it was."""
    server = serve("browsed_h2:app", secure=True)
    with browsing(f"{server.url}/page", "--ignore-certificate-errors"):
        assert server.get("/seen") == b"h2 50 uploads, 1048576 bytes, a stream of 100, a WebSocket"
