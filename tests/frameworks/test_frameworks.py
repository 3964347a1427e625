"""What every framework does: JSON, body, stream, upload, failure."""

import pytest

from kit import Open

LINES = "".join(f"{number}\n" for number in range(100))
EVERY = ["with_starlette", "with_quart", "with_django", "with_litestar", "with_falcon"]


@pytest.mark.parametrize("name", EVERY)
def test_body_is_echoed(framework: Open, name: str) -> None:
    _, client = framework(f"{name}:app")
    for size in (1, 1000, 1_000_000):
        response = client.post("/echo", content=b"x" * size, headers={"content-type": "application/octet-stream"})
        assert response.status_code == 200
        assert response.content == b"x" * size


@pytest.mark.parametrize("name", EVERY)
def test_chunked_body_is_echoed(framework: Open, name: str) -> None:
    _, client = framework(f"{name}:app")
    headers = {"content-type": "application/octet-stream"}
    response = client.post("/echo", content=(b"part%d" % number for number in range(5)), headers=headers)
    assert response.content == b"part0part1part2part3part4"


@pytest.mark.parametrize("name", EVERY)
def test_stream(framework: Open, name: str) -> None:
    _, client = framework(f"{name}:app")
    response = client.get("/stream")
    assert response.text == LINES
    assert client.get("/stream").text == LINES


@pytest.mark.parametrize("name", ["with_quart", "with_django", "with_falcon"])
def test_upload_of_a_form(framework: Open, name: str) -> None:
    _, client = framework(f"{name}:app")
    assert client.post("/upload", files={"one": b"x" * 300_000, "two": b"y"}).json() == {"one": 300_000, "two": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("with_quart", "quart route fails"),
        ("with_django", "django view fails"),
        ("with_litestar", "litestar route fails"),
        ("with_falcon", "falcon resource fails"),
    ],
)
def test_failing_route_is_500(framework: Open, name: str, text: str) -> None:
    """These frameworks answer and log by themselves; the server adds no second traceback."""
    server, client = framework(f"{name}:app")
    assert client.get("/crash").status_code == 500
    server.tracebacks_matter = False


@pytest.mark.parametrize("name", EVERY)
def test_head_and_unknown_path(framework: Open, name: str) -> None:
    _, client = framework(f"{name}:app")
    assert client.get("/nothing/here").status_code == 404
    response = client.head("/")
    assert response.status_code in (200, 405)
    assert response.content == b""


def test_litestar(framework: Open) -> None:
    _, client = framework("with_litestar:app")
    assert client.get("/").json() == {"started": ["yes"]}
    assert client.post("/items", json={"a": 2}).json() == {"a": 4}
    upload = client.post("/upload", files={"data": ("n.txt", b"x" * 5000)})
    assert upload.json() == {"name": "n.txt", "size": 5000}
    assert client.get("/events").text.count("data: ") == 5


def test_falcon(framework: Open) -> None:
    _, client = framework("with_falcon:app")
    assert client.get("/", params={"a": "b"}).json() == {"path": "/", "client": "127.0.0.1", "query": {"a": "b"}}
    assert client.post("/", json={"a": 2}).json() == {"a": 4}
    assert client.get("/events").text.count("data: ") == 5


def test_quart(framework: Open) -> None:
    server, client = framework("with_quart:app")
    host = f"127.0.0.1:{server.port}"
    assert client.get("/").json() == {"started": ["yes"], "scheme": server.url.partition(":")[0], "host": host}


def test_django(framework: Open) -> None:
    server, client = framework("with_django:app")
    assert client.get("/").json() == {"path": "/", "host": f"127.0.0.1:{server.port}", "client": "127.0.0.1"}
    assert client.get("/sync", params={"a": "b"}).text == "GET b"
    assert client.get("/file").content == bytes(range(256)) * 1000
