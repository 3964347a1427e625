"""What every WSGI framework does, on one thread and on eight: routes, forms, files, streams, failures, cookies."""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from kit import Serve, Server

EVERY = [
    "with_flask",
    "with_django_wsgi",
    "with_pyramid",
    "with_bottle",
    "with_falcon_wsgi",
    "with_webpy",
    "with_poorwsgi",
]
CRASHES = {
    "with_flask": "flask view fails",
    "with_django_wsgi": "django view fails",
    "with_pyramid": "pyramid view fails",
    "with_bottle": "bottle view fails",
    "with_falcon_wsgi": "falcon resource fails",
    "with_webpy": "web.py view fails",
    "with_poorwsgi": "poorwsgi view fails",
}
LINES = "".join(f"{number}\n" for number in range(100))
PROPAGATES = ["with_pyramid"]  # the others answer 500 and log by themselves
BUFFER = 512 * 1024  # --body-buffer-size: a larger body is in a temporary file


class Site(NamedTuple):
    server: Server
    client: httpx.Client


@pytest.fixture
def loop() -> str:
    """A WSGI application runs without an event loop; `serve` is not repeated for each."""
    return "auto"


@pytest.fixture(params=[1, 8], ids=["one-thread", "eight-threads"])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(params=EVERY)
def name(request: pytest.FixtureRequest) -> str:
    module: str = request.param
    return module


@pytest.fixture
def site(serve: Serve, threads: int, name: str) -> Iterator[Site]:
    server = serve(f"{name}:app", threads=threads)
    with server.client() as client:
        yield Site(server, client)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that no socket buffer takes at once."""
    path = tmp_path_factory.mktemp("download") / "sample.bin"
    path.write_bytes(bytes(range(256)) * 12_000)
    return path


def content(size: int) -> bytes:
    """Lines of which some begin like a boundary. They are long, since Bottle 0.13 refuses a file after a text field
    when one of its lines ends just below MEMFILE_MAX."""
    piece = b"0123456789" * 500 + b"\r\n--x\r\n"
    return (piece * (size // len(piece) + 1))[:size]


def test_route_with_a_parameter_and_a_query(site: Site) -> None:
    url = f"{site.server.url}/items/17"
    answer = site.client.get("/items/17", params={"name": "é & ü"}).json()
    assert answer == {"number": 17, "name": "é & ü", "client": "127.0.0.1", "url": url}


def test_form(site: Site) -> None:
    response = site.client.post("/form", data={"name": "é=&", "several": ["a", "b"]})
    assert response.json() == {"name": "é=&", "several": ["a", "b"]}


@pytest.mark.parametrize("size", [1, 1000, BUFFER, 3_000_000])
def test_upload(site: Site, size: int) -> None:
    body = content(size)
    files = {"file": ("n.bin", body, "application/octet-stream")}
    response = site.client.post("/upload", data={"title": "a file"}, files=files)
    digest = hashlib.sha256(body).hexdigest()
    assert response.json() == {"title": "a file", "name": "n.bin", "size": size, "sha256": digest}


@pytest.mark.parametrize("size", [1, BUFFER, BUFFER + 1])
def test_body_is_echoed(site: Site, size: int) -> None:
    response = site.client.post("/echo", content=content(size), headers={"content-type": "application/octet-stream"})
    assert response.content == content(size)


def test_chunked_body_is_read_to_its_end(site: Site) -> None:
    pieces = [content(1000)] * 1000
    headers = {"content-type": "application/octet-stream"}
    assert site.client.post("/echo", content=iter(pieces), headers=headers).content == b"".join(pieces)


def test_download(site: Site, sample: Path) -> None:
    response = site.client.get("/file", params={"path": str(sample)})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-length"] == str(sample.stat().st_size)
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.content == sample.read_bytes()


@pytest.mark.parametrize("name", ["with_flask", "with_pyramid", "with_bottle"])
def test_part_of_a_file(site: Site, sample: Path) -> None:
    headers = {"range": "bytes=1000-200999", "accept-encoding": "identity"}
    response = site.client.get("/file", params={"path": str(sample)}, headers=headers)
    assert (response.status_code, response.headers["content-length"]) == (206, "200000")
    assert response.content == sample.read_bytes()[1000:201_000]


@pytest.mark.parametrize("name", ["with_flask"])
def test_end_of_a_large_file(site: Site, tmp_path: Path) -> None:
    """Werkzeug seeks to it, where the wrapper can; what comes before it is not read."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.seek(64 << 30)
        file.write(b"the last sixteen")
    response = site.client.get("/file", params={"path": str(path)}, headers={"range": "bytes=-16"})
    assert (response.status_code, response.content) == (206, b"the last sixteen")


@pytest.mark.parametrize("name", ["with_flask", "with_bottle"])
def test_file_that_the_client_has(site: Site, sample: Path) -> None:
    first = site.client.get("/file", params={"path": str(sample)})
    headers = {"if-modified-since": first.headers["last-modified"]}
    second = site.client.get("/file", params={"path": str(sample)}, headers=headers)
    assert (second.status_code, second.content) == (304, b"")
    assert site.client.get("/items/1").status_code == 200


def test_stream(site: Site) -> None:
    for _ in range(2):
        response = site.client.get("/stream")
        assert response.text == LINES
        assert response.http_version == "HTTP/2" or response.headers["transfer-encoding"] == "chunked"


def test_stream_that_fails_does_not_end_well(site: Site) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        site.client.get("/broken")
    site.server.expect_traceback("stream fails", "exception in WSGI application: GET /broken")
    assert site.client.get("/items/1").status_code == 200


def test_failing_view_is_500_and_one_traceback(site: Site, name: str) -> None:
    assert site.client.get("/crash").status_code == 500
    log = site.server.expect_traceback(CRASHES[name])
    assert ("exception in WSGI application: GET /crash" in log) == (name in PROPAGATES)
    assert site.client.get("/items/1").status_code == 200


def test_cookies(site: Site) -> None:
    for visit in ("1", "2", "3"):
        response = site.client.get("/visits")
        assert response.text == visit
        assert len(response.headers.get_list("set-cookie")) == 2
    assert site.client.cookies["theme"] == "dark"


def test_head_and_unknown_path(site: Site) -> None:
    assert site.client.get("/nothing/here").status_code == 404
    response = site.client.head("/items/1")
    assert response.status_code in (200, 405)
    assert response.content == b""
    assert site.client.get("/items/1").status_code == 200


def test_parallel_requests_do_not_see_each_other(site: Site) -> None:
    """Frameworks keep the request in their thread or context: each answer has to be that of its own request."""

    async def visit(client: httpx.AsyncClient, gate: asyncio.Semaphore, number: int) -> tuple[int, str, str]:
        async with gate:
            item = (await client.get(f"/items/{number}", params={"name": f"n{number}"})).json()
            form = (await client.post("/form", data={"name": f"f{number}", "several": ["a", "b"]})).json()
            return item["number"], item["name"], form["name"]

    async def visits() -> list[tuple[int, str, str]]:
        async with site.server.async_client() as client:
            gate = asyncio.Semaphore(16)
            return await asyncio.gather(*(visit(client, gate, number) for number in range(100)))

    answers = asyncio.run(visits())
    assert answers == [(number, f"n{number}", f"f{number}") for number in range(100)]


@pytest.mark.plain
@pytest.mark.parametrize("name", ["with_django_wsgi"])
def test_django_admin(site: Site) -> None:
    """A login with its form, the page behind it and each of the style sheets that it names."""
    page = site.client.get("/admin/login/")
    login = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": hidden_token(page.text)}
    answer = site.client.post("/admin/login/?next=/admin/", data=login)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")
    page = site.client.get("/admin/")
    assert "Site administration" in page.text
    sheets = re.findall(r'href="(/static/admin/[^"]+\.css)"', page.text)
    assert sheets
    for sheet in sheets:
        response = site.client.get(sheet)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/css")
        assert len(response.content) == int(response.headers["content-length"])


@pytest.mark.plain
@pytest.mark.parametrize("name", ["with_django_wsgi"])
def test_django_admin_writes_to_its_database(site: Site) -> None:
    page = site.client.get("/admin/login/")
    login = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": hidden_token(page.text)}
    site.client.post("/admin/login/", data=login)
    page = site.client.get("/admin/auth/group/add/")
    group = {"name": "Редакторы", "csrfmiddlewaretoken": hidden_token(page.text)}
    added = site.client.post("/admin/auth/group/add/", data=group, follow_redirects=True)
    assert added.status_code == 200
    assert "Редакторы" in site.client.get("/admin/auth/group/").text


@pytest.mark.plain
@pytest.mark.parametrize("name", ["with_django_wsgi"])
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_django_upload_under_csrf(site: Site, size: int) -> None:
    token = site.client.get("/token").text
    files = {"file": ("n.bin", content(size))}
    assert site.client.post("/protected", data={"title": "x"}, files=files).status_code == 403
    answer = site.client.post("/protected", data={"title": "x", "csrfmiddlewaretoken": token}, files=files)
    assert answer.json()["sha256"] == hashlib.sha256(content(size)).hexdigest()


def hidden_token(page: str) -> str:
    match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert match
    return match[1]
